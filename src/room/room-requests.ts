/**
 * What may be asked of a room: each request is decided in its turn, and answered when what it was decided on is durable.
 *
 * Always true: nothing is decided out of turn; what a turn does with its requests is the business of `room.ts`.
 */

import type { Principal } from '../auth/auth.ts'
import { type Failure, isFailure } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import type { Arrival } from '../machine/live.ts'
import type { ServerFrames } from '../protocol.ts'
import type { Asker, Turns } from '../turns.ts'
import type { Attendance, Joining } from './attendance.ts'
import type { Audience } from './audience.ts'
import type { Blocking } from './blocking.ts'
import type { Draft, Sending } from './draft.ts'
import { historyOf } from './recovery.ts'
import type { JoinedRoom, Subscriber } from './subscription.ts'

const DONE = (): void => {}

export type Answer = (frame: ServerFrames['ok' | 'snapshot' | 'history'] | Failure) => void

export abstract class RoomRequests implements JoinedRoom {
  abstract readonly name: string
  protected abstract readonly log: Log
  protected abstract readonly logger: Logger
  protected abstract readonly turns: Turns<Draft>
  protected abstract readonly audience: Audience
  protected abstract readonly attendance: Attendance
  protected abstract readonly blocking: Blocking

  send(sending: Sending, answer: Answer, asker?: Asker): void {
    this.turns.receive({
      asker,
      decide(draft) {
        const decided = draft.send(sending)
        return () => answer(decided)
      },
      refuse: answer,
    })
  }

  join(subscriber: Subscriber, who: Principal, joining: Joining, answer: Answer): void {
    this.turns.receive({
      asker: subscriber,
      decide: (draft) => {
        const hidden = this.audience.refuseEvents(joining.mode ?? 'state')
        const refused = draft.checkJoin(who) ?? hidden ?? draft.join(subscriber.id, who)
        return () => {
          if (refused) return answer(refused)
          return this.blocking.watch('showing', () => this.attendance.admit(subscriber, who, joining, answer))
        }
      },
      refuse: answer,
    })
  }

  /** Gives a refusal that was decided elsewhere its turn among the answers (rule R2). */
  refuse(refusal: Failure, answer: Answer, asker?: Asker): void {
    this.turns.receive({ asker, decide: () => () => answer(refusal), refuse: answer })
  }

  leave(subscriber: Subscriber, who: Principal, answer: Answer): void {
    this.turns.receive({
      asker: subscriber,
      decide: (draft) => {
        const refused = draft.leave(subscriber.id, who.user)
        return () => {
          if (!refused) this.attendance.dismiss(subscriber)
          answer(refused ?? { type: 'ok' })
        }
      },
      refuse: answer,
    })
  }

  get(who: Principal, answer: Answer, asker?: Asker): void {
    this.turns.receive({
      asker,
      decide: (draft) => {
        const state = draft.checkJoin(who) ?? draft.peek()
        const show = () => (isFailure(state) ? state : this.audience.snapshot(state, who))
        return () => answer(this.blocking.watch('showing', show))
      },
      refuse: answer,
    })
  }

  history(
    who: Principal,
    range: { since?: number | undefined; limit?: number | undefined },
    answer: Answer,
    asker?: Asker,
  ): void {
    this.turns.receive({
      asker,
      decide: (draft) => {
        const refused = draft.checkJoin(who) ?? this.audience.refuseEvents()
        const shown = { ...range, show: this.audience.shownTo(who) }
        return async () => answer(refused ?? (await historyOf(this.log, this.audience.position, shown)))
      },
      refuse: answer,
    })
  }

  /**
   * The claims of one who is in have changed: whoever may not be here any more is put out, and told so (rule A2). What is
   * decided behind this is seen with the new claims, or not at all.
   */
  recheck(subscriber: Subscriber, who: Principal, done = DONE): void {
    this.turns.receive({
      asker: subscriber,
      decide: (draft) => {
        const refused = draft.checkJoin(who)
        const isPutOut = refused && !draft.leave(subscriber.id, who.user)
        if (isPutOut) this.attendance.forget(subscriber)
        else this.attendance.become(subscriber, who)
        return () => {
          if (isPutOut) subscriber.leavesRoom(this, refused)
          else this.attendance.show(subscriber)
          done()
        }
      },
      refuse: (why) => {
        this.attendance.dismiss(subscriber, why)
        done()
      },
    })
  }

  /** A connection is gone, without asking. */
  lost(subscriber: Subscriber, who: Principal): void {
    const forget = () => this.attendance.forget(subscriber)
    this.turns.receive({
      asker: subscriber,
      decide: (draft) => {
        draft.leave(subscriber.id, who.user)
        return forget
      },
      refuse: forget,
    })
  }

  /** Invoked work, or an action of the machine, has something to say. */
  arrived(arrival: Arrival): void {
    this.turns.receive({
      decide: (draft) => {
        draft.occurrences.arrive(arrival)
        return DONE
      },
      refuse: () => this.logger.error({ room: this.name, event: arrival.event.type }, 'an arrival was lost'),
    })
  }

  /** A delay is due, or a crash left something to be settled: a turn looks at that by itself. */
  wake(): void {
    this.turns.receive({ decide: () => DONE, refuse: DONE })
  }

  /** The socket of a subscriber takes frames again. */
  drained(subscriber: Subscriber): void {
    this.attendance.drained(subscriber)
  }

  get subscriptions(): number {
    return this.attendance.size
  }
}
