/**
 * Which edges of a chart fit a step, from the states before and after it and the type of its event.
 *
 * Always true: no code of the machine is run, so a guard may have said either; where two edges would have led to the same
 * states, both are given. An edge that XState took is among them, but for what functions raise as they run.
 */
import type { ChartIndex } from './configuration.ts'
import type { ChartNode, Edge } from './shapes.ts'

/** A macrostep, as it is seen from outside; ids of active states. Nothing is active before the first. */
export interface Move {
  readonly before: readonly string[]
  readonly after: readonly string[]
  readonly type: string
}

/** The ids of the edges that fit, in the order in which they follow each other. */
export function taken(index: ChartIndex, { before, after, type }: Move): string[] {
  const reading = new Reading(index, new Set(after))
  if (before.length === 0) reading.enter(index.chart.root, [])
  else reading.hear(before, type)
  return [...reading.edges].map(({ id }) => id)
}

class Reading {
  readonly edges = new Set<Edge>()
  readonly #index: ChartIndex
  readonly #after: ReadonlySet<string>
  /** What the edges that fit raise by name. */
  readonly #raised = new Set<string>()

  constructor(index: ChartIndex, after: ReadonlySet<string>) {
    this.#index = index
    this.#after = after
  }

  /** The edges for an event, of those that XState would ask, which lead to what is active afterwards. */
  hear(active: readonly string[], type: string): void {
    for (const edge of this.#candidates(active, type)) {
      const chain = this.#leads(edge, [])
      if (chain) for (const each of [edge, ...chain]) this.#take(each, active)
    }
  }

  /** A state is entered without an edge: the outermost one, at the beginning. */
  enter(node: ChartNode, active: readonly string[]): void {
    for (const edge of this.#follow(node, []) ?? []) this.#take(edge, active)
  }

  #take(edge: Edge, active: readonly string[]): void {
    this.edges.add(edge)
    for (const type of raisedBy(edge.actions)) {
      if (this.#raised.has(type)) continue
      this.#raised.add(type)
      this.hear([...new Set([...active, ...this.#after])], type)
    }
  }

  /** From each innermost active state outwards, up to the first edge that no guard could have kept back. */
  #candidates(active: readonly string[], type: string): Set<Edge> {
    const found = new Set<Edge>()
    const inner = new Set(active.map((id) => this.#index.parentOf(id)?.id))
    for (const leaf of active.filter((id) => !inner.has(id))) {
      const edges = this.#index.lineOf(leaf).flatMap((node) => matching(node, type))
      const sure = edges.findIndex(({ guard }) => guard === undefined)
      for (const edge of sure === -1 ? edges : edges.slice(0, sure + 1)) found.add(edge)
    }
    return found
  }

  /** What must follow an edge, so that all of its targets come to what is active afterwards; `undefined` where they cannot. */
  #leads(edge: Edge, way: readonly Edge[]): Edge[] | undefined {
    if (way.includes(edge)) return undefined
    const targets = edge.targets.length > 0 ? edge.targets : [edge.id.slice(0, edge.id.lastIndexOf(':'))]
    const chains = targets.map((id) => {
      const node = this.#index.nodes.get(id)
      return node && this.#follow(node, [...way, edge], edge.targets.length === 0)
    })
    return chains.every((chain) => chain) ? (chains.flat() as Edge[]) : undefined
  }

  /** What must follow once a state is entered, or where it is not left. */
  #follow(node: ChartNode, way: readonly Edge[], isThere = false): Edge[] | undefined {
    const isActive = this.#after.has(node.id)
    if (node.type === 'history') return this.#follow(this.#index.parentOf(node.id) as ChartNode, way, true)
    if (isActive && isThere) return []
    const leaves = isThere ? [node] : this.#entered(node)
    const lost = leaves.filter(({ id }) => !this.#after.has(id))
    if (lost.length === 0) return []
    const chain = lost.flatMap((leaf) => this.#onwards(leaf, way))
    return chain.length > 0 || isActive ? chain : undefined
  }

  /** The innermost states that are entered with one. */
  #entered(node: ChartNode): ChartNode[] {
    if (node.type === 'parallel') return node.states.flatMap((child) => this.#entered(child))
    const initial = node.initial === undefined ? undefined : this.#index.nodes.get(node.initial)
    return initial && initial !== node ? this.#entered(initial) : [node]
  }

  /** The edges without an event of their own that lead on from a state that was passed through. */
  #onwards(leaf: ChartNode, way: readonly Edge[]): Edge[] {
    const line = this.#index.lineOf(leaf.id)
    const raised = new Set(
      way.flatMap(({ actions }) => raisedBy(actions)).concat(line.flatMap(({ entry }) => raisedBy(entry))),
    )
    const internal = line.flatMap(({ edges }) => edges).filter((edge) => isInternal(edge) || raised.has(edge.event))
    return internal.flatMap((edge) => {
      const chain = edge.targets.length > 0 ? this.#leads(edge, way) : undefined
      return chain ? [edge, ...chain] : []
    })
  }
}

const isInternal = ({ kind, event }: Edge): boolean => kind === 'always' || event.startsWith('xstate.done.state.')

const raisedBy = (actions: readonly string[]): string[] =>
  actions.flatMap((name) => /^raise (\S+)$/.exec(name)?.slice(1) ?? []).filter((type) => type !== '(inline)')

/** The edges of a state for an event, those that name it first, then wildcards, the longest first. */
function matching({ edges }: ChartNode, type: string): Edge[] {
  const wild = edges.filter(({ event }) => event !== type && isWildcardFor(event, type))
  return [...edges.filter(({ event }) => event === type), ...wild.sort((a, b) => b.event.length - a.event.length)]
}

const isWildcardFor = (descriptor: string, type: string): boolean =>
  descriptor === '*' || (descriptor.endsWith('.*') && `${type}.`.startsWith(descriptor.slice(0, -1)))
