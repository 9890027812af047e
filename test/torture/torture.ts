/** What a long run is, and what it gives back. */

/** Called as the run goes on: `done` of `total`. */
export type Progress = (done: number, total: number) => void

export interface Outcome {
  /** What was measured, by what it is called in docs/RELIABILITY.md. */
  readonly figures: Readonly<Record<string, string | number>>
  /** Each promise that was broken, in a sentence; none when all is well. */
  readonly violations: readonly string[]
}

export interface Torture {
  /** How much of it the long run is; the tests ask for less. */
  readonly size: number
  /** What `size` counts. */
  readonly unit: string
  run(size: number, progress: Progress): Promise<Outcome>
}
