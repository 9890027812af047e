/**
 * What comes in from one peer: bytes become frames, within the peer's allowance, and its faults are counted.
 *
 * Always true: each frame is looked at once, and one beyond the allowance only for its `id`; what is refused is one
 * `Failure`; so many of them within so many milliseconds are a reason to close (rule E1).
 */
import type { Config } from '../config.ts'
import { type CloseReason, type Failure, failure, isFailure } from '../errors.ts'
import { Allowance, SlidingCount } from '../limits.ts'
import { type ClientFrame, read } from '../protocol.ts'
import { idOf } from './glance.ts'

export type Limits = Pick<
  Config,
  | 'maxFrame'
  | 'maxAuthFrame'
  | 'maxFramesBeforeAuth'
  | 'maxFramesPerSecond'
  | 'maxBytesPerSecond'
  | 'maxErrors'
  | 'errorWindow'
>

export class Intake {
  readonly #limits: Limits
  readonly #allowance: Allowance | undefined
  #faults: SlidingCount | undefined
  #excess: SlidingCount | undefined
  #early = 0

  constructor(limits: Limits) {
    this.#limits = limits
    this.#allowance = Allowance.of(limits.maxFramesPerSecond, limits.maxBytesPerSecond)
  }

  /** The frame that came, or the failure that answers it. */
  read(bytes: ArrayBuffer, isBinary: boolean, isOpen: boolean): ClientFrame | Failure {
    const { maxFrame, maxAuthFrame, maxFramesBeforeAuth } = this.#limits
    if (this.#allowance?.take(bytes.byteLength) === false)
      return this.#tooMuch(bytes, 'too much at once; go on more slowly')
    if (isOpen) return withId(read(bytes, isBinary, maxFrame), bytes)
    this.#early++
    if (this.#isTooEarly) return this.#tooMuch(bytes, `at most ${maxFramesBeforeAuth} frames may come before "welcome"`)
    return withId(read(bytes, isBinary, Math.min(maxAuthFrame, maxFrame)), bytes)
  }

  /** Counts a failure. @returns why the connection is to be closed, once there were too many. */
  count({ code }: Failure): Extract<CloseReason, 'bad_request' | 'rate_limited'> | undefined {
    const now = Date.now()
    const { maxErrors, errorWindow } = this.#limits
    if (code !== 'rate_limited') {
      this.#faults ??= new SlidingCount(maxErrors, errorWindow)
      return this.#faults.add(now) ? 'bad_request' : undefined
    }
    this.#excess ??= new SlidingCount(maxErrors, errorWindow)
    return this.#excess.add(now) || this.#isTooEarly ? 'rate_limited' : undefined
  }

  get #isTooEarly(): boolean {
    return this.#early > this.#limits.maxFramesBeforeAuth
  }

  #tooMuch(bytes: ArrayBuffer, message: string): Failure {
    const id = bytes.byteLength > this.#limits.maxFrame ? undefined : idOf(bytes)
    return failure('rate_limited', message, { retryAfter: 1000, ...(id !== undefined && { id }) })
  }
}

/** What is too large or nested too deeply was not parsed; its `id` is looked for all the same (rule R1). */
export function withId<T extends object>(frame: T | Failure, bytes: ArrayBuffer): T | Failure {
  if (!isFailure(frame) || (frame.code !== 'too_large' && frame.path !== '')) return frame
  const id = idOf(bytes)
  if (id === undefined) return frame
  const { code, message, path } = frame
  return failure(code, message, { ...(path !== undefined && { path }), id })
}
