/**
 * One room, as this client holds it: its state, who listens, and what is sent to it.
 *
 * Always true: it is joined while somebody listens. Only frames behind the `ok` of the last `join` count; a patch that
 * does not begin where the replica stands is never applied: the room is joined afresh instead. So `state` is always one
 * that the server had.
 */
import type { RoomEvent, ServerFrames } from '../protocol.ts'
import type { Clock } from './clock.ts'
import { Feed, type Gap, type RoomRecord } from './feed.ts'
import { type Backoff, pause } from './life.ts'
import type { Line, Reply } from './line.ts'
import { each, ignore } from './listeners.ts'
import type { SendOptions, Sent } from './outbox.ts'
import { ChartroomError } from './refusal.ts'
import { advance, type Replica } from './replica.ts'

export interface RoomOptions {
  /** Every record is told too, each once and in order (`records`); without it the state alone. */
  readonly events?: boolean
}

export interface WaitOptions {
  readonly signal?: AbortSignal
  /** Milliseconds. */
  readonly timeout?: number
}

/** What a room needs of the client that it belongs to. */
export interface House {
  readonly clock: Clock
  readonly backoff: Backoff
  /** Where it is open. */
  readonly line: Line | undefined
  /** Why nothing will happen any more, once that is so. */
  readonly closed: ChartroomError | undefined
  /** Under which name the server speaks of a room: `@me` stands for the user. */
  named(name: string, room: Room<never, never>): void
  send(room: string, event: RoomEvent, options: SendOptions): Promise<Sent>
  drop(message: string): void
}

interface Watcher<Told> {
  tell(told: Told): void
  fail(error: ChartroomError): void
}

type RoomFrame = ServerFrames['snapshot' | 'patch' | 'event' | 'error']

/** Patches in a row that may not fit before the connection itself is suspected. */
const MAX_STRAYS = 3

