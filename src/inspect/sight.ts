/** What can be seen of one actor, whichever kind it is: where it stands, where it stood, and what happens to it. */
import type { Failure } from '../errors.ts'
import type { History, State, Step } from './told.ts'

export interface Sight {
  now(): Promise<State | Failure>
  /** As it was right after the step `seq`. */
  moment(seq: number): Promise<State | Failure>
  history(range: { readonly since: number; readonly limit: number }): Promise<History | Failure>
  /**
   * Tells of each step from now on, in order; what it looks like is worked out if it is asked. And of what became of the
   * actor without one, which its state says. @returns what ends it.
   */
  follow(onStep: (seq: number, look: () => Step) => void, onTurned: () => void): () => void
}

/** Characters of steps in one `history` frame. */
const HISTORY_SIZE = 512 * 1024

/** A page of steps, which is full at a number of them, or when a frame should hold no more. */
export class Page {
  readonly steps: Step[] = []
  readonly #limit: number
  #size = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get isFull(): boolean {
    return this.steps.length >= this.#limit || this.#size > HISTORY_SIZE
  }

  add(step: Step): void {
    this.#size += JSON.stringify(step).length
    this.steps.push(step)
  }
}
