/**
 * Every failure is one row: its code, whether asking again can help, and the HTTP status beside it; every
 * closing is one row too, and the range of its number says whether the client comes back (protocol.md, "Closing").
 *
 * A peer's fault is a value (`Failure`), answered and survived. Our own faults throw, and a supervisor notices.
 */

const rows = {
  bad_json: { retry: false, http: 400 },
  bad_frame: { retry: false, http: 400 },
  unsupported_data: { retry: false, http: 400 },
  too_large: { retry: false, http: 400 },
  unknown_type: { retry: false, http: 404 },
  not_in_state: { retry: false, http: 409 },
  unauthorized: { retry: false, http: 401 },
  token_expired: { retry: false, http: 401 },
  subject_mismatch: { retry: false, http: 403 },
  forbidden: { retry: false, http: 403 },
  unknown_machine: { retry: false, http: 404 },
  bad_room: { retry: false, http: 400 },
  not_joined: { retry: false, http: 409 },
  bad_event: { retry: false, http: 400 },
  not_accepted: { retry: false, http: 409 },
  conflict: { retry: true, http: 409 },
  event_failed: { retry: false, http: 409 },
  room_failed: { retry: true, http: 503 },
  unknown_seq: { retry: false, http: 404 },
  inbox_full: { retry: true, http: 429 },
  rate_limited: { retry: true, http: 429 },
  overloaded: { retry: true, http: 503 },
  read_only: { retry: true, http: 503 },
  internal: { retry: true, http: 503 },
} as const

export type ErrorCode = keyof typeof rows

/** All of them. */
export const errorCodes = Object.keys(rows) as readonly ErrorCode[]

/** Those that were made here: nothing that came from outside can pass for one, whatever it looks like. */
const failures = new WeakSet<object>()

/** An `error` frame (protocol.md, "Server frames"), and at the same time the value that refuses a request. */
export interface Failure {
  readonly type: 'error'
  readonly code: ErrorCode
  readonly message: string
  readonly retry: boolean
  /** JSON Pointer (RFC 6901) of the field that is wrong. */
  readonly path?: string
  readonly [detail: string]: unknown
}

/** Characters of what a client sent that are told again, to it or to the operator. */
const MAX_TOLD = 500

/** `text`, or its beginning: a message may quote a name as long as a frame, which in JSON is six times as long. */
export function excerpt(text: string): string {
  return text.length > MAX_TOLD ? `${text.slice(0, MAX_TOLD)}...` : text
}

/** Makes the `error` frame for `code`; `message` says what was expected, what came, and where. */
export function failure(code: ErrorCode, message: string, details?: Record<string, unknown>): Failure {
  const made: Failure = { type: 'error', code, message: excerpt(message), retry: rows[code].retry, ...details }
  failures.add(made)
  return made
}

/** The answer to whoever would write while the storage refuses it. */
export const readOnly = (): Failure => failure('read_only', 'the storage takes no writes now; nothing was changed')

export function isFailure(value: object): value is Failure {
  return failures.has(value)
}

/** The HTTP status that carries the same verdict (RFC 9110). */
export const httpStatus = (code: ErrorCode): number => rows[code].http

/** Close codes by reason: RFC 6455 7.4.1 for those below 4000, ours above. */
export const closeCodes = {
  normal: 1000,
  going_away: 1001,
  internal_error: 1011,
  bad_request: 4000,
  unauthorized: 4001,
  forbidden: 4003,
  auth_timeout: 4008,
  revoked: 4010,
  internal: 4100,
  overloaded: 4103,
  too_many_connections: 4104,
  rate_limited: 4129,
  token_expired: 4201,
  heartbeat_timeout: 4208,
  too_slow: 4211,
  moved: 4213,
} as const

export type CloseReason = keyof typeof closeCodes

/** The range is the verdict: 4100 and above come back, and so does who was drained (1001) or hit a crash of ours (1011). */
export function comesBack(code: number): boolean {
  return code >= 4100 || code === closeCodes.going_away || code === closeCodes.internal_error
}
