/**
 * What comes in from one peer: bytes become frames, within the peer's allowance, and its faults are counted.
 *
 * Always true: each frame is looked at once; what is refused is one `Failure`; so many of them within so many
 * milliseconds are a reason to close (rule E1).
 */
import type { Config } from './config.ts'
import { type CloseReason, type Failure, failure } from './errors.ts'
import { Allowance, SlidingCount } from './limits.ts'
import { type ClientFrame, read } from './protocol.ts'

const MAX_FAULTS = 20
const FAULT_WINDOW = 10_000
/** Bytes of a frame before the connection is open: a token and little more. */
const MAX_EARLY_FRAME = 16_384

export type Limits = Pick<Config, 'maxFrame' | 'maxFramesPerSecond' | 'maxBytesPerSecond'>

export class Intake {
  readonly #maxFrame: number
  readonly #allowance: Allowance
  readonly #faults = new SlidingCount(MAX_FAULTS, FAULT_WINDOW)
  readonly #excess = new SlidingCount(MAX_FAULTS, FAULT_WINDOW)

  constructor({ maxFrame, maxFramesPerSecond, maxBytesPerSecond }: Limits) {
    this.#maxFrame = maxFrame
    this.#allowance = new Allowance(maxFramesPerSecond, maxBytesPerSecond)
  }

  /** The frame that came, or the failure that answers it. */
  read(bytes: ArrayBuffer, isBinary: boolean, isOpen: boolean): ClientFrame | Failure {
    const frame = read(bytes, isBinary, isOpen ? this.#maxFrame : Math.min(MAX_EARLY_FRAME, this.#maxFrame))
    if (this.#allowance.take(bytes.byteLength)) return frame
    const id = frame.id === undefined ? {} : { id: frame.id }
    return failure('rate_limited', 'too much at once; go on more slowly', { retryAfter: 1000, ...id })
  }

  /** Counts a failure. @returns why the connection is to be closed, once there were too many. */
  count({ code }: Failure): Extract<CloseReason, 'bad_request' | 'rate_limited'> | undefined {
    const now = Date.now()
    if (code === 'rate_limited') return this.#excess.add(now) ? 'rate_limited' : undefined
    return this.#faults.add(now) ? 'bad_request' : undefined
  }
}
