/**
 * One actor as one visitor watches it: its state, then every step, once and in order, until there are too many to show.
 *
 * Always true: between a state and the steps behind it none is missing, and none comes twice; what a visitor does not read,
 * or what comes faster than anybody can look, is counted and left out, and followed by a fresh state. Where that cannot be
 * read it is tried again until it can.
 */
import { type Failure, isFailure } from '../errors.ts'
import type { Told } from './frames.ts'
import type { Sight } from './sight.ts'
import type { State, Step } from './told.ts'

/** What a watch needs of the visitor. */
export interface Onto {
  /** Whether one more step may be shown now. */
  mayStep(): boolean
  tell(told: Told | Failure): void
  /** Calls `refresh` of this watch when more may be shown again, after `wait` milliseconds at the earliest. */
  fellBehind(watch: Watch, wait?: number): void
}

/** Steps that wait at most while a state is being read. */
const WAITING = 200
/** One that cannot be read is read again after a second, then after twice as long each time, up to a minute. */
const FIRST_WAIT = 1000
const LONGEST_WAIT = 60_000

export class Watch {
  readonly #actor: string
  readonly #sight: Sight
  readonly #onto: Onto
  readonly #end: () => void
  /** Steps that came while the state is being read. */
  #waiting: { readonly seq: number; readonly look: () => Step }[] | undefined = []
  #last = 0
  #isBehind = false
  /** The visitor was told that the state cannot be read. */
  #isLost = false
  #wait = FIRST_WAIT
  #isOver = false

  constructor(actor: string, sight: Sight, onto: Onto) {
    this.#actor = actor
    this.#sight = sight
    this.#onto = onto
    this.#end = sight.follow(
      (seq, look) => this.#step(seq, look),
      () => this.#turned(),
    )
  }

  /** Where it begins: `tell` puts the state out, and the steps behind it follow. @returns whether there is one */
  async begin(tell: (state: State | Failure) => void): Promise<boolean> {
    const state = await this.#sight.now()
    if (this.#isOver) return false
    tell(state)
    if (isFailure(state)) return false
    this.#last = state.seq
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const { seq, look } of waiting) this.#step(seq, look)
    if (this.#isBehind) this.#onto.fellBehind(this)
    return true
  }

  /** Says how many steps were left out, and goes on from a fresh state. */
  async refresh(): Promise<void> {
    if (!this.#isBehind || this.#waiting || this.#isOver) return
    const last = this.#last
    this.#isBehind = false
    this.#waiting = []
    try {
      await this.begin((state) => (isFailure(state) ? this.#lost(state) : this.#found(state, last)))
    } finally {
      if (this.#waiting && !this.#isOver) this.#tryAgain()
    }
  }

  #found(state: State, last: number): void {
    this.#isLost = false
    this.#wait = FIRST_WAIT
    const steps = state.seq - last
    if (steps > 0) this.#onto.tell({ type: 'skipped', actor: this.#actor, steps })
    this.#onto.tell({ type: 'state', ...state })
  }

  /** Said once, until there is a state again. */
  #lost(why: Failure): void {
    if (!this.#isLost) this.#onto.tell({ ...why, actor: this.#actor })
    this.#isLost = true
  }

  #tryAgain(): void {
    this.#waiting = undefined
    this.#isBehind = true
    this.#onto.fellBehind(this, this.#wait)
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT)
  }

  stop(): void {
    this.#isOver = true
    this.#end()
  }

  /** The actor is another without a step: a fresh state says so, and may be read where it could not. */
  #turned(): void {
    this.#wait = FIRST_WAIT
    this.#isBehind = true
    if (!this.#waiting) this.#onto.fellBehind(this)
  }

  #step(seq: number, look: () => Step): void {
    if (this.#waiting && this.#waiting.length < WAITING) return void this.#waiting.push({ seq, look })
    if (this.#waiting) this.#isBehind = true
    if (this.#isBehind || seq <= this.#last) return
    if (seq === this.#last + 1 && this.#onto.mayStep()) {
      this.#last = seq
      return this.#onto.tell({ type: 'step', ...look() })
    }
    this.#isBehind = true
    this.#onto.fellBehind(this)
  }
}

const SECOND = 1000

/** So many steps in a second, and no more. */
export class Pace {
  readonly #most: number
  #since = 0
  #steps = 0

  constructor(most: number) {
    this.#most = most
  }

  take(now = Date.now()): boolean {
    if (now - this.#since >= SECOND) [this.#since, this.#steps] = [now, 0]
    return ++this.#steps <= this.#most
  }
}
