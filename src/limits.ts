/**
 * What a peer may do so often and no oftener.
 *
 * Always true: nothing here knows a socket; a limit that is not set costs one comparison.
 */

/** Counts what happened within the last `window` milliseconds, up to `most`. */
export class SlidingCount {
  readonly #most: number
  readonly #window: number
  #times: number[] = []

  constructor(most: number, window: number) {
    this.#most = most
    this.#window = window
  }

  /** Counts one more at `now`. @returns whether that is as many as there may be. */
  add(now: number): boolean {
    this.#times = this.#times.filter((time) => now - time < this.#window).concat(now)
    return this.#times.length >= this.#most
  }
}
