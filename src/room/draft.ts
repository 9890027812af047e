/**
 * The first step of a commit: what the requests of clients would make of a room. Decided in the order they came, each on
 * what the ones before it left; nothing here is told, stored or carried out.
 *
 * Always true: a request that is refused changes nothing. The checks of a `send` run in this order: access, dedupe, `if`,
 * schema, transition.
 */
import type { Principal } from '../auth/auth.ts'
import { excerpt, type Failure, failure, isFailure, readOnly } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { RoomState } from '../machine/document.ts'
import type { Step } from '../machine/machine.ts'
import type { PublicState } from '../machine/machine-file.ts'
import { sealJson } from '../patch.ts'
import type { RoomEvent, ServerFrames } from '../protocol.ts'
import { type Changes, diffOf, type Entry, type Standing, type Undelivered } from './changes.ts'
import type { Occurrences } from './occurrences.ts'

export interface Sending {
  readonly who: Principal
  readonly event: RoomEvent
  readonly key?: string | undefined
  readonly if?: number | undefined
}

export class Draft {
  readonly changes: Changes
  /** What happens meanwhile though no client sent it. */
  readonly occurrences: Occurrences
  readonly #standing: Standing
  readonly #logger: Logger

  constructor(standing: Standing, changes: Changes, occurrences: Occurrences, logger: Logger) {
    this.#standing = standing
    this.changes = changes
    this.occurrences = occurrences
    this.#logger = logger
  }

  send(sending: Sending): ServerFrames['ok'] | Failure {
    const { who, event, key } = sending
    const undelivered = { event, from: who.user, ...(key !== undefined && { key }) }
    const refused = this.checkJoin(who) ?? this.#checkSend(who, undelivered)
    return refused ?? this.#deliver(sending, undelivered)
  }

  /** An event of one who may send it. */
  #deliver({ who, event, key, if: expected }: Sending, undelivered?: Undelivered): ServerFrames['ok'] | Failure {
    const { room, keys } = this.#standing
    const { time, seq: actual } = this.changes
    const first = key === undefined ? undefined : keys.seqOf(who.user, key, time)
    if (first !== undefined) return { type: 'ok', room, seq: first, dup: true }
    if (!this.#standing.isWritable) return readOnly()
    if (expected !== undefined && expected !== actual) {
      return failure('conflict', `the room is at seq ${actual}`, { expected, actual })
    }
    return this.#guarded(event.type, () => this.#accept(event, who, key), undelivered)
  }

