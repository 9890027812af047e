/**
 * What an inbox holds: a fold over its records.
 *
 * Always true: the same records give the same letters, so that an inbox comes back from its log as it was; a message has
 * the next number of its inbox, 1, 2, 3, ... without a hole; nothing here knows a clock, a socket, or a policy.
 */
import type { Priority } from '../protocol.ts'

/** A message that is not settled. Times are Unix epoch milliseconds. */
export interface Letter {
  readonly seq: number
  readonly from: string
  readonly data: unknown
  readonly priority: Priority
  readonly time: number
  readonly expiresAt?: number
  /** Rounds of delivery so far. */
  readonly attempts: number
  /** Rounds that ended in a `nack`, or in nothing for too long. */
  readonly failures: number
}

export interface DeadLetter extends Letter {
  readonly reason: 'max_attempts' | 'dropped'
  readonly diedAt: number
}

/** What can happen to an inbox; `seqs` are messages'. */
export type InboxEvent =
  | { type: 'message.sent'; seq: number; data: unknown; priority: Priority; expiresAt?: number }
  | { type: 'message.delivered'; seqs: readonly number[] }
  | { type: 'message.settled'; seqs: readonly number[] }
  | { type: 'message.failed'; seqs: readonly number[]; reason: string }
  | { type: 'message.died'; seqs: readonly number[]; reason: DeadLetter['reason'] }
  | { type: 'message.expired'; seqs: readonly number[] }
  | { type: 'message.replayed'; seq: number; as: number }
  | { type: 'message.deleted'; seqs: readonly number[] }

/** Everything, as it stands in a snapshot. */
export interface StoredLetters {
  readonly last: number
  readonly dropped: number
  readonly expired: number
  readonly letters: readonly Letter[]
  readonly dead: readonly DeadLetter[]
}

type Fold = { readonly [T in InboxEvent['type']]: (event: Extract<InboxEvent, { type: T }>, by: Stamp) => void }

/** Who and when. */
interface Stamp {
  readonly from: string
  readonly time: number
}

export class Letters {
  /** The number of the newest message. */
  last = 0
  dropped = 0
  expired = 0
  /** No letter expires before this instant. */
  earliestExpiry = Number.POSITIVE_INFINITY
  readonly dead = new Map<number, DeadLetter>()
  readonly #waiting: Readonly<Record<Priority, Map<number, Letter>>> = { high: new Map(), normal: new Map() }

  constructor(stored?: StoredLetters) {
    if (!stored) return
    this.last = stored.last
    this.dropped = stored.dropped
    this.expired = stored.expired
    for (const letter of stored.letters) this.#keep(letter)
    for (const letter of stored.dead) this.dead.set(letter.seq, letter)
  }

  get size(): number {
    return this.#waiting.high.size + this.#waiting.normal.size
  }

  count(priority: Priority): number {
    return this.#waiting[priority].size
  }

  get(seq: number): Letter | undefined {
    return this.#waiting.high.get(seq) ?? this.#waiting.normal.get(seq)
  }

  /** High before normal, each in the order they came. */
  *inOrder(): Generator<Letter> {
    yield* this.#waiting.high.values()
    yield* this.#waiting.normal.values()
  }

  /** The one that has waited longest. */
  get oldest(): Letter | undefined {
    const [high] = this.#waiting.high.values()
    const [normal] = this.#waiting.normal.values()
    return high && (!normal || high.seq < normal.seq) ? high : normal
  }

  apply(event: InboxEvent, by: Stamp): void {
    const fold = this.#fold[event.type] as (event: InboxEvent, by: Stamp) => void
    fold(event, by)
  }

  readonly #fold: Fold = {
    'message.sent': ({ seq, data, priority, expiresAt }, { from, time }) => {
      const expiry = expiresAt === undefined ? {} : { expiresAt }
      this.#add({ seq, from, data, priority, time, ...expiry, attempts: 0, failures: 0 })
    },
    'message.delivered': ({ seqs }) => this.#change(seqs, (letter) => ({ ...letter, attempts: letter.attempts + 1 })),
    'message.failed': ({ seqs }) => this.#change(seqs, (letter) => ({ ...letter, failures: letter.failures + 1 })),
    'message.settled': ({ seqs }) => this.#remove(seqs),
    'message.expired': ({ seqs }) => {
      this.expired += this.#remove(seqs).length
    },
    'message.died': ({ seqs, reason }, { time: diedAt }) => {
      const gone = this.#remove(seqs)
      for (const letter of gone) this.dead.set(letter.seq, { ...letter, reason, diedAt })
      if (reason === 'dropped') this.dropped += gone.length
    },
    'message.replayed': ({ seq, as }, { time }) => {
      const letter = this.dead.get(seq)
      if (!letter) return
      const { reason: _, diedAt: __, expiresAt: ___, ...kept } = letter
      this.dead.delete(seq)
      this.#add({ ...kept, seq: as, time, attempts: 0, failures: 0 })
    },
    'message.deleted': ({ seqs }) => {
      for (const seq of seqs) this.dead.delete(seq)
    },
  }

  #add(letter: Letter): void {
    this.last = letter.seq
    this.#keep(letter)
  }

  #keep(letter: Letter): void {
    this.#waiting[letter.priority].set(letter.seq, letter)
    if (letter.expiresAt !== undefined) this.earliestExpiry = Math.min(this.earliestExpiry, letter.expiresAt)
  }

  /** Those that are over at `now`. */
  overAt(now: number): number[] {
    if (now < this.earliestExpiry) return []
    const over: number[] = []
    this.earliestExpiry = Number.POSITIVE_INFINITY
    for (const { seq, expiresAt = Number.POSITIVE_INFINITY } of this.inOrder()) {
      if (expiresAt <= now) over.push(seq)
      else this.earliestExpiry = Math.min(this.earliestExpiry, expiresAt)
    }
    return over
  }

  #change(seqs: readonly number[], change: (letter: Letter) => Letter): void {
    for (const seq of seqs) {
      const letter = this.get(seq)
      if (letter) this.#waiting[letter.priority].set(seq, change(letter))
    }
  }

  #remove(seqs: readonly number[]): Letter[] {
    const gone = seqs.map((seq) => this.get(seq)).filter((letter) => letter !== undefined)
    for (const { seq, priority } of gone) this.#waiting[priority].delete(seq)
    return gone
  }

  toJSON(): StoredLetters {
    const { last, dropped, expired } = this
    return { last, dropped, expired, letters: [...this.inOrder()], dead: [...this.dead.values()] }
  }
}
