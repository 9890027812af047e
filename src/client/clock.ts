/** Time and chance, as far as a client needs them; a test brings its own and moves it. */

export interface Clock {
  /** Unix epoch milliseconds. It jumps when a laptop wakes. */
  now(): number
  /** @returns what takes it back. */
  later(milliseconds: number, run: () => void): () => void
  /** At least 0, less than 1. */
  random(): number
}

export const wallClock: Clock = {
  now: () => Date.now(),
  later(milliseconds, run) {
    const timer = setTimeout(run, milliseconds)
    return () => clearTimeout(timer)
  },
  random: () => Math.random(),
}
