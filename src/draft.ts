/**
 * The first step of a commit: what a batch of requests would make of a room. Decided in the order they came, each on
 * what the ones before it left; nothing here is told, stored or carried out.
 *
 * Always true: a request that is refused leaves the draft as it was; a seq is used only for what was accepted. The
 * checks of a `send` run in this order: access, dedupe, `if`, schema, transition.
 */
import type { Consequence } from './aftermath.ts'
import type { Principal } from './auth.ts'
import type { DedupeWindow } from './dedupe.ts'
import { type RoomDocument, type RoomState, withPresent } from './document.ts'
import { excerpt, type Failure, failure, isFailure, readOnly } from './errors.ts'
import type { Delay, Moment } from './folded.ts'
import type { Arrival } from './live.ts'
import { encodeLine, type LogRecord } from './log.ts'
import type { Logger } from './logger.ts'
import type { Hosted, Machine, Step } from './machine.ts'
import type { PublicState } from './machine-file.ts'
import type { Members } from './members.ts'
import { diff, sealJson } from './patch.ts'
import type { RoomEvent, ServerFrames } from './protocol.ts'

/** A room as it stands before the batch; `state` is missing while the room is unborn. */
export interface Standing {
  readonly room: string
  readonly key: string
  readonly machine: Machine
  readonly hosted: Hosted
  readonly state: RoomState | undefined
  /** What the log has of it, where `state` is of a newer version of the machine. */
  readonly outdated: RoomDocument | undefined
  readonly seq: number
  readonly keys: DedupeWindow
  readonly members: Members
  /** `false`: the storage refuses writes, and a draft that adds nothing is all that can be. */
  readonly isWritable: boolean
}

export interface Sending {
  readonly who: Principal
  readonly event: RoomEvent
  readonly key?: string | undefined
  readonly if?: number | undefined
}

export class Draft {
  /** What was accepted, and the same as lines of the log. */
  readonly records: LogRecord[] = []
  readonly lines: string[] = []
  readonly effects: Consequence[] = []
  state: RoomState | undefined
  seq: number
  readonly time = Date.now()
  readonly #standing: Standing
  readonly #logger: Logger

  constructor(standing: Standing, logger: Logger) {
    this.#standing = standing
    this.#logger = logger
    this.state = standing.state
    this.seq = standing.seq
  }

