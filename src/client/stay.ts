/**
 * A client's stay in one room, across connections: what is held of it, and who listens.
 *
 * Always true: it is joined while somebody listens. Only frames behind the `ok` of the last `join` count; a patch that
 * does not begin where the replica stands is never applied: the room is joined afresh instead. So what is held is always
 * a state that the server had.
 */
import type { ServerFrames } from '../protocol.ts'
import type { Clock } from './clock.ts'
import { Feed, type Gap, type RoomRecord } from './feed.ts'
import { type Backoff, pause } from './life.ts'
import type { Line, Reply } from './line.ts'
import { each, ignore } from './listeners.ts'
import { ChartroomError } from './refusal.ts'
import { advance, type Replica } from './replica.ts'

/** What a stay needs of the client that it belongs to. */
export interface House {
  readonly clock: Clock
  readonly backoff: Backoff
  /** Where it is open. */
  readonly line: Line | undefined
  /** Why nothing will happen any more, once that is so. */
  readonly closed: ChartroomError | undefined
  /** Under which name the server speaks of a room: `@me` stands for the user. */
  named(name: string, stay: Stay): void
  drop(message: string): void
}

interface Listener {
  fail(error: ChartroomError): void
}

export interface Watcher extends Listener {
  tell(state: unknown): void
}

export interface Reader extends Listener {
  tell(record: RoomRecord): void
  missed(gap: Gap): void
}

export type RoomFrame = ServerFrames['snapshot' | 'patch' | 'event' | 'error']

/** Patches in a row that may not fit before the connection itself is suspected. */
const MAX_STRAYS = 3

export class Stay {
  readonly name: string
  /** Whether every record is told, beside the state. */
  isTold = false
  replica: Replica | undefined
  readonly #house: House
  readonly #watchers = new Set<Watcher>()
  readonly #readers = new Set<Reader>()
  readonly #feed = new Feed(
    (record) => each(this.#readers, (reader) => reader.tell(record)),
    (gap) => each(this.#readers, (reader) => reader.missed(gap)),
  )
  /** The join whose frames count. */
  #join: object | undefined
  #isIn = false
  #beginsWithSnapshot = false
  #strays = 0
  #refusals = 0
  #cancel = ignore

  constructor(name: string, house: House) {
    this.name = name
    this.#house = house
  }

  /** Tells of the state that is held, and of each that follows. @returns what ends it */
  watch(watcher: Watcher): () => void {
    const end = this.#listen(this.#watchers, watcher)
    const { replica } = this
    if (replica) each([watcher], ({ tell }) => tell(replica.state))
    return end
  }

  /** From now on records are told too. */
  tellRecords(): void {
    if (this.isTold) return
    this.isTold = true
    if (this.#isWanted) this.#enter(this.replica)
  }

  /** Tells of each record. @returns what ends it */
  read(reader: Reader): () => void {
    return this.#listen(this.#readers, reader)
  }

  /** A connection is open: whoever is listened to is joined, from where it stands. */
  opened(): void {
    if (this.#isWanted) this.#enter(this.replica)
  }

  lost(): void {
    this.#isIn = false
    this.#join = undefined
    this.#feed.lost()
    this.#cancel()
  }

  /** Nothing that was held is worth anything to who is here now. */
  forget(): void {
    this.replica = undefined
  }

  fail(error: ChartroomError): void {
    each<Listener>([...this.#watchers, ...this.#readers], (listener) => listener.fail(error))
  }

  heard(frame: RoomFrame): void {
    if (!this.#isIn) return
    if (frame.type === 'event') this.#feed.heard(frame)
    else if (frame.type === 'error') this.#refused({ ...frame })
    else if (frame.type === 'snapshot' || frame.type === 'patch') this.#advance(frame)
  }

  get #isWanted(): boolean {
    return this.#watchers.size + this.#readers.size > 0
  }

  #listen<One extends Listener>(listeners: Set<One>, one: One): () => void {
    const { closed } = this.#house
    const isFirst = !this.#isWanted
    listeners.add(one)
    if (closed) each([one], ({ fail }) => fail(closed))
    else if (isFirst) this.#enter(this.replica)
    return () => {
      if (listeners.delete(one) && !this.#isWanted) this.#leave()
    }
  }

  /** @param held from where to go on; without it the room begins with a snapshot */
  #enter(held?: Replica): void {
    const { line } = this.#house
    if (!line) return
    const join = {}
    this.#join = join
    this.#isIn = false
    if (held && this.isTold) this.#feed.stand(held.epoch, held.seq)
    const since = held && { epoch: held.epoch, seq: held.seq }
    const mode = this.isTold ? 'both' : 'state'
    line.ask({ type: 'join', room: this.name, mode, ...(since && { since }) }, (reply) => {
      if (reply && this.#join === join) this.#answered(reply, held)
    })
  }

  #answered(reply: Reply, held: Replica | undefined): void {
    if (reply.type === 'error') return this.#refused({ ...reply })
    const { room = this.name, recovered } = reply as ServerFrames['ok']
    this.#house.named(room, this)
    this.#isIn = true
    this.#refusals = 0
    this.#beginsWithSnapshot = !recovered
    if (recovered && held) this.#begin(room, held)
  }

  #leave(): void {
    this.lost()
    this.#house.line?.ask({ type: 'leave', room: this.name }, ignore)
  }

  #advance(frame: ServerFrames['snapshot' | 'patch']): void {
    const was = this.replica
    const is = advance(was, frame)
    if (!is) return this.#stray()
    this.replica = is
    if (frame.type === 'patch') this.#strays = 0
    else if (this.#beginsWithSnapshot) this.#begin(frame.room, is)
    if (is.state !== was?.state) each(this.#watchers, ({ tell }) => tell(is.state))
  }

  /** The records behind `seq` come by themselves from now on. */
  #begin(room: string, { epoch, seq }: Replica): void {
    this.#beginsWithSnapshot = false
    if (this.isTold && this.#house.line) this.#feed.begin(this.#house.line, room, epoch, seq)
  }

  /** Something is missing between what is held and what came. */
  #stray(): void {
    if (++this.#strays > MAX_STRAYS) this.#house.drop(`${this.name}: ${MAX_STRAYS} snapshots in a row were of no use`)
    else this.#enter()
  }

  /** Out, or not let in: to be tried again where the server says that this can help. */
  #refused(frame: Record<string, unknown>): void {
    const error = ChartroomError.of(frame)
    this.#isIn = false
    if (!error.retry) return this.fail(error)
    const { clock, backoff } = this.#house
    const delay = Number(frame.retryAfter ?? pause(this.#refusals++, backoff, clock.random()))
    this.#cancel = clock.later(delay, () => this.#enter(this.replica))
  }
}
