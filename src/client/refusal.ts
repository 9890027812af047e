/**
 * Why something did not come about: the server's `error` or `closing`, or what this side found out by itself.
 *
 * Always true: `code` is the server's word where the server said one, else one of `OwnCode`; `retry` says whether asking
 * again can help.
 */
import type { CloseReason, ErrorCode } from '../errors.ts'

/**
 * What only a client can find: `unreachable` (nothing took the connection), `timeout`, `lost` (the connection ended
 * before the answer), `closed` (for good), `queue_full`, and `unknown`: the event may have been stored, and asking again
 * might store it twice.
 */
export type OwnCode = 'unreachable' | 'timeout' | 'lost' | 'closed' | 'queue_full' | 'unknown'

export class ChartroomError extends Error {
  override readonly name = 'ChartroomError'
  readonly code: ErrorCode | CloseReason | OwnCode
  readonly retry: boolean
  /** The server's frame, with all that it tells: `path`, `can`, `expected`, `retryAfter`. */
  readonly frame: Readonly<Record<string, unknown>>

  constructor(
    code: ChartroomError['code'],
    message: string,
    retry = false,
    frame: Record<string, unknown> = {},
    cause?: unknown,
  ) {
    super(message, { cause })
    this.code = code
    this.retry = retry
    this.frame = frame
  }

  /** What an `error` frame says. */
  static of(frame: Record<string, unknown>): ChartroomError {
    return new ChartroomError(frame.code as ErrorCode, String(frame.message), frame.retry === true, frame)
  }
}

/** What was thrown need not be an error, nor have words. */
export function wordsOf(thrown: unknown): string {
  try {
    return String(thrown)
  } catch {
    return 'something that has no words'
  }
}