  send({ who, event, key, if: expected }: Sending): ServerFrames['ok'] | Failure {
    const { room, keys, machine } = this.#standing
    const refused = this.checkJoin(who) ?? this.#checkSend(who, event)
    if (refused) return refused
    const first = key === undefined ? undefined : keys.seqOf(who.user, key, this.time)
    if (first !== undefined) return { type: 'ok', room, seq: first, dup: true }
    if (!this.#standing.isWritable) return readOnly()
    if (expected !== undefined && expected !== this.seq) {
      return failure('conflict', `the room is at seq ${this.seq}`, { expected, actual: this.seq })
    }
    return this.#guarded(event.type, () => {
      const checked = machine.checkEvent(event)
      if (isFailure(checked)) return checked
      return this.#take(checked as RoomEvent, who, key) ?? this.#notAccepted(event, who)
    })
  }

  /** Lets a connection in; the machine hears of a user's first. */
  join(connection: string, who: Principal): Failure | undefined {
    const refused = this.checkJoin(who) ?? this.#birth(who.user)
    if (refused) return refused
    this.#standing.members.add(connection, who.user)
    this.#tellPresence(who.user)
    return undefined
  }

  /** Lets a connection go; the machine hears of a user's last. */
  leave(connection: string, user: string): Failure | undefined {
    const { members, room } = this.#standing
    if (!members.has(connection)) return failure('not_joined', `this connection has not joined ${room}`)
    members.delete(connection)
    this.#tellPresence(user)
    return undefined
  }

  /** Tells the machine of everybody whom it has not heard of: after a crash, or while nothing could be written. */
  settlePresence(): void {
    for (const user of this.#standing.members.unsettled) this.#tellPresence(user)
  }

  checkJoin(who: Principal): Failure | undefined {
    const { machine, key, room } = this.#standing
    const { join } = machine.access
    if (!join || this.#allows(() => join(who, key))) return undefined
    return failure('forbidden', `${room} is not open to you`)
  }

  /** The room's state as it is, or as it would be born. */
  peek(): RoomState | Failure {
    if (this.state) return this.state
    return this.#guarded('room.created', () => this.#initial().state)
  }

  #checkSend(who: Principal, event: RoomEvent): Failure | undefined {
    const { send } = this.#standing.machine.access
    if (!send) return undefined
    const state = this.peek()
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
    const birth = this.state ? undefined : this.#initial()
    const seq = this.seq + (birth ? 2 : 1)
    const before = (birth?.state ?? this.state) as RoomState
    const step = hosted.transition(before, { ...event, from: who.user, time: this.time, seq }, this.#moment(seq))
    if (!step) return undefined
    const record = { seq, event, from: who.user, ...(key !== undefined && { key }), ops: diffOf(before, step.state) }
    const entries = [...(birth ? [this.#born(birth, who.user)] : []), this.#entry(record, step)]
    for (const entry of entries) this.#append(entry)
    if (key !== undefined) keys.use(who.user, key, seq, this.time)
    return { type: 'ok', room, seq }
  }

  #initial(): Step {
    const { hosted, room, key } = this.#standing
    return hosted.initial({ room, key }, this.#moment(this.seq + 1))
  }

  #moment(seq: number): Moment {
    return { now: this.time, seq }
  }

  #birth(from: string): Failure | undefined {
    if (this.state) return undefined
    if (!this.#standing.isWritable) return readOnly()
    return this.#guarded('room.created', () => this.#append(this.#born(this.#initial(), from)))
  }

  #born(step: Step, from: string): Entry {
    const ops = [{ op: 'add', path: '', value: sealJson(step.state.document) }] as const
    return this.#entry({ seq: this.seq + 1, event: { type: 'room.created' }, from, ops }, step)
  }

  /** Encodes the record at once, so that a state that is no JSON is its own event's fault. @throws {TypeError} */
  #entry(given: Omit<LogRecord, 'time'>, { state, effects }: Step): Entry {
    const record: LogRecord = { ...given, time: this.time }
    return { record, line: encodeLine(record), state, effects }
  }

  #append({ record, line, state, effects }: Entry): undefined {
    const { seq } = record
    this.seq = seq
    this.state = state
    this.records.push(record)
    this.lines.push(line)
    for (const effect of effects) this.effects.push({ seq, effect })
  }

  /** `room.joined` or `room.left`, where the members say otherwise than the document (rule S8). */
  #tellPresence(user: string): void {
    const { machine, members, isWritable } = this.#standing
    if (!this.state || !isWritable) return
    members.settle(user)
    if (!machine.hasPresence) return
    const { present } = this.state.document
    const isIn = members.hasUser(user)
    if (isIn === present.includes(user)) return
    const event = { type: isIn ? 'room.joined' : 'room.left', user }
    const next = isIn ? [...present, user] : present.filter((other) => other !== user)
    this.#append(this.#presence(event, next))
  }

  #presence(event: RoomEvent, present: readonly string[]): Entry {
    const before = this.state as RoomState
    const { machine } = this.#standing
    return this.#happen(event, {
      before,
      prepared: withPresent(before, present),
      isKnown: machine.declares(event.type),
    })
  }

  /** A room that was stored by an older version of its machine goes on as one of this version. */
  settleMigration(): void {
    const { outdated, isWritable } = this.#standing
    const { state } = this
    if (!outdated || !state || !isWritable) return
    const event = { type: 'room.migrated', from: outdated.version, to: state.document.version }
    const ops = diff(outdated, state.document)
    this.#append(this.#entry({ seq: this.seq + 1, event, from: null, ops }, { state, effects: [] }))
  }

  /** What waited for its time, and is due (rule S6). */
  settleTimers(): void {
    for (let due = this.#due(); due; due = this.#due()) this.#append(this.#fired(due))
  }

  #due(): Delay | undefined {
    const [next] = this.state?.delays ?? []
    return next && next.dueAt <= this.time && this.#standing.isWritable ? next : undefined
  }

  #fired(due: Delay): Entry {
    const before = this.state as RoomState
    const prepared = this.#standing.hosted.without(before, due)
    return this.#happen(due.event, { before, prepared, path: due.to })
  }

  /** What invoked work brings. Nothing is made of what an earlier activation began, or the machine has ended. */
  arrive(arrival: Arrival): void {
    const before = this.state
    if (!before || !this.#standing.isWritable) return
    const prepared = this.#standing.hosted.received(before, arrival)
    if (prepared) this.#append(this.#happen(arrival.event, { before, prepared, path: arrival.to }))
  }

  /** Something that the server caused. A machine that does not take it, or throws on it, stays as it is; the record stands. */
  #happen(given: RoomEvent, { before, prepared, path, isKnown = true }: Happening): Entry {
    const { hosted } = this.#standing
    const seq = this.seq + 1
    const event = toJson(given)
    const entryOf = (step: Step | undefined): Entry => {
      const { state, effects } = step ?? { state: prepared, effects: [] }
      return this.#entry({ seq, event, from: null, ops: diffOf(before, state) }, { state, effects })
    }
    if (!isKnown) return entryOf(undefined)
    try {
      return entryOf(
        hosted.transition(prepared, { ...given, from: null, time: this.time, seq }, this.#moment(seq), path),
      )
    } catch (error) {
      this.#tellThrown(given.type, error)
      return entryOf(undefined)
    }
  }

  /** With `value` and `can` as the caller may see them. */
  #notAccepted(event: RoomEvent, who: Principal): Failure {
    const state = this.peek()
    if (isFailure(state)) return state
    const { value, can } = this.#standing.machine.project(state, who) as Partial<PublicState>
    const type = excerpt(event.type)
    const seen = { ...(value !== undefined && { value }), ...(can !== undefined && { can }) }
    if (!can) return failure('not_accepted', `${type} is not accepted now`, seen)
    const isListed = can.includes(event.type)
    const reason = isListed ? `a guard of ${type} says no` : `there is no transition for ${type}`
    const known = can.length > 0 ? `; there is one for ${can.join(', ')}` : ''
    return failure('not_accepted', `${reason} now${isListed ? '' : known}`, seen)
  }

  /** The machine's own fault: told without its words, which might hold what the caller may not see, and logged with them. */
  #guarded<T>(event: string, run: () => T): T | Failure {
    try {
      return run()
    } catch (error) {
      this.#tellThrown(event, error)
      return failure('event_failed', `the machine threw on ${event}; its state is unchanged`)
    }
  }

  /** One line for the operator, since any client may bring it about; the stack is for whoever debugs the machine. */
  #tellThrown(type: string, error: unknown): void {
    const { room } = this.#standing
    const event = excerpt(type)
    this.#logger.warn({ room, event, error: String(error) }, 'the machine threw')
    this.#logger.debug({ room, event, err: error }, 'the machine threw')
  }
}

/** A record that was accepted, encoded, with what it makes of the room. */
interface Entry extends Step {
  readonly record: LogRecord
  readonly line: string
}

/** What happens to a room: from `before`, once the occasion itself is `prepared`, to the actor at `path`. */
interface Happening {
  readonly before: RoomState
  readonly prepared: RoomState
  readonly path?: string
  /** Whether the machine has a transition for it anywhere. */
  readonly isKnown?: boolean
}

/** An event as a record can hold it: an error by its name and message, and of what is no JSON the type alone. */
function toJson(event: RoomEvent): RoomEvent {
  const { type, error } = event
  if (error instanceof Error) return toJson({ ...event, error: { name: error.name, message: error.message } })
  try {
    return JSON.parse(JSON.stringify(event))
  } catch {
    return { type }
  }
}

const diffOf = (before: RoomState, after: RoomState) => diff(before.document, after.document)
