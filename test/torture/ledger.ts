/** Where all clients of a torture write down what they see, in the order in which they see it. */
import type { Observation } from './observation.ts'

/** Milliseconds without progress after which a run is given up. */
const PATIENCE = 30_000

export class Ledger {
  readonly history: Observation[] = []
  /** What no history has words for: a frame that nobody expects, a connection that ends by itself. */
  readonly surprises: string[] = []
  /** Answers of the kind `ok`, to sends; dups among them. */
  acknowledged = 0
  dups = 0
  /** Whether the server is meant to be there: a connection that ends meanwhile is a surprise. */
  isServing = true
  #waiting: (() => void)[] = []

  note(observation: Observation): void {
    this.history.push(observation)
    if (observation.type !== 'acknowledged') return
    this.acknowledged++
    if (observation.dup) this.dups++
    this.changed()
  }

  /** Somebody who waits should look again. */
  changed(): void {
    for (const look of this.#waiting.splice(0)) look()
  }

  /** Resolves as soon as `holds`. @throws when nothing changes for long: `what` names what was waited for. */
  async until(what: string, holds: () => boolean): Promise<void> {
    while (!holds()) {
      const isInTime = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), PATIENCE)
        this.#waiting.push(() => {
          clearTimeout(timer)
          resolve(true)
        })
      })
      if (!isInTime) throw new Error(`waited ${PATIENCE} ms for ${what}; ${this.surprises.slice(0, 5).join('; ')}`)
    }
  }
}
