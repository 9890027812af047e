/** The edges of a placed chart: which may be taken next, and of which it is not known whether they were. */
import type { Placed } from '../layout.ts'
import type { Edge } from '../shapes.ts'
import type { Timer } from '../told.ts'

interface Leaving {
  readonly edge: Edge
  readonly source: string
}

interface Chances {
  readonly active: readonly string[]
  readonly can: readonly string[]
  readonly timers: readonly Timer[]
}

type Boxes = Pick<Placed, 'boxes'>

/** The edges of a chart, each with the state it leaves. */
export function edgesOf({ boxes }: Boxes): Leaving[] {
  return boxes.flatMap(({ node }) => node.edges.map((edge) => ({ edge, source: node.id })))
}

/** Edges that would fit an event that is possible now, or that a delay will take. */
export function possible(placed: Boxes, { active, can, timers }: Chances): Set<string> {
  const due = timers.map(({ event }) => event)
  const fits = ({ edge, source }: Leaving): boolean => {
    if (!active.includes(source)) return false
    return edge.kind === 'after' ? due.includes(edge.event) : can.includes(edge.event)
  }
  return new Set(edgesOf(placed).flatMap((each) => (fits(each) ? each.edge.id : [])))
}

/** Edges of one state for one event, of which the step took one; which, is not known, for no guard is asked again. */
export function doubtful(placed: Boxes, taken: readonly string[]): Set<string> {
  const lit = edgesOf(placed).filter(({ edge }) => taken.includes(edge.id))
  const rivals = (one: Leaving): number =>
    lit.filter(({ edge, source }) => source === one.source && edge.event === one.edge.event).length
  return new Set(lit.flatMap((each) => (rivals(each) > 1 ? [each.edge.id] : [])))
}
