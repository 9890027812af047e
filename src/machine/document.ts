/**
 * A room's document: everything durable about it, as JSON; and the state that it stands for.
 *
 * Always true: what did not change between two states is the same object in both documents, so that a diff costs only
 * what changed; a document gives back the state that it was made of, without running code of the machine.
 */
import type { AnyMachineSnapshot } from 'xstate'
import type { RoomEvent } from '../protocol.ts'
import type { Fold } from './fold.ts'
import type { Child, ChildSnapshot, Delay, Folded, Handle } from './folded.ts'

/** A child machine, or other logic that is folded along. */
export interface StoredChild extends StoredActor {
  readonly snapshot: ChildSnapshot
}

/** Work that runs beside the room, and begins again with it. */
export interface StoredInvoke extends StoredActor {
  readonly input: unknown
}

interface StoredActor {
  /** The name of its logic in the machine. */
  readonly src: string
  /** The seq of the record that began it. */
  readonly seq: number
  readonly systemId?: string
  readonly syncSnapshot?: true
}

export interface StoredDelay extends Omit<Delay, 'event'> {
  readonly event: RoomEvent
}

/** Everything durable about a room; a record's `ops` are on this document, and its clients hold a projection of it. */
export interface RoomDocument {
  readonly value: unknown
  readonly context: unknown
  readonly status: string
  readonly output: unknown
  readonly historyValue: unknown
  /** By the way to them, ids joined by `/`. */
  readonly children: Readonly<Record<string, StoredChild>>
  readonly invokes: Readonly<Record<string, StoredInvoke>>
  /** The delays as clients see them, in the order in which they are due, and the same with all that belongs to them. */
  readonly timers: readonly { readonly event: string; readonly dueAt: number }[]
  readonly delays: readonly StoredDelay[]
  /** The users that are in the room, for a machine that declares `room.joined` or `room.left`. */
  readonly present: readonly string[]
  readonly version: string
}

/** A room's state: as the fold goes on from it, and as it is stored. */
export interface RoomState extends Folded {
  readonly document: RoomDocument
}

const NOTHING = Object.freeze({})
const NONE: readonly never[] = Object.freeze([])

/** The state that a fold made, with its document; `before` is the state that it was made of. */
export function toState(folded: Folded, version: string, before?: RoomState): RoomState {
  const { snapshot, children, delays } = folded
  const known = before?.document
  const document: RoomDocument = {
    value: snapshot.value,
    context: snapshot.context,
    status: snapshot.status,
    output: snapshot.output ?? null,
    historyValue:
      before && snapshot.historyValue === before.snapshot.historyValue && known
        ? known.historyValue
        : historyIds(snapshot.historyValue),
    ...(known && before.children === children
      ? { children: known.children, invokes: known.invokes }
      : { children: stored(children, 'pure', storeChild), invokes: stored(children, 'live', storeInvoke) }),
    ...(known && before.delays === delays
      ? { timers: known.timers, delays: known.delays }
      : {
          timers: delays.length === 0 ? NONE : delays.map(({ event, dueAt }) => ({ event: event.type, dueAt })),
          delays,
        }),
    present: known?.present ?? NONE,
    version,
  }
  return { snapshot, children, delays, document }
}

/** `state` once a user has come, or has gone. */
export function withPresent(state: RoomState, user: string, isIn: boolean): RoomState {
  const others = state.document.present.filter((other) => other !== user)
  const present = isIn ? [...others, user] : others
  return { ...state, document: { ...state.document, present } }
}

/** When a room must be looked at though nobody asks: at the next start, at its next delay, or never. */
export function wakeOf({ document: { present, invokes, delays } }: RoomState): number | null {
  return present.length > 0 || Object.keys(invokes).length > 0 ? 0 : (delays[0]?.dueAt ?? null)
}

function stored<T>(children: Folded['children'], kind: Child['kind'], store: (child: Child) => T): Record<string, T> {
  const entries = [...children.values()].filter((child) => child.kind === kind)
  if (entries.length === 0) return NOTHING
  return Object.fromEntries(entries.map((child) => [child.path, store(child)]))
}

const storedChildren = new WeakMap<Child, StoredChild>()

