/**
 * Follows a room's records, one `event` frame each, in order.
 *
 * Always true: the cursor is the seq of the last event that the subscriber's socket took. Who stands at the end is handed
 * what is published; who does not reads on along the log, a page at a time, for as long as its socket takes it.
 */
import { DamagedLog } from '../log/log.ts'
import type { Delivery } from '../transport/transport.ts'

/** What was published of a room. */
export interface EventSource {
  /** The seq up to which everybody may know. */
  readonly seq: number
  /** Some `event` frames right behind `after`, one at least, `null` for what is not for this follower; `undefined` where they were trimmed. @throws {DamagedLog} */
  framesAfter(after: number): Promise<readonly (Uint8Array | null)[] | undefined>
}

/** What an event cursor needs of the connection behind it. */
export interface Follower {
  readonly congested: boolean
  deliver(frame: Uint8Array): Delivery
  /** What `run` delivers goes out together. */
  together(run: () => void): void
  fellBehind(): void
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
  publish(base: number, { events }: { readonly events: readonly (Buffer | null)[] }): void {
    if (this.#seq === base && !this.#isReading) this.#advanceAll(events)
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
    const frames = await this.#source.framesAfter(this.#seq)
    if (frames) return this.#advanceAll(frames)
    this.#follower.fellBehind()
    return false
  }

  /** @returns whether all were taken. */
  #advanceAll(frames: readonly (Uint8Array | null)[]): boolean {
    if (frames.length === 1) return frames.every((frame) => this.#advance(frame))
    let isWhole = false
    this.#follower.together(() => {
      isWhole = frames.every((frame) => this.#advance(frame))
    })
    return isWhole
  }

  #advance(frame: Uint8Array | null): boolean {
    if (frame && (this.#follower.congested || this.#follower.deliver(frame) === 'dropped')) return false
    this.#seq++
    return true
  }
}
