/**
 * What would have been: the rest of an idea, from a moment of a room's past on, in memory alone. Events of the idea are sent
 * by who has it, or are delays that end.
 *
 * Always true: nothing is stored and no effect runs; the room itself never hears of it. What a machine throws is told to
 * nobody. Between two events the rest of the server has its turn; an event that never ends cannot be stopped.
 */
import { setImmediate } from 'node:timers/promises'
import type { Principal } from '../auth/auth.ts'
import { type Failure, failure, isFailure } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { RoomDocument, RoomState } from '../machine/document.ts'
import type { Delay } from '../machine/folded.ts'
import type { Hosted, Machine, Step } from '../machine/machine.ts'
import { NO_DOWNTIME } from '../machine/uptime.ts'
import type { RoomEvent } from '../protocol.ts'
import type { ChartIndex } from './configuration.ts'
import type { Moment } from './moments.ts'
import type { Redactor } from './redact.ts'
import { taken } from './taken.ts'
import type { IdeaStep } from './told.ts'

/** What an idea may take: milliseconds in all, and characters of what is told of it. */
const TIME = 1000
const SIZE = 512 * 1024

export interface Grounds {
  readonly machine: Machine
  readonly index: ChartIndex
  readonly redactor: Redactor
  readonly logger: Logger
}

/** @param who would have sent it: the machine's access rule is asked */
export async function fork(
  { seq, document }: Moment,
  events: readonly RoomEvent[],
  who: Principal,
  grounds: Grounds,
): Promise<IdeaStep[] | Failure> {
  const line = guarded(grounds.logger, () => new Line(document, seq, who, grounds))
  if (!line) return failure('room_failed', 'the machine does not go on from there: it threw')
  const ideas: IdeaStep[] = []
  const end = performance.now() + TIME
  let size = 0
  for (const event of events) {
    if (performance.now() > end) return failure('too_large', `${ideas.length} events took longer than ${TIME} ms`)
    const idea = line.go(event)
    size += JSON.stringify(idea).length
    if (size > SIZE)
      return failure('too_large', `what follows from ${ideas.length + 1} events has more than ${SIZE} characters`)
    ideas.push(idea)
    await setImmediate()
  }
  return ideas
}

/** The room as it would go on. */
class Line {
  readonly #grounds: Grounds
  readonly #who: Principal
  readonly #hosted: Hosted
  #state: RoomState
  #seq: number
  /** The idea's own clock: it waits for a delay, and never goes back. */
  #now = 0

  /** @throws what the machine throws */
  constructor(document: RoomDocument, seq: number, who: Principal, grounds: Grounds) {
    this.#grounds = grounds
    this.#who = who
    this.#seq = seq
    this.#hosted = grounds.machine.host(() => {}, NO_DOWNTIME)
    this.#state = this.#hosted.restore(this.#hosted.migrate(document))
  }

  go(event: RoomEvent): IdeaStep {
    const { index, redactor, logger } = this.#grounds
    const before = index.activeOf(this.#state.document.value)
    const why = guarded(logger, () => this.#take(event) ?? '') ?? 'the machine threw'
    const { document } = this.#state
    const { value, context, status } = redactor.document(document)
    const accepted = why === ''
    return {
      event: redactor.event(event),
      accepted,
      ...(!accepted && { why }),
      time: this.#now,
      value,
      context,
      edges: accepted ? taken(index, { before, after: index.activeOf(value), type: event.type }) : [],
      status,
      timers: document.delays.map(({ event: { type }, dueAt, delay }) => ({ event: type, dueAt, delay })),
    }
  }

  /** @returns why the event makes nothing of the room. @throws what the machine throws */
  #take(event: RoomEvent): string | undefined {
    const due = this.#pendingOf(event)
    this.#now = Math.max(due?.dueAt ?? Date.now(), this.#now)
    if (due) return this.#fire(due)
    return event.type.startsWith('xstate.after.') ? 'no such delay is pending here' : this.#send(event)
  }

  /** The delay that an event without anything but its name stands for. */
  #pendingOf(event: RoomEvent): Delay | undefined {
    const isName = Object.keys(event).length === 1
    return isName ? this.#state.delays.find(({ event: { type } }) => type === event.type) : undefined
  }

  /** It has waited long enough, whatever the machine makes of it. */
  #fire(due: Delay): undefined {
    const prepared = this.#hosted.without(this.#state, due)
    this.#become(this.#transition(prepared, due.event, null, due.to)?.state ?? prepared)
  }

  #send(event: RoomEvent): string | undefined {
    const { access } = this.#grounds.machine
    if (access.send && access.send(this.#who, event, this.#state.snapshot) !== true)
      return `${this.#who.user} may not send it here`
    const checked = this.#grounds.machine.checkEvent(event)
    if (isFailure(checked)) return checked.message
    const step = this.#transition(this.#state, checked, this.#who.user)
    return step ? this.#become(step.state) : 'it is not accepted now'
  }

  #transition(state: RoomState, event: RoomEvent, from: string | null, path?: string): Step | undefined {
    const moment = { now: this.#now, seq: this.#seq + 1 }
    return this.#hosted.transition(state, { ...event, from, time: moment.now, seq: moment.seq }, moment, path)
  }

  #become(state: RoomState): undefined {
    this.#state = state
    this.#seq++
  }
}

/** Runs what a machine may throw on. Its words go to the log alone, since they may hold what is hidden. */
function guarded<T>(logger: Logger, run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    logger.warn({ err: error }, 'a machine threw in a fork')
    return undefined
  }
}
