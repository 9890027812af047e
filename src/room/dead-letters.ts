/**
 * A room's dead letters: the events on which its machine threw, each with the state before it, on a topic of their own
 * beside the room's. The topic's snapshot says which of them still stand, so that one that is removed needs no record.
 *
 * Always true: a letter is on disk before its refusal is told; the newest hundred of a room are kept, and older ones are
 * forgotten; a topic that is damaged costs the room its letters and nothing else.
 */

import { type Failure, failure, isFailure } from '../errors.ts'
import type { Commits } from '../log/commits.ts'
import { DamagedLog, encodeLine, type Log, type LogRecord } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import type { RoomEvent } from '../protocol.ts'

/** Letters that are kept of a room. */
const KEPT = 100
/** Characters of state that a letter holds; a larger one is left out. */
const MAX_STATE = 256 * 1024

/** An event on which a machine threw. */
export interface DeadLetter {
  readonly event: RoomEvent
  /** `null` for what the server itself caused: it stands as a record, but for what the machine would have made of it. */
  readonly from: string | null
  readonly key?: string
  /** Unix epoch milliseconds. */
  readonly time: number
  /** The room's seq before it. */
  readonly base: number
  readonly error: { readonly name: string; readonly message: string }
  /** The actor within the room that it was for. */
  readonly to?: string
  /** The room's document before it; `null` where the room was unborn. */
  readonly state: unknown
}

/** As it is stored: `seq` is its own number, 1, 2, 3, ... in its room. */
export interface StoredLetter extends Omit<DeadLetter, 'state'>, Omit<LogRecord, 'from' | 'time' | 'key' | 'event'> {
  /** Missing where it was too large. */
  readonly state?: unknown
}

/** As it is shown; `ops` is only there because it is a record of a log. */
export type ShownLetter = Omit<StoredLetter, 'ops'>

/** What a turn adds, and the numbers of those that are done with. */
interface Mail {
  readonly letters: readonly DeadLetter[]
  readonly removed: readonly number[]
}

export interface LetterPage {
  /** Without their state. */
  readonly letters: readonly Omit<ShownLetter, 'state'>[]
  readonly more: boolean
}

/** The topic of a room's dead letters; no room and no inbox has such a name. */
export const deadLettersTopic = (room: string): string => `$dead-letters/${room}`

export class DeadLetters {
  readonly #topic: string
  readonly #log: Log
  readonly #commits: Commits
  readonly #logger: Logger
  #last = 0
  #standing: readonly number[] = []
  #isDamaged = false

  constructor(room: string, { log, commits, logger }: { log: Log; commits: Commits; logger: Logger }) {
    this.#topic = deadLettersTopic(room)
    this.#log = log
    this.#commits = commits
    this.#logger = logger
  }

  /** Reads which of them stand. */
  async load(): Promise<void> {
    await this.#survive(async () => {
      const snapshot = await this.#log.getSnapshot(this.#topic)
      this.#last = snapshot?.seq ?? 0
      this.#standing = (snapshot?.state as readonly number[] | undefined) ?? []
      this.#isDamaged = false
    })
  }

  has(seq: number): boolean {
    return this.#standing.includes(seq)
  }

  /** Makes durable what a turn adds and removes. To be called in the turn's own tick (`Participant`). */
  append(mail: Mail): Promise<void> | undefined {
    if (this.#isDamaged || (mail.letters.length === 0 && mail.removed.length === 0)) return undefined
    return this.#write(mail)
  }

  async #write({ letters: died, removed }: Mail): Promise<void> {
    const after = this.#last
    const letters = died.slice(-KEPT)
    const lines = letters.map((letter, i) => lineOf(letter, after + 1 + i))
    const last = after + lines.length
    const added = letters.map((_, i) => after + 1 + i)
    const standing = [...this.#standing, ...added].filter((seq) => seq > last - KEPT && !removed.includes(seq))
    const snapshot = encodeLine({ seq: last, state: standing })
    const batch = { topic: this.#topic, after, lines, snapshot, trim: (standing[0] ?? last + 1) - 1 }
    await this.#survive(async () => {
      const result = await this.#commits.append(batch)
      if ('conflict' in result) throw new Error(`somebody else wrote to ${this.#topic}`)
      this.#last = last
      this.#standing = standing
    })
  }

  /** Those behind `since`, at most `limit`, read one at a time: a state may be large. */
  async page({ since, limit }: { since: number; limit: number }): Promise<LetterPage | Failure> {
    if (this.#isDamaged) return this.#unreadable()
    const behind = this.#standing.filter((seq) => seq > since)
    const letters: Omit<ShownLetter, 'state'>[] = []
    for (const seq of behind.slice(0, limit)) {
      const letter = await this.get(seq)
      if (isFailure(letter)) return letter
      const { state: _, ...shown } = letter
      letters.push(shown)
    }
    return { letters, more: behind.length > limit }
  }

  /** One of them, whole. */
  async get(seq: number): Promise<ShownLetter | Failure> {
    if (this.#isDamaged) return this.#unreadable()
    if (!this.has(seq)) return failure('unknown_seq', `the room has no dead letter ${seq}`, { path: '/seq' })
    try {
      const [record] = await this.#log.read(this.#topic, { after: seq - 1, limit: 1 })
      const { ops: _, ...letter } = record as LogRecord & StoredLetter
      return letter
    } catch (error) {
      if (!(error instanceof DamagedLog)) throw error
      return this.#unreadable()
    }
  }

  #unreadable(): Failure {
    return failure('room_failed', 'the dead letters cannot be read; the operator can see why')
  }

  /** Damage costs the letters, and not the room. */
  async #survive(use: () => Promise<void>): Promise<void> {
    try {
      await use()
    } catch (error) {
      if (!(error instanceof DamagedLog)) throw error
      this.#isDamaged = true
      this.#logger.error({ err: error, topic: this.#topic }, 'the dead letters of a room cannot be read or added to')
    }
  }
}

/** A letter without its state, where that is too large, or could not be encoded. */
function lineOf({ state, ...letter }: DeadLetter, seq: number): string {
  const record = { seq, ...letter, ops: [] }
  try {
    const size = JSON.stringify(state).length
    return encodeLine(size > MAX_STATE ? record : { ...record, state })
  } catch {
    return encodeLine(record)
  }
}
