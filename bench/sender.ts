/**
 * One connection that sends: a ring of frames that were built beforehand, and which of them wait for their answer.
 *
 * Always true: an answer is counted once, and only to a frame that was sent; a place in the ring is used again only
 * when its answer came.
 */
import { FIRST_ID } from './dialects.ts'
import type { Wire } from './wire.ts'

/** Frames of one length, one behind the other, so that many go out in one write. */
export class Ring {
  readonly bytes: Buffer
  readonly size: number
  readonly length: number

  constructor(frames: readonly Buffer[]) {
    this.bytes = Buffer.concat(frames)
    this.length = frames.length
    this.size = this.bytes.length / frames.length
    if (frames.some((frame) => frame.length !== this.size)) throw new Error('the frames of a ring have one length')
  }

  slice(from: number, to: number): Buffer {
    return this.bytes.subarray(from * this.size, to * this.size)
  }
}

export class Sender {
  readonly wire: Wire
  /** Frames that wait for their answer. */
  inFlight = 0
  /** Answers that the next frames are owed to. */
  due = 0
  readonly #ring: Ring
  readonly #waiting: Uint8Array
  /** When each was to be sent (ms, `performance.now()`). */
  readonly #intended: Float64Array
  #next = 0

  constructor(wire: Wire, ring: Ring) {
    this.wire = wire
    this.#ring = ring
    this.#waiting = new Uint8Array(ring.length)
    this.#intended = new Float64Array(ring.length)
  }

  /** The next `count` frames, in as few writes as may be. */
  send(count: number): void {
    for (let left = count; left > 0; ) {
      const some = Math.min(left, this.#ring.length - this.#next)
      this.#mark(some)
      this.wire.write(this.#ring.slice(this.#next, this.#next + some))
      this.#next = (this.#next + some) % this.#ring.length
      left -= some
    }
  }

  /** The next frame, which was to be sent at `intended`. */
  sendAt(intended: number): void {
    this.#intended[this.#next] = intended
    this.send(1)
  }

  #mark(count: number): void {
    for (let slot = this.#next; slot < this.#next + count; slot++) {
      if (this.#waiting[slot]) throw new Error(`an answer is ${this.#ring.length} frames behind its connection`)
      this.#waiting[slot] = 1
    }
    this.inFlight += count
  }

  /** The answer to the frame with that id came. @returns when it was to be sent */
  answered(id: number): number {
    const slot = id - FIRST_ID
    if (!this.#waiting[slot]) throw new Error(`an answer to ${id}, which was not asked, or is answered already`)
    this.#waiting[slot] = 0
    this.inFlight--
    return this.#intended[slot] as number
  }
}
