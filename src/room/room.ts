/**
 * One durable statechart. `commit` is the straight line: transition, append, diff, publish, in that order.
 *
 * Always true: nothing is told before it is durable; requests are decided and answered in the order they came; the
 * patch or event that carries a record reaches its sender before the `ok`.
 */

import { DedupeWindow } from '../dedupe.ts'
import type { Failure } from '../errors.ts'
import type { Commits } from '../log/commits.ts'
import { type Batch, type Log, type LogRecord, lengthOf } from '../log/log.ts'
import { Retention } from '../log/retention.ts'
import type { Logger } from '../logger.ts'
import { type RoomDocument, type RoomState, wakeOf } from '../machine/document.ts'
import type { Hosted, Machine } from '../machine/machine.ts'
import type { Downtime } from '../machine/uptime.ts'
import { type Owner, type Request, type Tell, Turns } from '../turns.ts'
import type { Wheel } from '../wheel.ts'
import { Aftermath, type Origin } from './aftermath.ts'
import { Attendance } from './attendance.ts'
import { Audience } from './audience.ts'
import { Blocking } from './blocking.ts'
import { Changes, type Standing } from './changes.ts'
import { DeadLetterOffice } from './dead-letter-office.ts'
import { DeadLetters } from './dead-letters.ts'
import { Draft } from './draft.ts'
import { Members } from './members.ts'
import { Occurrences } from './occurrences.ts'
import { recover, snapshotLine } from './recovery.ts'
import { type Answer, RoomRequests } from './room-requests.ts'
import type { Publication, Subscription } from './subscription.ts'
import { Supervisor } from './supervisor.ts'

type PublicationFor = (subscription: Subscription) => Publication

/** Whoever looks on without being in any room. */
export interface Onlooker {
  /** Told of what was committed and published, with the room as it was before; missing while nobody looks. */
  committed?: ((room: string, records: readonly LogRecord[], before: RoomDocument | undefined) => void) | undefined
  /** Told of a room that failed, or was revived, and of a machine that has become another. */
  turned?: ((name: string) => void) | undefined
}

/** What a room needs around it. */
export interface Surroundings {
  readonly log: Log
  readonly commits: Commits
  readonly logger: Logger
  readonly wheel: Wheel
  readonly downtime: Downtime
  readonly onlooker?: Onlooker
  /** Nobody is in the room and nothing waits. */
  onIdle(room: Room): void
  /** Its machine threw too often: nobody is served until it is revived. */
  onFailed(room: Room, why: Failure): void
}

export class Room extends RoomRequests implements Owner<Draft>, Origin {
  readonly name: string
  readonly deadLetters: DeadLetterOffice
  readonly #key: string
  readonly #machine: Machine
  #hosted: Hosted
  readonly #aftermath: Aftermath
  readonly #around: Surroundings
  protected readonly log: Log
  protected readonly logger: Logger
  protected readonly turns: Turns<Draft>
  #retention: Retention
  protected readonly audience: Audience
  protected readonly attendance: Attendance
  readonly #letters: DeadLetters
  readonly #supervisor: Supervisor
  protected readonly blocking: Blocking
  #members = new Members()
  #keys = new DedupeWindow()
  #state: RoomState | undefined
  /** The document as the log has it, until its migration is stored. */
  #outdated: RoomDocument | undefined

  constructor(machine: Machine, key: string, around: Surroundings) {
    super()
    this.name = `${machine.name}/${key}`
    this.log = around.log
    this.logger = around.logger
    this.#key = key
    this.#machine = machine
    this.#around = around
    this.#hosted = this.#host()
    this.#retention = new Retention(machine.policy)
    this.audience = new Audience(this.name, machine, around)
    this.attendance = new Attendance(this, machine, this.audience, around.log)
    this.#letters = new DeadLetters(this.name, around)
    this.blocking = new Blocking(this.name, machine, around.logger)
    this.#supervisor = new Supervisor(this.name, machine, around.logger, (why) => this.#giveUp(why))
    this.#aftermath = new Aftermath(this, this.#supervisor, around)
    this.turns = new Turns(this, around.commits, around.logger)
    this.deadLetters = new DeadLetterOffice(this.turns, this.#letters)
    void this.turns.load()
  }

  /** A room that failed is read from its log again, and its failures are forgotten. */
  revive(answer: Answer): void {
    this.#supervisor.forget()
    this.turns.revive()
    this.turns.receive({ decide: () => () => answer({ type: 'ok', room: this.name }), refuse: answer })
  }

  /**
   * Its machine has become another: it goes on from what is stored of it, as after a restart, with those who are in it.
   * Resolves with what keeps it from that.
   */
  beginAgain(): Promise<Failure | undefined> {
    this.turns.beginAgain(() => {
      this.#aftermath.stop()
      this.#supervisor.forget()
      this.#hosted = this.#host()
      this.#retention = new Retention(this.#machine.policy)
      this.attendance.recheckAll()
    })
    return new Promise((resolve) => {
      this.turns.receive({ decide: () => () => resolve(undefined), refuse: resolve })
    })
  }

  /** Nobody is served any more, from the end of this turn on. */
  close(why: Failure): void {
    this.turns.giveUp(why)
  }

  #host(): Hosted {
    return this.#machine.host((to, event) => this.arrived({ to, event }), this.#around.downtime)
  }

