/**
 * From a record that the server caused back to what brought it about: somebody who came or went, a delay that ended, work
 * that was invoked. The log does not say which it was; where it may have been several, all are given, the likeliest first.
 *
 * Always true: `prepared` is made by the very functions that made it when the record was written.
 */

import type { LogRecord } from '../log/log.ts'
import { type RoomState, withPresent } from '../machine/document.ts'
import type { Arrival } from '../machine/live.ts'
import type { Hosted, Machine } from '../machine/machine.ts'
import type { RoomEvent } from '../protocol.ts'

export interface Occasion {
  readonly event: RoomEvent
  /** The room once the occasion itself is in it, before the machine hears of it. */
  readonly prepared: RoomState
  /** The actor within the room that gets the event. */
  readonly path?: string
  /** Whether the machine has a transition for it anywhere. */
  readonly isKnown?: boolean
}

export function* occasionsOf(
  { event, ops, time }: LogRecord,
  before: RoomState,
  machine: Machine,
  hosted: Hosted,
): Generator<Occasion> {
  if (ops.some(({ path }) => path.startsWith('/present'))) return yield presence(event, before, machine)
  const [due] = before.delays
  if (due && due.dueAt <= time && isSame(due.event, event)) {
    yield { event: due.event, prepared: hosted.without(before, due), path: due.to }
  }
  for (const given of asGiven(event)) yield* arrivals(given, before, hosted)
}

function presence(event: RoomEvent, before: RoomState, machine: Machine): Occasion {
  const prepared = withPresent(before, event.user as string, event.type === 'room.joined')
  return { event, prepared, isKnown: machine.declares(event.type) }
}

/** From the invoked actor whose event it is, or else sent to the room, or to a machine within it. */
function* arrivals(event: RoomEvent, before: RoomState, hosted: Hosted): Generator<Occasion> {
  const isOver = /^xstate\.(done|error)\.actor\./.test(event.type)
  for (const { path, kind, seq, handle } of before.children.values()) {
    if (kind !== 'live' || !/^xstate\./.test(event.type) || !event.type.endsWith(`.${handle.id}`)) continue
    const to = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    const arrival: Arrival = { to, event, from: path, seq, isOver }
    const prepared = hosted.received(before, arrival)
    if (prepared) yield { event, prepared, path: to }
  }
  yield { event, prepared: before, path: '' }
  for (const { path, kind } of before.children.values()) if (kind === 'pure') yield { event, prepared: before, path }
}

/** An error is stored by its name and message; the machine was given the error itself. */
function asGiven(event: RoomEvent): RoomEvent[] {
  const { name, message, ...more } = (event.error ?? {}) as Readonly<Record<string, unknown>>
  const isError = typeof name === 'string' && typeof message === 'string' && Object.keys(more).length === 0
  return isError ? [{ ...event, error: Object.assign(new Error(message), { name }) }, event] : [event]
}

const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)
