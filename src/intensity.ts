/**
 * How often something may fail before its supervisor gives it up: OTP's restart intensity, within a period.
 */
import { SlidingCount } from './limits.ts'

/** How many failures within how many milliseconds are one too many; 0: no number is. */
export interface Intensity {
  readonly failures: number
  readonly period: number
}

/** A session's actor is restarted three times; a room goes on from its last durable state, four times. */
export const intensities = {
  session: { failures: 4, period: 60_000 },
  room: { failures: 5, period: 30_000 },
} as const satisfies Record<string, Intensity>

/** The failures of one thing; costs next to nothing until it has one. */
export class Failures {
  readonly #limit: Intensity
  #recent: SlidingCount | undefined

  constructor(limit: Intensity) {
    this.#limit = limit
  }

  /** Counts one at `now`. @returns whether that is one too many. */
  add(now: number): boolean {
    if (this.#limit.failures === 0) return false
    this.#recent ??= new SlidingCount(this.#limit.failures, this.#limit.period)
    return this.#recent.add(now)
  }

  /** How many more are one too many. */
  left(now: number): number {
    if (this.#limit.failures === 0) return Number.POSITIVE_INFINITY
    return this.#limit.failures - (this.#recent?.at(now) ?? 0)
  }

  /** Milliseconds until all of them lie outside the period. */
  forgottenIn(now: number): number {
    const last = this.#recent?.last
    return last === undefined ? 0 : Math.max(0, last + this.#limit.period - now)
  }
}