  #accept(event: RoomEvent, who: Principal, key: string | undefined): ServerFrames['ok'] | Failure {
    const checked = this.#standing.machine.checkEvent(event)
    if (isFailure(checked)) return checked
    return this.#take(checked as RoomEvent, who, key) ?? this.#notAccepted(event, who)
  }

  /** A dead letter once more; whoever sent it was let in the first time. One that is accepted is a letter no more. */
  replay(seq: number, letter: Undelivered): ServerFrames['ok'] | Failure {
    const { event, from, key } = letter
    const who = { user: from ?? '', scopes: [], claims: {} }
    const answer = from === null ? this.#repeat(letter, who) : this.#deliver({ who, event, key })
    if (!isFailure(answer)) this.changes.removed.push(seq)
    return answer
  }

  #repeat(letter: Undelivered, who: Principal): ServerFrames['ok'] | Failure {
    if (!this.#standing.isWritable) return readOnly()
    return this.#guarded(letter.event.type, () => {
      const seq = this.occurrences.repeat(letter)
      return seq === undefined ? this.#notAccepted(letter.event, who) : { type: 'ok', room: this.#standing.room, seq }
    })
  }

  /** Removes a dead letter for good. */
  deleteLetter(seq: number): ServerFrames['ok'] | Failure {
    if (!this.#standing.isWritable) return readOnly()
    this.changes.removed.push(seq)
    return { type: 'ok' }
  }

  /** Lets a connection in; the machine hears of a user's first. */
  join(connection: string, who: Principal): Failure | undefined {
    const refused = this.checkJoin(who) ?? this.#birth(who.user)
    if (refused) return refused
    this.#standing.members.add(connection, who.user)
    this.occurrences.tellPresence(who.user)
    return undefined
  }

  /** Lets a connection go; the machine hears of a user's last. */
  leave(connection: string, user: string): Failure | undefined {
    const { members, room } = this.#standing
    if (!members.has(connection)) return failure('not_joined', `this connection has not joined ${room}`)
    members.delete(connection)
    this.occurrences.tellPresence(user)
    return undefined
  }

  checkJoin(who: Principal): Failure | undefined {
    const { machine, key, room } = this.#standing
    const { join } = machine.access
    if (!join || this.#allows(() => join(who, key))) return undefined
    return failure('forbidden', `${room} is not open to you`)
  }

  /** The room's state as it is, or as it would be born. */
  peek(undelivered?: Undelivered): RoomState | Failure {
    if (this.changes.state) return this.changes.state
    return this.#guarded('room.created', () => this.#initial().state, undelivered)
  }

  #checkSend(who: Principal, undelivered: Undelivered): Failure | undefined {
    const { event } = undelivered
    const { send } = this.#standing.machine.access
    if (!send) return undefined
    const state = this.peek(undelivered)
    if (isFailure(state)) return state
    if (this.#allows(() => send(who, event, state.snapshot))) return undefined
    return failure('forbidden', `you may not send ${event.type} here`)
  }

  /** Only `true` lets somebody in: not a promise of it, and not a rule that throws. */
  #allows(rule: () => boolean): boolean {
    try {
      return rule() === true
    } catch (error) {
      this.#logger.error({ err: error, room: this.#standing.room }, 'an access rule threw')
      return false
    }
  }

  /** @returns the answer, or `undefined` when the machine does not take the event now. */
  #take(event: RoomEvent, who: Principal, key: string | undefined): ServerFrames['ok'] | undefined {
    const { hosted, room, keys } = this.#standing
    const birth = this.changes.state ? undefined : this.#initial()
    const seq = this.changes.seq + (birth ? 2 : 1)
    const before = (birth?.state ?? this.changes.state) as RoomState
    const stamped = Object.assign({}, event, { from: who.user, time: this.changes.time, seq })
    const step = hosted.transition(before, stamped, this.changes.moment(seq))
    if (!step) return undefined
    const record = { seq, event, from: who.user, key, ops: diffOf(before, step.state) }
    const born = birth && this.#born(birth, who.user)
    const entry = this.changes.entry(record, step)
    if (born) this.changes.append(born)
    this.changes.append(entry)
    if (key !== undefined) keys.use(who.user, key, seq, this.changes.time)
    return { type: 'ok', room, seq }
  }

  #initial(): Step {
    const { hosted, room, key } = this.#standing
    return hosted.initial({ room, key }, this.changes.moment())
  }

  #birth(from: string): Failure | undefined {
    if (this.changes.state) return undefined
    if (!this.#standing.isWritable) return readOnly()
    return this.#guarded('room.created', () => this.changes.append(this.#born(this.#initial(), from)))
  }

  #born(step: Step, from: string): Entry {
    const ops = [{ op: 'add', path: '', value: sealJson(step.state.document) }] as const
    return this.changes.entry({ seq: this.changes.seq + 1, event: { type: 'room.created' }, from, ops }, step)
  }

  /** With `value` and `can` as the caller may see them. */
  #notAccepted(event: RoomEvent, who: Principal): Failure {
    const state = this.peek()
    if (isFailure(state)) return state
    const { value, can } = (this.#standing.audience.see(state, who) ?? {}) as Partial<PublicState>
    const type = excerpt(event.type)
    const seen = { ...(value !== undefined && { value }), ...(can !== undefined && { can }) }
    if (!Array.isArray(can)) return failure('not_accepted', `${type} is not accepted now`, seen)
    const isListed = can.includes(event.type)
    const reason = isListed ? `a guard of ${type} says no` : `there is no transition for ${type}`
    const known = can.length > 0 ? `; there is one for ${can.join(', ')}` : ''
    return failure('not_accepted', `${reason} now${isListed ? '' : known}`, seen)
  }

  /** The machine's own fault: told without its words, which might hold what the caller may not see, and logged with them. */
  #guarded<T>(event: string, run: () => T, undelivered?: Undelivered): T | Failure {
    try {
      return run()
    } catch (error) {
      this.changes.threw(event, error, undelivered)
      return failure('event_failed', `the machine threw on ${event}; its state is unchanged`)
    }
  }
}
