/** What is lit on a drawn chart: classes on its elements, numbers in its places for them, and rings that count down. */
import type { Placed } from '../layout.ts'
import type { Edge } from '../shapes.ts'
import type { Overview, Timer } from '../told.ts'
import { doubtful, edgesOf, possible } from './edges.ts'

export interface Lights {
  readonly active: readonly string[]
  readonly taken: readonly string[]
  readonly can: readonly string[]
  readonly timers: readonly Timer[]
  /** The server's clock; without one, time stands still at the moment shown. */
  readonly now: () => number
  readonly runs: boolean
}

export const DARK: Lights = { active: [], taken: [], can: [], timers: [], now: () => 0, runs: false }

const DOUBT = 'One of the dashed ways was taken: they lead to the same states, and no guard is asked again.'

/** The first title of an element is what a pointer over it tells. */
function doubt(element: Element, isDoubtful: boolean): void {
  if (element.classList.toggle('doubtful', isDoubtful) === (element.querySelector('.doubt') !== null)) return
  if (!isDoubtful) return element.querySelector('.doubt')?.remove()
  const title = document.createElementNS('http://www.w3.org/2000/svg', 'title')
  title.setAttribute('class', 'doubt')
  title.textContent = DOUBT
  element.prepend(title)
}

export function light(group: Element, placed: Placed, lights: Lights): void {
  const [active, taken, next] = [new Set(lights.active), new Set(lights.taken), possible(placed, lights)]
  const unsure = doubtful(placed, lights.taken)
  for (const element of group.querySelectorAll('[data-id]')) {
    const id = element.getAttribute('data-id') ?? ''
    element.classList.toggle('active', active.has(id))
    element.classList.toggle('taken', taken.has(id))
    element.classList.toggle('possible', next.has(id))
    doubt(element, unsure.has(id))
  }
  for (const words of group.querySelectorAll('[data-of]'))
    words.classList.toggle('active', active.has(words.getAttribute('data-of') ?? ''))
  countDown(group, placed, lights)
}

/** Shows an edge again that was taken once more. */
export function flash(group: Element): void {
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return
  for (const element of group.querySelectorAll('.taken')) element.animate([{ opacity: 0.25 }, { opacity: 1 }], 350)
}

const animations = new WeakMap<Element, Animation>()

function countDown(group: Element, placed: Placed, { active, timers, now, runs }: Lights): void {
  for (const { edge, source } of edgesOf(placed)) {
    if (edge.kind !== 'after') continue
    const timer = active.includes(source) ? timers.find(({ event }) => event === edge.event) : undefined
    for (const element of group.querySelectorAll(`[data-id="${CSS.escape(edge.id)}"]`)) {
      element.classList.toggle('pending', timer !== undefined)
      const ring = element.querySelector('.left')
      if (ring && timer) turn(ring, timer, edge, now(), runs)
    }
  }
}

/** The ring empties by the clock; one that is running for the same instant is left alone. */
function turn(ring: Element, { dueAt, delay }: Timer, edge: Edge, now: number, runs: boolean): void {
  const whole = delay ?? (typeof edge.delay === 'number' ? edge.delay : Math.max(1, dueAt - now))
  const until = `${dueAt} ${runs ? 'runs' : now}`
  if (ring.getAttribute('data-until') === until) return
  ring.setAttribute('data-until', until)
  animations.get(ring)?.cancel()
  const gone = Math.max(0, Math.min(1, 1 - (dueAt - now) / whole))
  const animation = ring.animate([{ strokeDasharray: '1 1' }, { strokeDasharray: '0 1' }], {
    duration: Math.max(1, whole),
    fill: 'forwards',
  })
  animation.currentTime = gone * whole
  if (!runs) animation.pause()
  animations.set(ring, animation)
}

/** A figure by its id, also by one like `constructor`, which every object has something of. */
export const figureOf = (figures: Readonly<Record<string, number>> = {}, id: string | null): number =>
  id !== null && Object.hasOwn(figures, id) ? (figures[id] as number) : 0

/** How many rooms are in each state, and how often each edge is taken. */
export function count(group: Element, overview: Overview | undefined): void {
  group.classList.toggle('counted', overview !== undefined)
  for (const element of group.querySelectorAll('[data-count]')) {
    writeCount(element, figureOf(overview?.states, element.getAttribute('data-count')))
  }
  for (const element of group.querySelectorAll('[data-rate]')) {
    const rate = figureOf(overview?.edges, element.getAttribute('data-rate'))
    element.textContent = rate > 0 ? `${brief(rate)}/min` : ''
    element.parentElement?.classList.toggle('busy', rate > 0)
  }
}

function writeCount(element: Element, rooms: number): void {
  const [rect, text] = element.children
  if (!rect || !text) return
  const shown = brief(rooms)
  text.textContent = shown
  rect.setAttribute('width', `${10 + shown.length * 6.5}`)
  element.classList.toggle('none', rooms === 0)
}

/** 7, 1.2k, 34k. */
function brief(count: number): string {
  if (count >= 10_000) return `${Math.round(count / 1000)}k`
  if (count >= 1000) return `${(count / 1000).toFixed(1)}k`
  return Number.isInteger(count) ? `${count}` : count.toFixed(1)
}
