/**
 * One durable statechart. `commit` is the straight line: transition, append, diff, publish, in that order.
 *
 * Always true: nothing is told before it is durable; requests are decided and answered in the order they came; the
 * patch that carries an event reaches its sender before the `ok`; where memory might have run ahead of the log, the
 * room is read from the log again.
 */
import type { Principal } from './auth.ts'
import type { Commits, Participant } from './commits.ts'
import { DedupeWindow } from './dedupe.ts'
import { Draft, type Sending } from './draft.ts'
import { type Failure, failure, isFailure } from './errors.ts'
import type { Log } from './log.ts'
import type { Logger } from './logger.ts'
import type { Machine, RoomState } from './machine.ts'
import { Members } from './members.ts'
import type { ServerFrames } from './protocol.ts'
import { missedFrame, type Position, recover, snapshotLine } from './recovery.ts'
import { type JoinedRoom, type Subscriber, Subscription, View } from './subscription.ts'

/** Requests of one turn at most, so that a hot room lets the sockets breathe. */
const TURN = 1000
const SNAPSHOT_EVERY = 100

export type Answer = (frame: ServerFrames['ok'] | ServerFrames['snapshot'] | Failure) => void

/** What a room needs around it. */
export interface Surroundings {
  readonly log: Log
  readonly commits: Commits
  readonly logger: Logger
  /** Nobody is in the room and nothing waits. */
  onIdle(room: Room): void
}

/** `decide` says what the request makes of the draft, and gives back what tells it once that is durable. */
interface Request {
  decide(draft: Draft): Tell
  /** Answers where nothing could be made durable. */
  refuse(failure: Failure): void
}

type Tell = () => void | Promise<void>

export class Room implements Participant, JoinedRoom {
  readonly name: string
  readonly #key: string
  readonly #machine: Machine
  readonly #around: Surroundings
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #mailbox: Request[] = []
  #phase: 'loading' | 'ready' | 'committing' | 'failed' = 'loading'
  #members = new Members()
  #keys = new DedupeWindow()
  #state: RoomState | undefined
  #published: View
  #lastSnapshot = 0

  constructor(machine: Machine, key: string, around: Surroundings) {
    this.name = `${machine.name}/${key}`
    this.#key = key
    this.#machine = machine
    this.#around = around
    this.#published = new View(this.name, '', 0, undefined)
    void this.#load()
  }

