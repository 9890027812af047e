/**
 * One durable statechart. `commit` is the straight line: transition, append, diff, publish, in that order.
 *
 * Always true: nothing is told before it is durable; requests are decided and answered in the order they came; the
 * patch or event that carries a record reaches its sender before the `ok`.
 */
import { Aftermath, type Origin } from './aftermath.ts'
import { Attendance, type Joining } from './attendance.ts'
import { Audience } from './audience.ts'
import type { Principal } from './auth.ts'
import { Changes, type Standing } from './changes.ts'
import type { Commits } from './commits.ts'
import { DedupeWindow } from './dedupe.ts'
import { type RoomDocument, type RoomState, wakeOf } from './document.ts'
import { Draft, type Sending } from './draft.ts'
import { type Failure, failure, isFailure } from './errors.ts'
import type { Arrival } from './live.ts'
import type { Log } from './log.ts'
import type { Logger } from './logger.ts'
import type { Hosted, Machine } from './machine.ts'
import { Members } from './members.ts'
import { Occurrences } from './occurrences.ts'
import type { ServerFrames } from './protocol.ts'
import { historyOf, recover, snapshotLine } from './recovery.ts'
import { Retention } from './retention.ts'
import type { JoinedRoom, Publication, Subscriber, Subscription } from './subscription.ts'
import { type Owner, type Request, type Tell, Turns } from './turns.ts'
import type { Wheel } from './wheel.ts'

const DONE = (): void => {}

export type Answer = (frame: ServerFrames['ok' | 'snapshot' | 'history'] | Failure) => void

/** What a room needs around it. */
export interface Surroundings {
  readonly log: Log
  readonly commits: Commits
  readonly logger: Logger
  readonly wheel: Wheel
  /** Nobody is in the room and nothing waits. */
  onIdle(room: Room): void
}

export class Room implements Owner<Draft>, JoinedRoom, Origin {
  readonly name: string
  readonly #key: string
  readonly #machine: Machine
  readonly #hosted: Hosted
  readonly #aftermath: Aftermath
  readonly #around: Surroundings
  readonly #turns: Turns<Draft>
  readonly #retention: Retention
  readonly #audience: Audience
  readonly #attendance: Attendance
  #members = new Members()
  #keys = new DedupeWindow()
  #state: RoomState | undefined
  /** The document as the log has it, until its migration is stored. */
  #outdated: RoomDocument | undefined

  constructor(machine: Machine, key: string, around: Surroundings) {
    this.name = `${machine.name}/${key}`
    this.#key = key
    this.#machine = machine
    this.#hosted = machine.host((to, event) => this.arrived({ to, event }))
    this.#aftermath = new Aftermath(this, around)
    this.#around = around
    this.#retention = new Retention(machine.policy)
    this.#audience = new Audience(this.name, machine, around)
    this.#attendance = new Attendance(this, machine, this.#audience, around.log)
    this.#turns = new Turns(this, around.commits, around.logger)
    void this.#turns.load()
  }

