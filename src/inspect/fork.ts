/**
 * What would have been: the rest of an idea, from a moment of a room's past on, in memory alone.
 *
 * Always true: nothing is stored and no effect runs; the room itself never hears of it.
 */
import { type Failure, failure, isFailure } from '../errors.ts'
import type { Machine } from '../machine.ts'
import type { RoomEvent } from '../protocol.ts'
import { NO_DOWNTIME } from '../uptime.ts'
import type { ChartIndex } from './configuration.ts'
import type { Timer } from './frames.ts'
import type { Moment } from './moments.ts'
import type { Redactor } from './redact.ts'
import { taken } from './taken.ts'

/** One event of the idea, and where it leads. */
export interface Idea {
  readonly event: RoomEvent
  readonly accepted: boolean
  /** Why it was not. */
  readonly why?: string
  readonly value: unknown
  readonly context: unknown
  readonly edges: readonly string[]
  readonly status: string
  readonly timers: readonly Timer[]
}

/** @param user who would have sent it */
export function fork(
  { seq, document }: Moment,
  events: readonly RoomEvent[],
  user: string,
  { machine, index, redactor }: { machine: Machine; index: ChartIndex; redactor: Redactor },
): Idea[] | Failure {
  const hosted = machine.host(() => {}, NO_DOWNTIME)
  let state: ReturnType<typeof hosted.restore>
  try {
    state = hosted.restore(hosted.migrate(document))
  } catch (error) {
    return failure('room_failed', `the machine does not go on from there: ${(error as Error).message}`)
  }
  let place = seq
  return events.map((event): Idea => {
    const before = index.activeOf(state.document.value)
    const now = Date.now()
    const attempt = attempted(machine, event, (checked) =>
      hosted.transition(state, { ...checked, from: user, time: now, seq: place + 1 }, { now, seq: place + 1 }),
    )
    if (typeof attempt !== 'string') [state, place] = [attempt.state, place + 1]
    const { value, context, status } = redactor.document(state.document)
    const after = index.activeOf(value)
    const accepted = typeof attempt !== 'string'
    return {
      event: redactor.event(event),
      accepted,
      ...(!accepted && { why: attempt }),
      value,
      context,
      edges: accepted ? taken(index, { before, after, type: event.type }) : [],
      status,
      timers: state.document.delays.map(({ event: { type }, dueAt, delay }) => ({ event: type, dueAt, delay })),
    }
  })
}

/** What an event makes of the room, or why it makes nothing of it. */
function attempted<T>(machine: Machine, event: RoomEvent, take: (checked: RoomEvent) => T | undefined): T | string {
  try {
    const checked = machine.checkEvent(event)
    if (isFailure(checked)) return checked.message
    return take(checked) ?? 'it is not accepted now'
  } catch (error) {
    return `the machine throws: ${(error as Error).message}`
  }
}
