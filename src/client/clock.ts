/** Time and chance, as far as a client needs them; a test brings its own and moves it. */

export interface Clock {
  /** Unix epoch milliseconds. It jumps when a laptop wakes. */
  now(): number
  /** At that time, or before it where that is weeks away. @returns what takes it back. */
  later(milliseconds: number, run: () => void): () => void
  /** At least 0, less than 1. */
  random(): number
}

/** Milliseconds; a timer takes what is longer for 1 ms. */
const LONGEST = 2 ** 31 - 1

export const wallClock: Clock = {
  now: () => Date.now(),
  later(milliseconds, run) {
    const timer = setTimeout(run, Math.min(milliseconds, LONGEST))
    return () => clearTimeout(timer)
  },
  random: () => Math.random(),
}
