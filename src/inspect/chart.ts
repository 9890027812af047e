/**
 * The chart of a machine as JSON. `JSON.stringify` of a machine drops every `always`, inline actions and guards: here the
 * machine's own nodes are walked (XState pinned to 5.33).
 *
 * Always true: nothing of the machine is run; its edges are those that XState looks at, in the order in which it does.
 */
import type { AnyStateMachine } from 'xstate'
import { actionName, delayName, guardName } from './names.ts'
import type { Chart, ChartNode, Edge } from './shapes.ts'

type StateNode = AnyStateMachine['root']

interface Transition {
  readonly eventType: string
  readonly target?: readonly StateNode[]
  readonly guard?: unknown
  readonly actions: readonly unknown[]
  readonly reenter: boolean
  readonly delay?: number | string
}

interface Invoke {
  readonly id: string
  readonly src: unknown
}

export function chartOf(logic: AnyStateMachine, { machine, kind, version }: Omit<Chart, 'root'>): Chart {
  return { machine, kind, version, root: chartNode(logic.root) }
}

function chartNode(node: StateNode): ChartNode {
  const { id, key, type, history, description, tags } = node
  const initial = type === 'compound' ? node.initial?.target?.[0]?.id : undefined
  return {
    id,
    key,
    type,
    ...(type === 'history' && { history: history === 'deep' ? 'deep' : 'shallow' }),
    ...(initial !== undefined && { initial }),
    ...(description !== undefined && { description }),
    ...(tags.length > 0 && { tags: [...tags] }),
    entry: node.entry.filter(isWritten).map(actionName),
    exit: node.exit.filter(isWritten).map(actionName),
    invoke: (node.invoke as readonly Invoke[]).map((invoke) => ({ id: invoke.id, src: sourceName(invoke) })),
    edges: edgesOf(node),
    states: Object.values(node.states).map((child) => chartNode(child as StateNode)),
  }
}

/** XState itself puts the begin and the end of each `after` among the entry and exit actions. */
function isWritten(action: unknown): boolean {
  const { event, sendId } = action as { event?: unknown; sendId?: unknown }
  const type = (event as { type?: unknown } | undefined)?.type ?? sendId
  return !(typeof type === 'string' && type.startsWith('xstate.after.'))
}

/** Logic that was invoked in place has a name of XState's making. */
const sourceName = ({ src }: Invoke): string =>
  typeof src === 'string' && !src.startsWith('xstate.invoke.') ? src : '(inline)'

function edgesOf(node: StateNode): Edge[] {
  const transitions = [...[...node.transitions.values()].flat(), ...(node.always ?? [])] as unknown as Transition[]
  return transitions.map((transition, n) => edge(node, transition, n))
}

function edge(
  node: StateNode,
  { eventType, target = [], guard, actions, reenter, delay }: Transition,
  n: number,
): Edge {
  return {
    id: `${node.id}:${n}`,
    ...occasionOf(node, eventType, delay),
    event: eventType,
    ...(guard !== undefined && { guard: guardName(guard) }),
    actions: actions.map(actionName),
    targets: target.map(({ id }) => id),
    reenter,
  }
}

function occasionOf(node: StateNode, type: string, delay?: number | string): Pick<Edge, 'kind' | 'label' | 'delay'> {
  if (type === '') return { kind: 'always', label: 'always' }
  if (delay !== undefined && type.startsWith('xstate.after.')) {
    return { kind: 'after', label: `after ${delayName(delay)}`, delay }
  }
  if (type.startsWith('xstate.done.state.')) return { kind: 'done', label: 'done' }
  const [, kind, id] = /^xstate\.(done|error|snapshot)(?:\.actor)?\.(.+)$/.exec(type) ?? []
  if (id === undefined) return { kind: 'event', label: type }
  return { kind: kind as 'done' | 'error' | 'snapshot', label: `${kind} ${actorName(node, id)}` }
}

/** The id that was written, or else what is invoked: XState makes ids like `0.auction.open`. */
function actorName(node: StateNode, id: string): string {
  const invoke = (node.invoke as readonly Invoke[]).find((invoke) => invoke.id === id)
  return invoke && /^\d+\./.test(id) ? sourceName(invoke) : id
}
