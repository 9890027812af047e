/** What a machine file says about its rooms, for the compiler alone: nothing of XState is loaded. */
import type { AnyStateMachine, ContextFrom, EventFromLogic, SnapshotFrom } from 'xstate'
import type { RoomEvent } from '../protocol.ts'

/** The `state` document of a room whose machine has no `view` (docs/protocol.md, "Server frames"). */
export interface RoomState<Context = unknown, Value = unknown> {
  readonly value: Value
  readonly context: Context
  readonly status: 'active' | 'done' | 'error' | 'stopped'
  /** The event types for which the active states have a transition. */
  readonly can: readonly string[]
  /** The delays that are pending; instants in Unix epoch milliseconds. */
  readonly timers: readonly { readonly event: string; readonly dueAt: number }[]
}

/** What a client sees of a room of this machine. */
export type StateOf<Machine> = Machine extends AnyStateMachine
  ? RoomState<ContextFrom<Machine>, SnapshotFrom<Machine>['value']>
  : RoomState

/** What a client may send it: its events, without those of the server, and without what the server puts into each. */
export type EventOf<Machine> = Machine extends AnyStateMachine ? Sendable<EventFromLogic<Machine>> : RoomEvent

type Sendable<Event> = Event extends { type: `room.${string}` | `xstate.${string}` }
  ? never
  : { [Field in keyof Event as Field extends 'from' | 'time' | 'seq' ? never : Field]: Event[Field] }
