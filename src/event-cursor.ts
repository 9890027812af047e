/**
 * Follows a room's records, one `event` frame each, in order.
 *
 * Always true: the cursor is the seq of the last event that the subscriber's socket took. Who stands at the end is handed
 * what is published; who does not reads on along the log, a page at a time, for as long as its socket takes it.
 */
import { DamagedLog, type LogRecord } from './log.ts'
import { encode } from './protocol.ts'
import type { Delivery } from './transport.ts'

/** The log of one room, as far as it was published. */
export interface EventSource {
  readonly name: string
  readonly epoch: string
  /** The seq up to which everybody may know. */
  readonly seq: number
  /** Records behind `after`; from the first that is still held where those were trimmed. @throws {DamagedLog} */
  recordsAfter(after: number): Promise<LogRecord[]>
}

/** What an event cursor needs of the connection behind it. */
export interface Follower {
  readonly congested: boolean
  deliver(frame: Uint8Array): Delivery
  fellBehind(): void
}

/** The `event` frame of a record. */
export function eventFrame({ name: room, epoch }: EventSource, { seq, event, from, time }: LogRecord): Buffer {
  return Buffer.from(encode({ type: 'event', room, epoch, seq, event, from, time }))
}

export class EventCursor {
  readonly #follower: Follower
  readonly #source: EventSource
  #seq = 0
  #isReading = false

  constructor(follower: Follower, source: EventSource) {
    this.#follower = follower
    this.#source = source
  }

  begin(after: number): void | Promise<void> {
    this.#seq = after
    if (after < this.#source.seq) return this.catchUp()
  }

  /** Hands over the events behind `base`, unless the follower stands elsewhere. */
  publish(base: number, { events }: { readonly events: readonly Buffer[] }): void {
    if (this.#seq !== base || this.#isReading) return
    for (const frame of events) if (!this.#advance(frame)) return
  }

  /** Reads on along the log, until the end or until the socket takes no more. */
  async catchUp(): Promise<void> {
    if (this.#isReading) return
    this.#isReading = true
    try {
      while (this.#seq < this.#source.seq && !this.#follower.congested && (await this.#readPage()));
    } catch (error) {
      if (!(error instanceof DamagedLog)) throw error
      this.#follower.fellBehind()
    } finally {
      this.#isReading = false
    }
  }

  /** @returns whether the page was taken whole. */
  async #readPage(): Promise<boolean> {
    const records = await this.#source.recordsAfter(this.#seq)
    if (records[0]?.seq !== this.#seq + 1) {
      this.#follower.fellBehind()
      return false
    }
    return records
      .filter(({ seq }) => seq <= this.#source.seq)
      .every((record) => this.#advance(eventFrame(this.#source, record)))
  }

  #advance(frame: Uint8Array): boolean {
    if (this.#follower.congested || this.#follower.deliver(frame) === 'dropped') return false
    this.#seq++
    return true
  }
}
