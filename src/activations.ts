/**
 * Virtual actors in Orleans' sense: always addressable by name, in memory only while somebody needs them.
 *
 * Always true: what is in the Map is the only one of its name; one that was idle for a while is forgotten, and comes
 * back from its log when somebody asks.
 */
import type { Deadline, Wheel } from './wheel.ts'

/** What can be activated. */
export interface Activatable {
  readonly name: string
  /** Whether nobody is here and nothing waits. */
  readonly isIdle: boolean
  /** Milliseconds for which it must be remembered though nobody is here. */
  readonly remembersFor: number
  /** Nothing of it runs any more. */
  stop(): void
}

export class Activations<T extends Activatable> {
  readonly #wheel: Wheel
  readonly #active = new Map<string, T>()
  readonly #idle = new Map<T, Deadline>()

  readonly #onPassivated: () => void

  constructor(wheel: Wheel, onPassivated = (): void => {}) {
    this.#wheel = wheel
    this.#onPassivated = onPassivated
  }

  get size(): number {
    return this.#active.size
  }

  all(): Iterable<T> {
    return this.#active.values()
  }

  get(name: string): T | undefined {
    return this.#active.get(name)
  }

  add(one: T): T {
    this.#active.set(one.name, one)
    return one
  }

  /** Forgets `one` when it is still idle `delay` milliseconds from now. */
  idle(one: T, delay: number): void {
    if (this.#idle.has(one)) return
    this.#idle.set(
      one,
      this.#wheel.setTimeout(() => this.#passivate(one), delay),
    )
  }

  #passivate(one: T): void {
    this.#idle.delete(one)
    if (!one.isIdle) return
    if (one.remembersFor > 0) return this.idle(one, one.remembersFor)
    this.#active.delete(one.name)
    one.stop()
    this.#onPassivated()
  }

  stop(): void {
    for (const one of this.#active.values()) one.stop()
  }
}