export class Room<State, Event extends { type: string }> implements AsyncIterable<State> {
  readonly name: string
  readonly #house: House
  readonly #isTold: boolean
  readonly #watchers = new Set<Watcher<State>>()
  readonly #readers = new Set<Watcher<RoomRecord> & { missed(gap: Gap): void }>()
  readonly #feed = new Feed(
    (record) => each(this.#readers, (reader) => reader.tell(record)),
    (gap) => each(this.#readers, (reader) => reader.missed(gap)),
  )
  #replica: Replica | undefined
  /** The join whose frames count. */
  #join: object | undefined
  #isIn = false
  #beginsWithSnapshot = false
  #strays = 0
  #refusals = 0
  #cancel = ignore

  constructor(name: string, { events = false }: RoomOptions, house: House) {
    this.name = name
    this.#isTold = events
    this.#house = house
  }

  /** The state that the server had at `seq`; `undefined` until it first came. Never changed in place: `===` tells a change. */
  get state(): State | undefined {
    return this.#replica?.state as State | undefined
  }

  get seq(): number | undefined {
    return this.#replica?.seq
  }

  /** Whether an active state has a transition for it; `false` while that is not known. Guards are not asked. */
  can(type: Event['type']): boolean {
    return (this.state as { can?: readonly string[] } | undefined)?.can?.includes(type) ?? false
  }

  /** Resolves when the event is on disk, once, however often the connection broke meanwhile. @throws {ChartroomError} */
  send(event: Event, options: SendOptions = {}): Promise<Sent> {
    return this.#house.send(this.name, event as unknown as RoomEvent, options)
  }

  /**
   * Calls `tell` with the state that is there, and with each that follows; `fail` where the room refuses, or the client is
   * closed. @returns what ends it.
   */
  subscribe(tell: (state: State) => void, fail: (error: ChartroomError) => void = ignore): () => void {
    const end = this.#enter(this.#watchers, { tell, fail })
    if (this.state !== undefined) each([tell], (tell) => tell(this.state as State))
    return end
  }

  /** Calls `tell` with each record; `missed` where some are not there any more. Needs `{ events: true }`. */
  records(
    tell: (record: RoomRecord) => void,
    missed: (gap: Gap) => void = ignore,
    fail: (error: ChartroomError) => void = ignore,
  ): () => void {
    if (!this.#isTold) throw new TypeError(`${this.name} tells no records: room(name, { events: true }) does`)
    return this.#enter(this.#readers, { tell, missed, fail })
  }

  /** Resolves with the first state for which `holds`, the present one included. */
  waitFor(holds: (state: State) => boolean, { signal, timeout }: WaitOptions = {}): Promise<State> {
    return new Promise<State>((resolve, reject) => {
      signal?.throwIfAborted()
      const ends: (() => void)[] = []
      const settle = (run: () => void) => {
        queueMicrotask(() => each(ends.splice(0), (end) => end()))
        run()
      }
      const look = (state: State) => {
        try {
          if (holds(state)) settle(() => resolve(state))
        } catch (error) {
          settle(() => reject(error))
        }
      }
      const aborted = () => settle(() => reject(signal?.reason))
      signal?.addEventListener('abort', aborted)
      ends.push(() => signal?.removeEventListener('abort', aborted))
      ends.push(this.subscribe(look, (error) => settle(() => reject(error))))
      if (timeout === undefined) return
      const late = () => new ChartroomError('timeout', `${this.name}: not so within ${timeout} ms`, true)
      ends.push(this.#house.clock.later(timeout, () => settle(() => reject(late()))))
    })
  }

  /** The newest state, whenever it is asked for; who is slow misses some in between. Ends when the client is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<State, void, undefined> {
    let isNew = false
    let failure: ChartroomError | undefined
    let wake = (): void => {}
    const tell = () => {
      isNew = true
      wake()
    }
    const end = this.subscribe(tell, (error) => {
      failure = error
      wake()
    })
    try {
      for (;;) {
        if (isNew) {
          isNew = false
          yield this.state as State
        } else if (failure) break
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      end()
    }
    if (failure.code !== 'closed') throw failure
  }

  /** A connection is open: whoever is listened to is joined, from where it stands. */
  opened(): void {
    if (this.#isWanted) this.#enterRoom()
  }

  lost(): void {
    this.#isIn = false
    this.#join = undefined
    this.#feed.lost()
    this.#cancel()
  }

  /** Nothing that was held is worth anything to who is here now. */
  forget(): void {
    this.#replica = undefined
  }

  closed(error: ChartroomError): void {
    each([...this.#watchers, ...this.#readers], (one) => one.fail(error))
  }

  heard(frame: RoomFrame): void {
    if (!this.#isIn) return
    if (frame.type === 'event') this.#feed.heard(frame)
    else if (frame.type === 'error') this.#refused({ ...frame })
    else this.#advance(frame)
  }

  #advance(frame: ServerFrames['snapshot' | 'patch']): void {
    const was = this.#replica
    const is = advance(was, frame)
    if (!is) return this.#stray()
    this.#replica = is
    if (frame.type === 'patch') this.#strays = 0
    else if (this.#beginsWithSnapshot) this.#begin(frame.room, is)
    if (is.state !== was?.state) each(this.#watchers, ({ tell }) => tell(is.state as State))
  }

  #begin(room: string, { epoch, seq }: Replica): void {
    this.#beginsWithSnapshot = false
    if (this.#isTold && this.#house.line) this.#feed.begin(this.#house.line, room, epoch, seq)
  }

  /** Something is missing between what is held and what came. */
  #stray(): void {
    if (++this.#strays > MAX_STRAYS) this.#house.drop(`${this.name}: ${MAX_STRAYS} snapshots in a row were of no use`)
    else this.#enterRoom(true)
  }

  get #isWanted(): boolean {
    return this.#watchers.size + this.#readers.size > 0
  }

  #enter<One extends { fail(error: ChartroomError): void }>(listeners: Set<One>, one: One): () => void {
    const { closed } = this.#house
    const isFirst = !this.#isWanted
    listeners.add(one)
    if (closed) each([one], ({ fail }) => fail(closed))
    else if (isFirst) this.#enterRoom()
    return () => {
      if (listeners.delete(one) && !this.#isWanted) this.#leaveRoom()
    }
  }

  #enterRoom(isAfresh = false): void {
    const { line } = this.#house
    if (!line) return
    const held = isAfresh ? undefined : this.#replica
    const join = {}
    this.#join = join
    this.#isIn = false
    const since = held && { epoch: held.epoch, seq: held.seq }
    const mode = this.#isTold ? 'both' : 'state'
    line.ask({ type: 'join', room: this.name, mode, ...(since && { since }) }, (reply) => {
      if (reply && this.#join === join) this.#answered(reply, held)
    })
  }

  #answered(reply: Reply, held: Replica | undefined): void {
    if (reply.type === 'error') return this.#refused({ ...reply })
    const { room = this.name, recovered } = reply as ServerFrames['ok']
    this.#house.named(room, this as unknown as Room<never, never>)
    this.#isIn = true
    this.#refusals = 0
    this.#beginsWithSnapshot = !recovered
    if (recovered && held) this.#begin(room, held)
  }

  #refused(frame: Record<string, unknown>): void {
    const error = ChartroomError.of(frame)
    const { clock, backoff } = this.#house
    this.#isIn = false
    if (!error.retry) return each([...this.#watchers, ...this.#readers], ({ fail }) => fail(error))
    const delay = Number(frame.retryAfter ?? pause(this.#refusals++, backoff, clock.random()))
    this.#cancel = clock.later(delay, () => this.#enterRoom())
  }

  #leaveRoom(): void {
    this.lost()
    this.#house.line?.ask({ type: 'leave', room: this.name }, ignore)
  }
}
