/**
 * What a chart names and what stands behind the names: guards, actions, actors and delays, in the machine and in those
 * that it invokes. XState itself finds a name without anything behind it only when it is needed, or never.
 *
 * Always true: nothing of the machine is run to find out; what a function does within (`enqueueActions`, an `assign` that
 * spawns) cannot be seen.
 */
import { type AnyStateMachine, StateMachine } from 'xstate'

export const KINDS = ['guards', 'actions', 'actors', 'delays'] as const
export type Kind = (typeof KINDS)[number]

/** A name, what it should be the name of, and the state that has it. */
export interface Reference {
  readonly kind: Kind
  readonly name: string
  readonly where: string
}

export type StateNode = AnyStateMachine['root']

/** Every state of a machine, each before those in it. */
export function nodesOf(node: StateNode): StateNode[] {
  return [node, ...Object.values(node.states).flatMap((child) => nodesOf(child as StateNode))]
}

/** The machine, and every machine that it may invoke or spawn by name or in place. */
export function machinesOf(machine: AnyStateMachine, found = new Set<AnyStateMachine>()): Set<AnyStateMachine> {
  if (found.has(machine)) return found
  found.add(machine)
  const named = Object.values(machine.implementations.actors as Readonly<Record<string, unknown>>)
  for (const logic of [...named, ...nodesOf(machine.root).flatMap(inlineOf)]) {
    if (logic instanceof StateMachine) machinesOf(logic as AnyStateMachine, found)
  }
  return found
}

/** What a state invokes without a name. */
function inlineOf({ config }: StateNode): unknown[] {
  const { invoke = [] } = config as { invoke?: unknown }
  return [invoke].flat().map((item) => (item as { src?: unknown } | undefined)?.src ?? item)
}

/** The names that one machine uses and that nothing stands behind. */
export function missingNames(machine: AnyStateMachine): Reference[] {
  const known = machine.implementations as unknown as Readonly<Record<Kind, object>>
  const missing = new Map<string, Reference>()
  for (const reference of referencesOf(machine)) {
    if (Object.hasOwn(known[reference.kind] ?? {}, reference.name)) continue
    const key = `${reference.kind} ${reference.name}`
    if (!missing.has(key)) missing.set(key, reference)
  }
  return [...missing.values()]
}

function* referencesOf(machine: AnyStateMachine): Generator<Reference> {
  const { actions, guards } = machine.implementations as unknown as Readonly<Record<Kind, Record<string, unknown>>>
  for (const node of nodesOf(machine.root)) yield* ofNode(node)
  for (const [name, action] of Object.entries(actions ?? {})) yield* ofAction(action, `setup, ${name}`)
  for (const [name, guard] of Object.entries(guards ?? {})) yield* ofGuard(guard, `setup, ${name}`)
}

interface Transition {
  readonly guard?: unknown
  readonly actions: readonly unknown[]
}

function* ofNode(node: StateNode): Generator<Reference> {
  const where = node.id
  const initial = node.config.initial === undefined ? [] : [node.initial]
  const transitions = [...node.transitions.values()].flat().concat((node.always ?? []) as never, initial as never)
  for (const action of [...node.entry, ...node.exit]) yield* ofAction(action, where)
  for (const { guard, actions } of transitions as Transition[]) {
    yield* ofGuard(guard, where)
    for (const action of actions) yield* ofAction(action, where)
  }
  for (const { src } of node.invoke as readonly { src: unknown }[]) {
    if (typeof src === 'string' && !src.startsWith('xstate.invoke.')) yield { kind: 'actors', name: src, where }
  }
}

/** An action by its name, or one of XState's own with the names within it. */
function* ofAction(action: unknown, where: string): Generator<Reference> {
  if (typeof action === 'string') return yield { kind: 'actions', name: action, where }
  const { type, delay, src } = action as { type?: string; delay?: unknown; src?: unknown }
  if (typeof action !== 'function') return yield { kind: 'actions', name: String(type), where }
  if (!type?.startsWith('xstate.')) return
  if (typeof delay === 'string') yield { kind: 'delays', name: delay, where }
  if (type === 'xstate.spawnChild' && typeof src === 'string') yield { kind: 'actors', name: src, where }
}

/** A guard by its name, or those that `and`, `or` and `not` are made of. */
function* ofGuard(guard: unknown, where: string): Generator<Reference> {
  if (guard === undefined) return
  if (typeof guard === 'string') return yield { kind: 'guards', name: guard, where }
  const { type, guards } = guard as { type?: string; guards?: readonly unknown[] }
  if (typeof guard !== 'function') return yield { kind: 'guards', name: String(type), where }
  for (const inner of guards ?? []) yield* ofGuard(inner, where)
}

/** Whether something of the machine decides only as it runs which actions there are. */
export function hasUnseen(machine: AnyStateMachine): boolean {
  const actions = nodesOf(machine.root).flatMap((node) => [
    ...node.entry,
    ...node.exit,
    ...[...node.transitions.values(), node.always ?? []]
      .flat()
      .flatMap((transition) => (transition as Transition).actions),
  ])
  const named = Object.values(machine.implementations.actions as Readonly<Record<string, unknown>>)
  return [...actions, ...named].some(
    (action) => (action as { type?: unknown } | undefined)?.type === 'xstate.enqueueActions',
  )
}
