/**
 * What a fold of a statechart is made of: its snapshot, its children, its delays, and what is to be done once a step is
 * durable. The shapes alone; `fold.ts` makes them.
 */
import { type AnyActorLogic, type AnyMachineSnapshot, StateMachine } from 'xstate'
import type { RoomEvent } from '../protocol.ts'

/** A reference to an actor, as XState makes it: here only a handle, whose snapshot is set before it is looked at. */
export interface Handle {
  readonly id: string
  readonly sessionId: string
  readonly src: unknown
  readonly logic: AnyActorLogic
  readonly systemId?: string
  readonly options: { readonly input?: unknown }
  readonly _parent?: Handle
  readonly _syncSnapshot?: boolean
  _snapshot: unknown
}

export interface ChildSnapshot {
  readonly status: string
  readonly context?: unknown
  readonly output?: unknown
  readonly value?: unknown
  readonly historyValue?: unknown
}

/** A child: `pure` ones are folded along, `live` ones (promise, callback, observable) run beside the room. */
export interface Child {
  readonly handle: Handle
  readonly path: string
  readonly kind: 'pure' | 'live'
  readonly snapshot: ChildSnapshot
  readonly input: unknown
  /** The seq of the record that began it. */
  readonly seq: number
}

/** An event that waits for its time. Instants are Unix epoch milliseconds. */
export interface Delay {
  readonly id: string
  /** The path of the actor whose delay it is, and of the one that gets the event; `''` is the room's own. */
  readonly owner: string
  readonly to: string
  readonly event: RoomEvent
  readonly dueAt: number
  /** Milliseconds that it waits in all. */
  readonly delay: number
  /** Milliseconds of downtime that `dueAt` reckons with (`uptime.ts`); missing where the machine does not count them. */
  readonly downtime?: number
}

export interface Folded {
  readonly snapshot: AnyMachineSnapshot
  readonly children: ReadonlyMap<string, Child>
  /** In the order in which they are due. */
  readonly delays: readonly Delay[]
}

/** What is to be done once the record is durable. */
export type Effect =
  | { readonly type: 'action'; readonly name: string; run(): unknown }
  | { readonly type: 'log'; readonly label: string; readonly value: unknown }
  | { readonly type: 'start'; readonly child: Child }
  | { readonly type: 'stop'; readonly path: string }
  | { readonly type: 'deliver'; readonly path: string; readonly event: RoomEvent }

export interface FoldStep {
  readonly folded: Folded
  readonly effects: readonly Effect[]
}

/** When, and for which record. */
export interface Moment {
  readonly now: number
  readonly seq: number
  /** For the delays that are set then. */
  readonly downtime?: number | undefined
}

/** The way from the room to an actor, by ids. */
export function pathOf(handle: Handle): string {
  if (!handle._parent) return ''
  const parent = pathOf(handle._parent)
  return `${parent === '' ? '' : `${parent}/`}${encodeURIComponent(handle.id)}`
}

/** Whether a logic is folded along: a machine, or one that begins nothing. */
export const isPure = (logic: AnyActorLogic): boolean => logic instanceof StateMachine || logic.start === undefined
