/**
 * The first step of an inbox's turn: what the requests make of its letters, decided in the order they came.
 *
 * Always true: what is decided here is in the letters at once, and in the records; where those could not be appended the
 * inbox is read from its log again. A request that is refused leaves everything as it was.
 */
import type { DedupeWindow } from '../dedupe.ts'
import { type Failure, failure, readOnly } from '../errors.ts'
import { encodeLine, type LogRecord } from '../log/log.ts'
import type { Priority, RoomEvent, ServerFrames } from '../protocol.ts'
import type { InboxEvent, Letters } from './letters.ts'

/** Milliseconds, and counts. */
export interface InboxPolicy {
  readonly inboxCapacity: number
  readonly inboxPolicy: 'refuse' | 'drop_oldest'
  readonly ackTimeout: number
  readonly maxAttempts: number
}

/** A message on its way in; `ttl` in milliseconds. */
export interface Posting {
  readonly from: string
  readonly data: unknown
  readonly priority?: Priority | undefined
  readonly ttl?: number | undefined
  readonly key?: string | undefined
}

/** An inbox as it stands before the turn. */
export interface InboxStanding {
  readonly user: string
  readonly seq: number
  readonly letters: Letters
  readonly keys: DedupeWindow
  readonly policy: InboxPolicy
  /** `false`: the storage refuses writes. */
  readonly isWritable: boolean
}

type Verdict = ServerFrames['ok'] | Failure

export class InboxDraft {
  readonly lines: string[] = []
  /** The messages whose round is over: settled, gone, or to be delivered again. */
  readonly released: number[] = []
  readonly time = Date.now()
  seq: number
  readonly #standing: InboxStanding

  constructor(standing: InboxStanding) {
    this.#standing = standing
    this.seq = standing.seq
  }

  post({ from, data, priority = 'normal', ttl, key }: Posting): Verdict {
    const { letters, keys, isWritable } = this.#standing
    const first = key === undefined ? undefined : keys.seqOf(from, key, this.time)
    if (first !== undefined) return { type: 'ok', seq: first, dup: true }
    if (!isWritable) return readOnly()
    const full = this.#makeRoom()
    if (full) return full
    const seq = letters.last + 1
    const expiry = ttl === undefined ? {} : { expiresAt: this.time + ttl }
    this.#append({ type: 'message.sent', seq, data, priority, ...expiry }, from, key)
    if (key !== undefined) keys.use(from, key, seq, this.time)
    return { type: 'ok', seq }
  }

  /** Rule Q1: what is settled already stays so. */
  settle(seqs: readonly number[]): Verdict {
    return this.#each(seqs, (live) => this.#append({ type: 'message.settled', seqs: live }))
  }

  /** Rule Q2: these were not taken, or not settled in time; the last failure a letter may have is its end. */
  fail(seqs: readonly number[], reason: string): Verdict {
    return this.#each(seqs, (live) => {
      const { letters, policy } = this.#standing
      this.#append({ type: 'message.failed', seqs: live, reason })
      const spent = live.filter((seq) => (letters.get(seq)?.failures ?? 0) >= policy.maxAttempts)
      if (spent.length > 0) this.#append({ type: 'message.died', seqs: spent, reason: 'max_attempts' })
    })
  }

  /** Sends a dead letter again, as a new message. */
  replay(seq: number): Verdict {
    const { letters, isWritable } = this.#standing
    if (!letters.dead.has(seq)) return unknown(seq)
    if (!isWritable) return readOnly()
    const full = this.#makeRoom()
    if (full) return full
    const as = letters.last + 1
    this.#append({ type: 'message.replayed', seq, as })
    return { type: 'ok', seq: as }
  }

  /** Removes a dead letter for good. */
  delete(seq: number): Verdict {
    if (!this.#standing.letters.dead.has(seq)) return unknown(seq)
    if (!this.#standing.isWritable) return readOnly()
    this.#append({ type: 'message.deleted', seqs: [seq] })
    return { type: 'ok' }
  }

  /** Rule Q3: what is over is never delivered. */
  expire(): void {
    const seqs = this.#standing.letters.overAt(this.time)
    if (seqs.length > 0) this.#append({ type: 'message.expired', seqs })
  }

  /** A round of delivery is on disk before it goes out, so that `attempt` never says too little. */
  deliver(seqs: readonly number[]): void {
    this.#append({ type: 'message.delivered', seqs })
  }

  #each(given: readonly number[], change: (live: number[]) => void): Verdict {
    const { letters, isWritable } = this.#standing
    const beyond = given.find((seq) => seq > letters.last)
    if (beyond !== undefined) return unknown(beyond)
    const live = [...new Set(given)].filter((seq) => letters.get(seq) !== undefined)
    if (live.length > 0 && !isWritable) return readOnly()
    if (live.length > 0) change(live)
    return { type: 'ok' }
  }

  /** Rule Q4. */
  #makeRoom(): Failure | undefined {
    const { letters, policy, user } = this.#standing
    if (letters.size < policy.inboxCapacity) return undefined
    const oldest = letters.oldest
    if (policy.inboxPolicy === 'refuse' || !oldest) {
      return failure(
        'inbox_full',
        `the inbox of ${user} holds ${policy.inboxCapacity} unsettled messages, its capacity`,
      )
    }
    this.#append({ type: 'message.died', seqs: [oldest.seq], reason: 'dropped' })
    return undefined
  }

  #append(event: InboxEvent, from: string | null = null, key?: string): void {
    const given = key === undefined ? {} : { key }
    const { time } = this
    const record: LogRecord = { seq: this.seq + 1, event: event as unknown as RoomEvent, from, time, ...given, ops: [] }
    this.lines.push(encodeLine(record))
    this.seq = record.seq
    if (RELEASING.has(event.type) && 'seqs' in event) this.released.push(...event.seqs)
    this.#standing.letters.apply(event, { from: from ?? '', time })
  }
}

const RELEASING = new Set<InboxEvent['type']>(['message.settled', 'message.failed', 'message.died', 'message.expired'])

const unknown = (seq: number): Failure => failure('unknown_seq', `the inbox has no message ${seq}`, { path: '/seq' })
