/**
 * The life of a client, in the server's words: its states, what leads from one to the next, and whether and when it
 * comes back after a close (docs/protocol.md, "Closing").
 *
 * Always true: there is no way out of `closed`; what is not in the table does not happen.
 */
import type { CloseReason } from '../errors.ts'

/** `waiting` is ours: between two connections. `authenticated` is a moment of the server's that no client sees. */
export type ClientState = 'connecting' | 'open' | 'closing' | 'waiting' | 'closed'
export type LifeEvent = 'welcomed' | 'leaving' | 'lost' | 'due' | 'ended'

const table: Readonly<Record<ClientState, Partial<Record<LifeEvent, ClientState>>>> = {
  connecting: { welcomed: 'open', lost: 'waiting', ended: 'closed' },
  open: { leaving: 'closing', lost: 'waiting', ended: 'closed' },
  closing: { lost: 'waiting', ended: 'closed' },
  waiting: { due: 'connecting', ended: 'closed' },
  closed: {},
}

/** The state that an event leads to, `undefined` where it means nothing. */
export const next = (state: ClientState, event: LifeEvent): ClientState | undefined => table[state][event]

export type Verdict = 'stop' | 'back off' | 'at once'

/** The range is the verdict; a code that nobody knows is handled by its range. */
export function verdict(code: number): Verdict {
  if (code === 1000 || code === 1007 || code === 1009 || (code >= 4000 && code < 4100)) return 'stop'
  return code >= 4200 && code < 4300 ? 'at once' : 'back off'
}

/** The words of the close codes, which the server tells as a number and a sentence. */
export const reasons: Readonly<Record<number, CloseReason>> = {
  1000: 'normal',
  1001: 'going_away',
  1011: 'internal_error',
  4000: 'bad_request',
  4001: 'unauthorized',
  4003: 'forbidden',
  4008: 'auth_timeout',
  4010: 'revoked',
  4100: 'internal',
  4103: 'overloaded',
  4104: 'too_many_connections',
  4129: 'rate_limited',
  4201: 'token_expired',
  4208: 'heartbeat_timeout',
  4211: 'too_slow',
  4213: 'moved',
}

export interface Backoff {
  /** Milliseconds: the longest first pause. */
  readonly base: number
  /** Milliseconds: the longest pause of all. */
  readonly cap: number
}

/** Milliseconds before the dial behind `failures` in a row: full jitter, anything from nothing to a bound that doubles. */
export const pause = (failures: number, { base, cap }: Backoff, random: number): number =>
  Math.floor(random * Math.min(cap, base * 2 ** failures))

/** Milliseconds that a connection must have been open for the next failure to be a first one again. */
const STABLE = 5000

/** How often dialling was in vain, and how long to wait for it now. */
export class Patience {
  readonly #backoff: Backoff
  /** Dials since a connection last held that led to none that did. */
  failures = 0

  constructor(backoff: Backoff) {
    this.#backoff = backoff
  }

  /** A connection ended that had been open for so long; 0 for a dial that led to none. */
  ended(milliseconds: number): void {
    this.failures = milliseconds >= STABLE ? 0 : this.failures + 1
  }

  /** Milliseconds until the next dial. At once is once: whoever is sent away again and again backs off. */
  delay(verdict: Verdict, retryAfter: number | undefined, random: number): number {
    if (retryAfter !== undefined) return retryAfter
    return verdict === 'at once' && this.failures <= 1
      ? 0
      : pause(Math.max(0, this.failures - 1), this.#backoff, random)
  }
}