  send(sending: Sending, answer: Answer): void {
    this.#turns.receive({
      decide: (draft) => {
        const decided = draft.send(sending)
        return () => answer(decided)
      },
      refuse: answer,
    })
  }

  join(subscriber: Subscriber, who: Principal, joining: Joining, answer: Answer): void {
    this.#turns.receive({
      decide: (draft) => {
        const isRefused = joining.mode === 'events' || joining.mode === 'both' ? this.#checkEvents() : undefined
        const refused = draft.checkJoin(who) ?? isRefused ?? draft.join(subscriber.id, who)
        return () => (refused ? answer(refused) : this.#attendance.admit(subscriber, who, joining, answer))
      },
      refuse: answer,
    })
  }

  /** Gives a refusal that was decided elsewhere its turn among the answers (rule R2). */
  refuse(refusal: Failure, answer: Answer): void {
    this.#turns.receive({ decide: () => () => answer(refusal), refuse: answer })
  }

  leave(subscriber: Subscriber, who: Principal, answer: Answer): void {
    this.#turns.receive({
      decide: (draft) => {
        const refused = draft.leave(subscriber.id, who.user)
        return () => {
          if (!refused) this.#attendance.dismiss(subscriber)
          answer(refused ?? { type: 'ok' })
        }
      },
      refuse: answer,
    })
  }

  get(who: Principal, answer: Answer): void {
    this.#turns.receive({
      decide: (draft) => {
        const state = draft.checkJoin(who) ?? draft.peek()
        return () => answer(isFailure(state) ? state : this.#snapshot(state, who))
      },
      refuse: answer,
    })
  }

  history(who: Principal, range: { since?: number | undefined; limit?: number | undefined }, answer: Answer): void {
    this.#turns.receive({
      decide: (draft) => {
        const refused = draft.checkJoin(who) ?? this.#checkEvents()
        const shown = { ...range, show: this.#audience.shownTo(who) }
        return async () => answer(refused ?? (await historyOf(this.#around.log, this.#audience.position, shown)))
      },
      refuse: answer,
    })
  }

  /** The claims of one who is in have changed: whoever may not be here any more is put out, and told so (rule A2). */
  recheck(subscriber: Subscriber, who: Principal): void {
    this.#turns.receive({
      decide: (draft) => {
        const refused = draft.checkJoin(who)
        const isPutOut = refused && !draft.leave(subscriber.id, who.user)
        return () => {
          if (isPutOut) this.#attendance.dismiss(subscriber, refused)
          else this.#attendance.become(subscriber, who)
        }
      },
      refuse: () => {},
    })
  }

  /** Whether anybody may see the events of this machine (rule S5). */
  #checkEvents(): Failure | undefined {
    if (this.#machine.showsEvents) return undefined
    return failure('forbidden', `${this.#machine.name} shows its events to nobody: it has a view, and no viewEvent`)
  }

  /** A connection is gone, without asking. */
  lost(subscriber: Subscriber, who: Principal): void {
    const forget = () => this.#attendance.forget(subscriber)
    this.#turns.receive({
      decide: (draft) => {
        draft.leave(subscriber.id, who.user)
        return forget
      },
      refuse: forget,
    })
  }

  /** Invoked work, or an action of the machine, has something to say. */
  arrived(arrival: Arrival): void {
    this.#turns.receive({
      decide: (draft) => {
        draft.occurrences.arrive(arrival)
        return DONE
      },
      refuse: () => this.#around.logger.error({ room: this.name, event: arrival.event.type }, 'an arrival was lost'),
    })
  }

  /** A delay is due, or a crash left something to be settled: a turn looks at that by itself. */
  wake(): void {
    this.#turns.receive({ decide: () => DONE, refuse: DONE })
  }

  /** The socket of a subscriber takes frames again. */
  drained(subscriber: Subscriber): void {
    this.#attendance.drained(subscriber)
  }

  get subscriptions(): number {
    return this.#attendance.size
  }

  /** Whether nobody is here and nothing waits, so that the room may be forgotten until somebody asks again. */
  get isIdle(): boolean {
    return this.#turns.isAtRest && this.#attendance.size === 0 && !this.#aftermath.isBusy
  }

  /** Nothing of it runs any more: it is forgotten until somebody asks for it. */
  stop(): void {
    this.#aftermath.stop()
  }

  async commit(requests: Request<Draft>[]): Promise<void> {
    const { changes, tells } = this.#transition(requests)
    await this.#append(changes)
    this.#publish(this.#diff(changes))
    await this.#turns.tell(requests, tells)
    this.#aftermath.carryOut(changes.effects, this.#state)
  }

  /** 1: would the machine take it, and what would follow? */
  #transition(requests: Request<Draft>[]): { changes: Changes; tells: Tell[] } {
    const { logger } = this.#around
    const standing = this.#standing()
    const changes = new Changes(standing, logger)
    const occurrences = new Occurrences(standing, changes)
    occurrences.settle()
    const draft = new Draft(standing, changes, occurrences, logger)
    return { changes, tells: requests.map((request) => request.decide(draft)) }
  }

  /** 2: order, on disk. */
  async #append({ lines, state, seq, time }: Changes): Promise<void> {
    if (lines.length === 0 || !state) return
    const snapshot = this.#retention.isSnapshotDue(seq) && {
      snapshot: snapshotLine(seq, state.document, this.#keys, time),
      trim: this.#retention.snapshotAt(seq, time),
    }
    const batch = { topic: this.name, after: this.#audience.position.seq, lines, ...snapshot, wake: wakeOf(state) }
    const result = await this.#around.commits.append(batch)
    if ('conflict' in result)
      throw new Error(`somebody else wrote to ${this.name}, which is at ${result.conflict.actual}`)
    this.#state = state
    this.#outdated = undefined
  }

  /** 3: what changed for those who watch. */
  #diff({ seq, records }: Changes): ((subscription: Subscription) => Publication) | undefined {
    if (records.length === 0 || !this.#state) return undefined
    return this.#audience.move(seq, this.#state, records)
  }

  /** 4: the same bytes to every tab. */
  #publish(publicationFor: ((subscription: Subscription) => Publication) | undefined): void {
    if (publicationFor) this.#attendance.publish(publicationFor)
  }

  #snapshot(peeked: RoomState, who: Principal): ServerFrames['snapshot'] {
    const { room, epoch, seq } = this.#audience.position
    const state = seq === 0 ? this.#audience.see(peeked, who) : this.#audience.viewOf(who).state
    return { type: 'snapshot', room, epoch, seq, state }
  }

  // What the turns need.

  async load(): Promise<void> {
    const { epoch, seq, snapshot, document, keys } = await recover(this.#around.log, this.name)
    this.#keys = keys
    const migrated = document && this.#hosted.migrate(document)
    this.#state = migrated && this.#hosted.restore(migrated)
    this.#outdated = migrated === document ? undefined : document
    this.#audience.begin(epoch, seq, this.#state)
    this.#retention.begin(seq, snapshot, Date.now())
    this.#members = new Members()
    for (const [id, who] of this.#attendance.everybody()) this.#members.add(id, who.user)
    this.#members.believed(document?.present ?? [])
    this.#attendance.catchUp()
    this.#aftermath.settle(this.#state)
  }

  get isUnsettled(): boolean {
    if (this.#outdated) return true
    return this.#machine.hasPresence && this.#state !== undefined && this.#members.unsettled.size > 0
  }

  rested(): void {
    this.#audience.rest()
    if (this.isIdle) this.#around.onIdle(this)
  }

  /** Nobody stays in a room that cannot be served. */
  failed(why: Failure): void {
    this.#attendance.dismissAll(why)
  }

  #standing(): Standing {
    return {
      room: this.name,
      key: this.#key,
      machine: this.#machine,
      hosted: this.#hosted,
      state: this.#state,
      outdated: this.#outdated,
      seq: this.#audience.position.seq,
      keys: this.#keys,
      members: this.#members,
      isWritable: this.#around.commits.isWritable,
    }
  }
}
