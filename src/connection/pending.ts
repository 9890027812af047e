/**
 * What waits for a token to be verified (rule C3): tokens, one at a time, and before the connection is open, the frames
 * behind them.
 *
 * Always true: each token is answered in its turn; no more frames wait than may.
 */
import type { ClientFrame, ClientFrameOf } from '../protocol.ts'

/** Frames that may wait behind a token, or tokens. */
export const MAX_WAITING = 16

export class Pending {
  #auths: ClientFrameOf<'auth'>[] = []
  #frames: ClientFrame[] = []

  get isVerifying(): boolean {
    return this.#auths.length > 0
  }

  /** Whether as many tokens wait as may, behind the one that is being verified. */
  get isFull(): boolean {
    return this.#auths.length > MAX_WAITING
  }

  /** @returns whether the token is the next to be verified. */
  addAuth(frame: ClientFrameOf<'auth'>): boolean {
    return this.#auths.push(frame) === 1
  }

  /** Takes the `auth` frame off whose token has its verdict; none where the token came with the upgrade. */
  answered(): ClientFrameOf<'auth'> | undefined {
    return this.#auths.shift()
  }

  /** The next token to be verified. */
  get next(): ClientFrameOf<'auth'> | undefined {
    return this.#auths[0]
  }

  /** @returns whether the frame may wait. */
  addFrame(frame: ClientFrame): boolean {
    if (this.#frames.length === MAX_WAITING) return false
    this.#frames.push(frame)
    return true
  }

  /** The frames that waited, in order. */
  takeFrames(): ClientFrame[] {
    return this.#frames.splice(0)
  }
}
