/**
 * A chart as the configuration of an XState machine, in JSON: for tools that draw machines.
 *
 * Always true: it says no more than the chart does; a machine that is made of it has the same chart.
 */
import type { Chart, ChartNode, Edge } from './shapes.ts'

type Config = Record<string, unknown>

/** What is empty is left out. */
export const definitionOf = ({ root }: Chart): string =>
  JSON.stringify(nodeConfig(root), (_key, value) => (isEmpty(value) ? undefined : value))

function nodeConfig(node: ChartNode): Config {
  const { id, type, history, initial, description, tags, entry, exit, invoke, edges, states } = node
  const isPlain = type === 'atomic' || type === 'compound'
  return {
    id,
    type: isPlain ? undefined : type,
    history,
    initial: states.find((child) => child.id === initial)?.key,
    description,
    tags,
    entry,
    exit,
    invoke: invoke.map((actor) => ({ ...actor, ...grouped(edges, (edge) => ofActor(edge, actor.id)) })),
    on: grouped(edges, (edge) => (isElsewhere(edge, node) ? undefined : edge.event)),
    after: grouped(edges, ({ kind, delay }) => (kind === 'after' ? `${delay}` : undefined)),
    ...grouped(edges, ofNode),
    states: Object.fromEntries(states.map((child) => [child.key, nodeConfig(child)])),
  }
}

/** The transitions under the key that `keyOf` gives their edges; those without one are left out. */
function grouped(edges: readonly Edge[], keyOf: (edge: Edge) => string | undefined): Config {
  const groups: Record<string, Config[]> = Object.create(null)
  for (const edge of edges) {
    const key = keyOf(edge)
    if (key !== undefined) groups[key] = [...(groups[key] ?? []), transition(edge)]
  }
  return groups
}

const transition = ({ targets, guard, actions, reenter }: Edge): Config => ({
  target: targets.map((id) => `#${id}`),
  guard,
  actions,
  reenter,
})

/** Under which word the edge stands at an invoked actor. */
function ofActor({ event }: Edge, actor: string): string | undefined {
  if (event === `xstate.done.actor.${actor}`) return 'onDone'
  if (event === `xstate.error.actor.${actor}`) return 'onError'
  return event === `xstate.snapshot.${actor}` ? 'onSnapshot' : undefined
}

/** Under which word the edge stands at the node itself, where it is not one of its events. */
function ofNode({ kind, event }: Edge): string | undefined {
  if (kind === 'always') return 'always'
  return event.startsWith('xstate.done.state.') ? 'onDone' : undefined
}

const isElsewhere = (edge: Edge, { invoke }: ChartNode): boolean =>
  edge.kind === 'after' || ofNode(edge) !== undefined || invoke.some(({ id }) => ofActor(edge, id) !== undefined)

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0
