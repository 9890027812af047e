/** The event log on the right: what came, from whom, when, what it changed, and how long after the one before. */
import type { Chart, ChartNode } from '../shapes.ts'
import type { Step } from '../told.ts'
import { type ComponentChild, html, useEffect, useMemo, useRef, useState } from './html.ts'
import { instant, payloadOf, span, titleOf } from './phrases.ts'
import type { Watching } from './watching.ts'

export function Log({ watching, now }: { readonly watching: Watching; readonly now: number }): ComponentChild {
  const { steps, shown, skipped } = watching
  const [wanted, setWanted] = useState('')
  const words = useMemo(() => wordsOf(watching.chart), [watching.chart])
  const list = useRef<HTMLOListElement>(null)
  const seq = shown?.seq
  useEffect(() => {
    list.current?.querySelector('.here')?.scrollIntoView({ block: 'nearest' })
  }, [seq, steps.length])
  const go = ({ target }: MouseEvent): void => {
    const row = (target as Element).closest('[data-seq]')
    if (row) watching.goTo(Number(row.getAttribute('data-seq')))
  }
  const [oldest] = steps
  const hasOlder = oldest !== undefined && oldest.seq > (watching.now?.first ?? 1)
  const fitting = steps.filter((step) => speaksOf(step, wanted))
  return html`<section class="log">
    <h2>Events ${skipped > 0 ? html`<span class="warning">${skipped} not shown, too fast</span>` : ''}
      <input class="narrow" type="search" placeholder="Filter" aria-label="Filter the events shown" value=${wanted} onInput=${(event: InputEvent) => setWanted((event.target as HTMLInputElement).value)} /></h2>
    ${steps.length === 0 ? html`<p class="hint">Nothing has happened yet.</p>` : ''}
    ${steps.length > 0 && fitting.length === 0 ? html`<p class="hint">Nothing matches among these ${steps.length}.</p>` : ''}
    <ol ref=${list} onClick=${go}>
      ${hasOlder ? html`<li><button class="older" onClick=${() => watching.loadOlder()}>Older events</button></li>` : ''}
      ${fitting.map((step) => (step.seq === seq ? rowOf(step, words, now, true) : quietRowOf(step, words, now)))}
    </ol>
  </section>`
}

type Words = ReadonlyMap<string, string>

/** What XState's own events are called on the chart. */
function wordsOf(chart: Chart | undefined): Words {
  const edgesOf = (node: ChartNode): ChartNode['edges'] => [...node.edges, ...node.states.flatMap(edgesOf)]
  const own = chart ? edgesOf(chart.root).filter(({ event }) => event.startsWith('xstate.')) : []
  return new Map(own.map(({ event, label }) => [event, label]))
}

/** How XState keeps its delays is told by the chart already. */
const tellingOf = ({ ops }: Step): Step['ops'] => ops.filter(({ path }) => !/^\/(timers|delays)(\/|$)/.test(path))

/** Who, what, or a part of what was said. */
function speaksOf({ event, from }: Step, wanted: string): boolean {
  return wanted === '' || `${event.type} ${from} ${payloadOf(event)}`.toLowerCase().includes(wanted.toLowerCase())
}

const quiet = new WeakMap<Step, ComponentChild>()

/** Hundreds of rows stay as they are while one is added: what was drawn once is not looked at again. */
function quietRowOf(step: Step, words: Words, now: number): ComponentChild {
  const known = quiet.get(step) ?? rowOf(step, words, now, false)
  quiet.set(step, known)
  return known
}

function rowOf(step: Step, words: Words, now: number, isHere: boolean): ComponentChild {
  const { seq, event, from, time, ms, cause } = step
  const ops = tellingOf(step)
  return html`<li key=${seq} class=${isHere ? 'here' : ''}>
    <button class="event" data-seq=${seq} aria-current=${isHere ? 'step' : undefined}>
      <span class="seq">${seq}</span><span class="what"><b>${words.get(event.type) ?? titleOf(event.type)}</b> <code>${payloadOf(event).slice(0, 160)}</code></span>
      <span class="about"><span class="from">${from ?? cause ?? 'server'}</span><time>${instant(time, now)}</time>
        ${ops.length > 0 ? html`<span class="ops">${ops.length} ${ops.length === 1 ? 'change' : 'changes'}</span>` : ''}${ms === undefined ? '' : html`<span class="ms">+${span(ms)}</span>`}</span>
    </button>
    ${isHere ? html`<${Details} step=${step} />` : ''}
  </li>`
}

/** Operations of the moment's step. */
const SHOWN = 12

function Details({ step }: { readonly step: Step }): ComponentChild {
  const ops = tellingOf(step)
  const payload = payloadOf(step.event)
  if (payload === '' && ops.length === 0) return ''
  return html`<div class="details">
    ${payload.length > 24 ? html`<pre>${JSON.stringify(JSON.parse(payload), undefined, 1)}</pre>` : ''}
    ${
      ops.length > 0
        ? html`<ul>${ops.slice(0, SHOWN).map((op, index) => html`<li key=${index}><b>${op.op}</b> ${op.path} <code>${'value' in op ? JSON.stringify(op.value).slice(0, 200) : ''}</code></li>`)}
    ${ops.length > SHOWN ? html`<li class="soft">and ${ops.length - SHOWN} more</li>` : ''}</ul>`
        : ''
    }
  </div>`
}