  #giveUp(why: Failure): void {
    this.#around.onFailed(this, why)
    this.turns.giveUp(why)
  }

  /** Whether nobody is here and nothing waits, so that the room may be forgotten until somebody asks again. */
  get isIdle(): boolean {
    return this.turns.isAtRest && this.attendance.size === 0 && !this.#aftermath.isBusy
  }

  /** Whether what is stored of it could not be read; whoever asks next tries again. */
  get isUnreadable(): boolean {
    return this.turns.hasFailed && !this.turns.isGivenUp
  }

  /** What was published of it last; no document while the room is unborn, or not read yet. */
  get place(): { readonly seq: number; readonly document: RoomDocument | undefined } {
    return { seq: this.audience.position.seq, document: this.audience.document }
  }

  /** Failures that may still be too many are not forgotten with the room; that they were is remembered elsewhere. */
  get remembersFor(): number {
    return this.turns.isGivenUp ? 0 : this.#supervisor.remembersFor
  }

  /** Nothing of it runs any more: it is forgotten until somebody asks for it. */
  stop(): void {
    this.#aftermath.stop()
  }

  async commit(requests: Request<Draft>[]): Promise<void> {
    const before = this.#outdated ?? this.#state?.document
    const { changes, tells } = this.blocking.watch('deciding', () => this.#transition(requests))
    const letters = this.#letters.append(changes)
    await (letters ? Promise.all([this.#append(changes), letters]) : this.#append(changes))
    await this.#publish(this.#diff(changes), requests, tells)
    this.blocking.watch('acting', () => this.#aftermath.carryOut(changes.effects, this.#state))
    this.#supervisor.count(changes.failures, changes.time)
    if (changes.records.length > 0) this.#around.onlooker?.committed?.(this.name, changes.records, before)
  }

  /** 1: would the machine take it, and what would follow? Those behind one failure too many are not decided any more. */
  #transition(requests: Request<Draft>[]): { changes: Changes; tells: Tell[] } {
    const standing = this.#standing()
    const changes = new Changes(standing, this.logger)
    const occurrences = new Occurrences(standing, changes)
    occurrences.settle()
    const draft = new Draft(standing, changes, occurrences, this.logger)
    const left = this.#supervisor.left(changes.time)
    const tells: Tell[] = []
    for (const request of requests) if (changes.failures < left) tells.push(request.decide(draft))
    return { changes, tells }
  }

  /** 2: order, on disk. */
  async #append({ lines, state, seq, time }: Changes): Promise<void> {
    if (lines.length === 0 || !state) return
    const kept = this.#retention.add(seq, lengthOf(lines)) && this.#snapshot(seq, state.document, time)
    const batch = { topic: this.name, after: this.audience.position.seq, lines, ...kept, wake: wakeOf(state) }
    const result = await this.#around.commits.append(batch)
    if ('conflict' in result)
      throw new Error(`somebody else wrote to ${this.name}, which is at ${result.conflict.actual}`)
    this.#state = state
    this.#outdated = undefined
  }

  /** From which recovery goes on, and how far the log may forget what lies before. */
  #snapshot(seq: number, document: RoomDocument, time: number): Pick<Batch, 'snapshot' | 'keep' | 'trim'> {
    const snapshot = snapshotLine(seq, document, this.#keys, time)
    return { snapshot, ...this.#retention.snapshotAt(seq, snapshot.length, time) }
  }

  /** 3: what changed for those who watch. */
  #diff({ seq, records }: Changes): PublicationFor | undefined {
    if (records.length === 0 || !this.#state) return undefined
    return this.audience.move(seq, this.#state, records)
  }

  /** 4: the same bytes to every tab; to those who asked together with their answers. */
  #publish(publicationFor: PublicationFor | undefined, requests: Request<Draft>[], tells: Tell[]): Promise<void> {
    if (!publicationFor) return this.turns.tell(requests, tells)
    const askers = new Set<string>()
    for (const { asker } of requests) if (asker) askers.add(asker.id)
    this.blocking.watch('showing', () => this.attendance.publish(publicationFor, askers))
    return this.turns.tell(requests, tells, ({ id }) => {
      if (askers.delete(id)) this.blocking.watch('showing', () => this.attendance.publishTo(id, publicationFor))
    })
  }

  // What the turns need.

  async load(): Promise<void> {
    await this.#letters.load()
    const { epoch, seq, snapshot, keyframes, document, keys } = await recover(this.log, this.name)
    this.#keys = keys
    const migrated = document && this.#hosted.migrate(document)
    this.#state = migrated && this.#hosted.restore(migrated)
    this.#outdated = migrated === document ? undefined : document
    this.audience.begin(epoch, seq, this.#state)
    this.#retention.begin(snapshot, keyframes, Date.now())
    this.#members = new Members()
    for (const [id, who] of this.attendance.everybody()) this.#members.add(id, who.user)
    this.#members.believed(document?.present ?? [])
    this.attendance.catchUp()
    if (!this.turns.isGivenUp) this.#aftermath.settle(this.#state)
  }

  get isUnsettled(): boolean {
    if (this.#outdated) return true
    if (!this.#state) return false
    if (this.#hosted.rescheduled(this.#state) !== this.#state) return true
    return this.#machine.hasPresence && this.#members.unsettled.size > 0
  }

  rested(): void {
    this.audience.rest()
    if (this.isIdle) this.#around.onIdle(this)
  }

  /** Nobody stays in a room that cannot be served, and nothing of it goes on. */
  failed(why: Failure): void {
    this.#aftermath.stop()
    this.attendance.dismissAll(why)
  }

  #standing(): Standing {
    return {
      room: this.name,
      key: this.#key,
      machine: this.#machine,
      hosted: this.#hosted,
      state: this.#state,
      outdated: this.#outdated,
      seq: this.audience.position.seq,
      keys: this.#keys,
      members: this.#members,
      audience: this.audience,
      isWritable: this.#around.commits.isWritable,
    }
  }
}
