/**
 * Virtual actors in Orleans' sense: always addressable by name, in memory only while somebody needs them.
 *
 * Always true: what is in the Map is the only one of its name; one that was idle for a while is forgotten, or at once where
 * more than the bound are there and it is the one that was idle longest; it comes back from its log when somebody asks. One
 * that is in use is never forgotten, so that the bound may be exceeded by those.
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

/** Why one was forgotten: nobody asked for a while, or there were too many. */
export type Passivation = 'idle' | 'bound'

export interface ActivationsSurroundings {
  readonly wheel: Wheel
  /** How many may be in memory, unless more are in use. */
  readonly bound: number
  onPassivated?(why: Passivation): void
}

interface Idle {
  /** Unix epoch milliseconds: when it is forgotten, unless somebody asks before. */
  until: number
  deadline: Deadline
}

export class Activations<T extends Activatable> {
  readonly #around: ActivationsSurroundings
  readonly #active = new Map<string, T>()
  /** Those that were idle when they were last seen, the one that was so longest first. */
  readonly #idle = new Map<T, Idle>()

  constructor(around: ActivationsSurroundings) {
    this.#around = around
  }

  get size(): number {
    return this.#active.size
  }

  get inUse(): number {
    let inUse = 0
    for (const one of this.#active.values()) if (!one.isIdle) inUse++
    return inUse
  }

  all(): Iterable<T> {
    return this.#active.values()
  }

  get(name: string): T | undefined {
    return this.#active.get(name)
  }

  add(one: T): T {
    this.#active.set(one.name, one)
    this.#keepBound()
    return one
  }

  /** `one` has nothing to do: it is forgotten when that is so for `delay` milliseconds. One that is forgotten is none of ours. */
  idle(one: T, delay: number): void {
    if (this.#active.get(one.name) !== one) return
    const known = this.#idle.get(one)
    const until = Date.now() + delay
    const idle = known ?? { until, deadline: this.#around.wheel.setTimeout(() => this.#due(one), delay) }
    idle.until = until
    this.#idle.delete(one)
    this.#idle.set(one, idle)
    this.#keepBound()
  }

  /** The deadline of the first time: one that was asked since waits for the rest of its time. */
  #due(one: T): void {
    const idle = this.#idle.get(one)
    if (!idle) return
    const left = Math.max(idle.until - Date.now(), one.remembersFor)
    if (!one.isIdle) this.#idle.delete(one)
    else if (left > 0) idle.deadline = this.#around.wheel.setTimeout(() => this.#due(one), left)
    else this.#passivate(one, 'idle')
  }

  #keepBound(): void {
    for (const [one, { deadline }] of this.#idle) {
      if (this.#active.size <= this.#around.bound) return
      if (one.remembersFor > 0) continue
      this.#around.wheel.clearTimeout(deadline)
      if (one.isIdle) this.#passivate(one, 'bound')
      else this.#idle.delete(one)
    }
  }

  /** What its name stands for is not `one` any more. */
  forget(one: T): void {
    const idle = this.#idle.get(one)
    if (idle) this.#around.wheel.clearTimeout(idle.deadline)
    this.#idle.delete(one)
    this.#active.delete(one.name)
  }

  #passivate(one: T, why: Passivation): void {
    this.forget(one)
    one.stop()
    this.#around.onPassivated?.(why)
  }

  stop(): void {
    for (const one of this.#active.values()) one.stop()
  }
}
