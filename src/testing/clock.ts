/**
 * Time that goes on by itself, and can be moved ahead: for `Date.now` in this process, and for the deadlines of a server.
 *
 * Always true: time never goes back while a clock is held; each deadline on the way runs at its own time, and what it
 * brings about is done, and on disk, before the next one is looked for.
 */
import { setImmediate } from 'node:timers/promises'
import type { Wheel } from '../wheel.ts'

/** Turns of the event loop in which nothing has to be written, after which nothing follows any more. */
const QUIET = 3

/** What of a server a clock needs. */
interface Moved {
  /** Resolves when nothing waits to be written. */
  settled(): Promise<void>
}

const realNow = Date.now
/** How far time was moved in this process, by whichever clock. */
let ahead = 0
/** Clocks that are held. */
let held = 0

export class Clock {
  readonly #wheel: Wheel
  readonly #server: Moved

  constructor(wheel: Wheel, server: Moved) {
    this.#wheel = wheel
    this.#server = server
    held++
    Date.now = () => realNow() + ahead
  }

  get now(): number {
    return Date.now()
  }

  /** Moves time ahead, and runs what is due on the way. Resolves when all that is done, but for work of your own. */
  async move(ms: number): Promise<void> {
    const end = Date.now() + ms
    await this.#quiet()
    for (let at = this.#wheel.next; at !== undefined && at <= end; at = this.#wheel.next) {
      this.#moveTo(at)
      await this.#quiet()
    }
    this.#moveTo(end)
    await this.#quiet()
  }

  /** With the last clock time is what it is again. */
  release(): void {
    if (--held > 0) return
    ahead = 0
    Date.now = realNow
  }

  #moveTo(instant: number): void {
    ahead += Math.max(0, instant - Date.now())
    this.#wheel.turn()
  }

  async #quiet(): Promise<void> {
    for (let i = 0; i < QUIET; i++) {
      await this.#server.settled()
      await setImmediate()
    }
  }
}
