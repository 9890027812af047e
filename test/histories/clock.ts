/** Time that moves when it is told to, for a room and its wheel. */
import type { Deadline, Wheel } from '../../src/wheel.ts'

const START = 1_700_000_000_000

interface Due {
  readonly at: number
  readonly run: () => void
}

export class Clock {
  readonly #now = Date.now
  readonly #due = new Set<Due>()
  #time = START

  /** `Date.now` tells this time until `release`. */
  hold(): void {
    Date.now = () => this.#time
  }

  release(): void {
    Date.now = this.#now
  }

  /** Runs what is due on the way, each at its own time. */
  move(ms: number): void {
    const end = this.#time + ms
    for (;;) {
      const [next] = [...this.#due].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
      if (!next) break
      this.#due.delete(next)
      this.#time = Math.max(this.#time, next.at)
      next.run()
    }
    this.#time = end
  }

  /** The part of a wheel that rooms use. */
  wheel(): Wheel {
    const setTimeout = (run: () => void, delay: number): Due => {
      const due = { at: this.#time + delay, run }
      this.#due.add(due)
      return due
    }
    const clearTimeout = (due: Due): void => void this.#due.delete(due)
    return { setTimeout, clearTimeout } as unknown as Wheel & { setTimeout(run: () => void, delay: number): Deadline }
  }
}
