/**
 * Where a chart stands: the states that are active, as ids, words and figures, worked out from its map and a state value.
 *
 * Always true: no code of the machine is run, so this holds for a room that sleeps, has failed, or is long past.
 */
import type { Chart, ChartNode, Edge } from './shapes.ts'

/** A map with what is asked of it again and again. */
export class ChartIndex {
  readonly chart: Chart
  readonly nodes = new Map<string, ChartNode>()
  readonly edges = new Map<string, Edge>()
  readonly #parents = new Map<string, ChartNode>()
  readonly #can = new Map<string, readonly string[]>()

  constructor(chart: Chart) {
    this.chart = chart
    this.#add(chart.root)
  }

  #add(node: ChartNode): void {
    this.nodes.set(node.id, node)
    for (const edge of node.edges) this.edges.set(edge.id, edge)
    for (const child of node.states) {
      this.#parents.set(child.id, node)
      this.#add(child)
    }
  }

  /** A state and those around it, the innermost first. */
  lineOf(id: string): ChartNode[] {
    const line: ChartNode[] = []
    for (let node = this.nodes.get(id); node; node = this.#parents.get(node.id)) line.push(node)
    return line
  }

  parentOf(id: string): ChartNode | undefined {
    return this.#parents.get(id)
  }

  /** The ids that a state value stands for, each before those in it; those that the chart does not have are left out. */
  activeOf(value: unknown): string[] {
    return activeIn(this.chart.root, value)
  }

  /** The event types for which the active states have a transition, sorted; guards are not asked (rule S4). */
  canOf(active: readonly string[]): readonly string[] {
    const key = active.join(' ')
    const known = this.#can.get(key)
    if (known) return known
    if (this.#can.size >= MAX_KNOWN) this.#can.clear()
    const types = active.flatMap(
      (id) =>
        this.nodes
          .get(id)
          ?.edges.filter(isOffered)
          .map(({ event }) => event) ?? [],
    )
    const can = [...new Set(types)].sort()
    this.#can.set(key, can)
    return can
  }
}

/** Configurations of one chart that are remembered. */
const MAX_KNOWN = 1000

const isOffered = ({ event, targets, actions, reenter }: Edge): boolean =>
  event !== '' && !/^(xstate|room)\./.test(event) && (targets.length > 0 || actions.length > 0 || reenter)

/** The ids of a state and of those in it that a value stands for, from the outside to the inside. */
export function activeIn(node: ChartNode, value: unknown): string[] {
  const within = typeof value === 'string' ? { [value]: {} } : ((value ?? {}) as Readonly<Record<string, unknown>>)
  return [
    node.id,
    ...node.states.flatMap((child) => (Object.hasOwn(within, child.key) ? activeIn(child, within[child.key]) : [])),
  ]
}

/** Whether a value stands in a state, `playing.rounds.live`, whichever others are active beside it. */
export function standsIn(value: unknown, state: string): boolean {
  if (typeof value !== 'object' || value === null) return value === state
  return Object.entries(value).some(
    ([key, inner]) => key === state || (state.startsWith(`${key}.`) && standsIn(inner, state.slice(key.length + 1))),
  )
}

/** A state value in words: `open.bidding`, `a | b` for what is active side by side. */
export function stateName(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value !== 'object' || value === null) return ''
  const regions = Object.entries(value).map(([key, inner]) => [key, stateName(inner)].filter(Boolean).join('.'))
  return regions.join(' | ')
}