  send(sending: Sending, answer: Answer): void {
    this.#receive({
      decide: (draft) => {
        const decided = draft.send(sending)
        return () => answer(decided)
      },
      refuse: answer,
    })
  }

  join(subscriber: Subscriber, who: Principal, since: Position | undefined, answer: Answer): void {
    this.#receive({
      decide: (draft) => {
        const refused = draft.join(subscriber.id, who)
        return () => (refused ? answer(refused) : this.#admit(subscriber, who, since, answer))
      },
      refuse: answer,
    })
  }

  leave(subscriber: Subscriber, who: Principal, answer: Answer): void {
    this.#receive({
      decide: (draft) => {
        const refused = draft.leave(subscriber.id, who.user)
        return () => {
          if (!refused) this.#dismiss(subscriber)
          answer(refused ?? { type: 'ok' })
        }
      },
      refuse: answer,
    })
  }

  get(who: Principal, answer: Answer): void {
    this.#receive({
      decide: (draft) => {
        const state = draft.checkJoin(who) ?? draft.peek()
        return () => answer(isFailure(state) ? state : this.#snapshot(state))
      },
      refuse: answer,
    })
  }

  /** The claims of one who is in have changed: whoever may not be here any more is put out, and told so (rule A2). */
  recheck(subscriber: Subscriber, who: Principal): void {
    this.#receive({
      decide: (draft) => {
        const refused = draft.checkJoin(who)
        if (refused) draft.leave(subscriber.id, who.user)
        return () => {
          if (refused) this.#dismiss(subscriber, refused)
        }
      },
      refuse: () => {},
    })
  }

  /** A connection is gone, without asking. */
  lost(subscriber: Subscriber, who: Principal): void {
    const forget = () => void this.#subscriptions.delete(subscriber.id)
    this.#receive({
      decide: (draft) => {
        draft.leave(subscriber.id, who.user)
        return forget
      },
      refuse: forget,
    })
  }

  /** The socket of a subscriber takes frames again. */
  drained(subscriber: Subscriber): void {
    this.#subscriptions.get(subscriber.id)?.catchUp(this.#published)
  }

  get subscriptions(): number {
    return this.#subscriptions.size
  }

  /** Whether nobody is here and nothing waits, so that the room may be forgotten until somebody asks again. */
  get isIdle(): boolean {
    const isAtRest = this.#phase === 'ready' || this.#phase === 'failed'
    return isAtRest && this.#subscriptions.size === 0 && this.#mailbox.length === 0
  }

  async commit(): Promise<void> {
    const requests = this.#mailbox.splice(0, TURN)
    this.#phase = 'committing'
    try {
      const { draft, tells } = this.#transition(requests)
      await this.#append(draft)
      this.#publish(this.#diff(draft))
      await this.#tell(requests, tells)
      this.#carryOut(draft)
    } catch (error) {
      return this.#restart(error, requests)
    }
    this.#rest()
  }

  /** 1: would the machine take it, and what would follow? */
  #transition(requests: Request[]): { draft: Draft; tells: Tell[] } {
    const draft = new Draft(this.#standing(), this.#around.logger)
    draft.settlePresence()
    return { draft, tells: requests.map((request) => request.decide(draft)) }
  }

  /** 2: order, on disk. */
  async #append({ lines, state, seq, time }: Draft): Promise<void> {
    if (lines.length === 0 || !state) return
    const isDue = seq - this.#lastSnapshot >= SNAPSHOT_EVERY
    const snapshot = isDue && { snapshot: snapshotLine(seq, state.document, this.#keys, time) }
    const batch = { topic: this.name, after: this.#published.seq, lines, ...snapshot }
    const result = await this.#around.commits.append(batch)
    if ('conflict' in result)
      throw new Error(`somebody else wrote to ${this.name}, which is at ${result.conflict.actual}`)
    if (isDue) this.#lastSnapshot = seq
    this.#state = state
  }

  /** 3: what changed for those who watch. */
  #diff({ seq, lines }: Draft): Publication | undefined {
    if (lines.length === 0 || !this.#state) return undefined
    const base = this.#published
    const view = new View(this.name, base.epoch, seq, this.#machine.project(this.#state))
    this.#published = view
    return { base, view, frame: this.#subscriptions.size > 0 ? view.patchFrom(base) : NO_FRAME }
  }

  /** 4: the same bytes to every tab. */
  #publish(publication: Publication | undefined): void {
    if (!publication) return
    const { base, view, frame } = publication
    for (const subscription of this.#subscriptions.values()) subscription.publish(base, view, frame)
  }

  /** Answers in the order of the requests; who was told is taken off the list. */
  async #tell(requests: Request[], tells: Tell[]): Promise<void> {
    for (const tell of tells) {
      const request = requests.shift()
      try {
        const telling = tell()
        if (telling) await telling
      } catch (error) {
        this.#around.logger.error({ err: error, room: this.name }, 'an answer could not be given')
        request?.refuse(failure('internal', 'the answer could not be given'))
      }
    }
  }

  /** Effects follow the commit; one that throws or rejects leaves the record and its `ok` as they are (rule L5). */
  #carryOut({ effects }: Draft): void {
    for (const { seq, effect } of effects) {
      const logThrown = (error: unknown) =>
        this.#around.logger.error({ err: error, room: this.name, seq, action: effect.type }, 'an action threw')
      try {
        const result = effect.run()
        if (result instanceof Promise) result.catch(logThrown)
      } catch (error) {
        logThrown(error)
      }
    }
  }

  async #admit(subscriber: Subscriber, who: Principal, since: Position | undefined, answer: Answer): Promise<void> {
    const view = this.#published
    const missed =
      since &&
      this.#state &&
      (await missedFrame(this.#around.log, since, view, this.#machine.can(this.#state.snapshot)))
    answer({ type: 'ok', room: this.name, epoch: view.epoch, seq: view.seq, recovered: missed !== undefined })
    const subscription = new Subscription(subscriber, who.user)
    this.#subscriptions.set(subscriber.id, subscription)
    subscription.begin(view, missed ?? view.snapshot)
    if (!subscriber.entersRoom(this)) this.lost(subscriber, who)
  }

  #dismiss(subscriber: Subscriber, why?: Failure): void {
    this.#subscriptions.delete(subscriber.id)
    subscriber.leavesRoom(this, why)
  }

  #snapshot(peeked: RoomState): ServerFrames['snapshot'] {
    const { room, epoch, seq, state } = this.#published
    return { type: 'snapshot', room, epoch, seq, state: seq === 0 ? this.#machine.project(peeked) : state }
  }

  #receive(request: Request): void {
    this.#mailbox.push(request)
    if (this.#phase === 'ready') this.#around.commits.enlist(this)
    else if (this.#phase === 'failed') void this.#load()
  }

  /** Reads the room from its log; what arrives meanwhile waits. */
  async #load(): Promise<void> {
    this.#phase = 'loading'
    try {
      const { epoch, seq, document, keys } = await recover(this.#around.log, this.name)
      this.#keys = keys
      this.#state = document && this.#machine.restore(document)
      this.#published = new View(this.name, epoch, seq, this.#state && this.#machine.project(this.#state))
      this.#lastSnapshot = seq
    } catch (error) {
      return this.#fail(error)
    }
    for (const subscription of this.#subscriptions.values()) subscription.catchUp(this.#published)
    this.#rest()
  }

  /** The commit came to no known end: those who wait may ask again, and the log says what is true. */
  #restart(error: unknown, requests: Request[]): Promise<void> {
    this.#around.logger.error({ err: error, room: this.name }, 'a commit failed; the room is read from its log again')
    for (const request of requests)
      request.refuse(failure('overloaded', 'the log did not answer; the outcome is unknown'))
    this.#members = new Members()
    for (const [id, { user }] of this.#subscriptions) this.#members.add(id, user)
    return this.#load()
  }

  #fail(error: unknown): void {
    this.#around.logger.error({ err: error, room: this.name }, 'the room cannot be read from its log')
    this.#phase = 'failed'
    const refusal = failure('room_failed', `${this.name} cannot be opened; its operator can see why`)
    for (const request of this.#mailbox.splice(0)) request.refuse(refusal)
  }

  #rest(): void {
    this.#phase = 'ready'
    const isUnsettled =
      this.#machine.hasPresence && this.#state?.document.present.some((user) => !this.#members.hasUser(user))
    if (this.#mailbox.length > 0 || isUnsettled) this.#around.commits.enlist(this)
    else if (this.isIdle) this.#around.onIdle(this)
  }

  #standing() {
    return {
      room: this.name,
      key: this.#key,
      machine: this.#machine,
      state: this.#state,
      seq: this.#published.seq,
      keys: this.#keys,
      members: this.#members,
    }
  }
}

interface Publication {
  readonly base: View
  readonly view: View
  readonly frame: Buffer
}

const NO_FRAME = Buffer.alloc(0)