function storeChild(child: Child): StoredChild {
  const known = storedChildren.get(child)
  if (known) return known
  const { status, context, output, value, historyValue } = child.snapshot
  const machine = value === undefined ? {} : { value, historyValue: historyIds(historyValue as HistoryValue) }
  const snapshot = { status, context, ...(output !== undefined && { output }), ...machine }
  const fresh = { ...storeActor(child), snapshot }
  storedChildren.set(child, fresh)
  return fresh
}

const storeInvoke = (child: Child): StoredInvoke => ({ ...storeActor(child), input: child.input })

function storeActor({ handle, seq }: Child): StoredActor {
  const { systemId, _syncSnapshot } = handle
  return {
    src: handle.src as string,
    seq,
    ...(systemId !== undefined && { systemId }),
    ...(_syncSnapshot === true && { syncSnapshot: true as const }),
  }
}

type HistoryValue = AnyMachineSnapshot['historyValue']

/** History as ids of state nodes, which is how `restoreSnapshot` takes it back. */
function historyIds(history: HistoryValue): Record<string, { id: string }[]> {
  const ids: Record<string, { id: string }[]> = {}
  for (const [key, nodes] of Object.entries(history)) ids[key] = nodes.map(({ id }: { id: string }) => ({ id }))
  return ids
}

/**
 * The state that a stored document stands for. Contexts are put in afterwards: XState would look for actor references in
 * them, and take what a client wrote for one.
 * @throws where the machine does not have the state, or the logic of an actor.
 */
export function fromDocument(fold: Fold, document: RoomDocument): RoomState {
  const bare = fold.restore(persisted(document, nest(document)))
  const snapshot = { ...bare, context: document.context } as AnyMachineSnapshot
  const children = new Map<string, Child>()
  for (const [path, { snapshot: kept, seq }] of Object.entries(document.children)) {
    const handle = handleAt(snapshot, path)
    handle._snapshot = { ...(handle._snapshot as object), ...(kept.context !== undefined && { context: kept.context }) }
    children.set(path, { handle, path, kind: 'pure', snapshot: handle._snapshot as ChildSnapshot, input: null, seq })
  }
  for (const [path, { input, seq }] of Object.entries(document.invokes)) {
    const handle = handleAt(snapshot, path)
    children.set(path, { handle, path, kind: 'live', snapshot: { status: 'active' }, input, seq })
  }
  return { snapshot, children, delays: document.delays, document }
}

/** What XState takes back: the part of a machine, with its children in it. */
function persisted({ value, status, output, historyValue }: ChildSnapshot, children: object): object {
  return { value, status, output: output ?? undefined, error: undefined, historyValue, context: {}, children }
}

interface Nested {
  [id: string]: { src: string; snapshot: { children?: Nested }; systemId?: string; syncSnapshot?: true }
}

/** The actors of a document, each within its parent. */
function nest({ children, invokes }: RoomDocument): Nested {
  const root: Nested = {}
  const placeOf = (path: string): { within: Nested; id: string } => {
    const ids = path.split('/').map(decodeURIComponent)
    const within = ids.slice(0, -1).reduce((nested, id) => nested[id]?.snapshot.children ?? {}, root)
    return { within, id: ids.at(-1) ?? '' }
  }
  for (const path of Object.keys(children).sort((a, b) => a.length - b.length)) {
    const { snapshot, ...actor } = children[path] as StoredChild
    const { within, id } = placeOf(path)
    const isMachine = snapshot.value !== undefined
    within[id] = { ...actor, snapshot: isMachine ? persisted(snapshot, {}) : snapshot }
  }
  for (const [path, { input, ...actor }] of Object.entries(invokes)) {
    const { within, id } = placeOf(path)
    within[id] = { ...actor, snapshot: { status: 'active', input } as object }
  }
  return root
}

interface Parent {
  readonly children?: Readonly<Record<string, Handle>>
}

/** @throws where the machine has no logic of that name any more. */
function handleAt(root: AnyMachineSnapshot, path: string): Handle {
  const ids = path.split('/').map(decodeURIComponent)
  const childOf = (of: unknown, id: string) => (of as Parent | undefined)?.children?.[id]
  const handle = ids.reduce<Handle | undefined>(
    (parent, id, i) => childOf(i === 0 ? root : parent?._snapshot, id),
    undefined,
  )
  if (!handle) throw new Error(`the machine has no actor for ${path} any more`)
  return handle
}
