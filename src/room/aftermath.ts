/**
 * What follows a commit of a room: the machine's own actions, the work that it invokes, the next of its delays.
 *
 * Always true: nothing here happens before the record that caused it is durable; what throws or rejects leaves the record
 * and its `ok` as they are, and is logged with room and seq (rule L5).
 */

import type { Logger } from '../logger.ts'
import type { RoomState } from '../machine/document.ts'
import type { Effect } from '../machine/folded.ts'
import { type Arrival, LiveActors } from '../machine/live.ts'
import type { Deadline, Wheel } from '../wheel.ts'
import type { Supervisor } from './supervisor.ts'

/** An effect, and the seq of the record that it follows. */
export interface Consequence {
  readonly seq: number
  readonly effect: Effect
}

/** The room that it is the aftermath of. */
export interface Origin {
  readonly name: string
  /** Invoked work has something to say. */
  arrived(arrival: Arrival): void
  /** A delay is due. */
  wake(): void
}

export class Aftermath {
  readonly #origin: Origin
  readonly #supervisor: Supervisor
  readonly #wheel: Wheel
  readonly #logger: Logger
  readonly #live: LiveActors
  #alarm: Deadline | undefined
  #dueAt: number | undefined

  constructor(origin: Origin, supervisor: Supervisor, { wheel, logger }: { wheel: Wheel; logger: Logger }) {
    this.#origin = origin
    this.#supervisor = supervisor
    this.#wheel = wheel
    this.#logger = logger
    this.#live = new LiveActors(origin.name, (arrival) => origin.arrived(arrival))
  }

  /** Whether work is under way that the room must stay for. */
  get isBusy(): boolean {
    return this.#live.size > 0
  }

  /** The room was read from its log: what runs is what should run. */
  settle(state: RoomState | undefined): void {
    this.#live.settle(state)
    this.#arm(state)
  }

  carryOut(consequences: readonly Consequence[], state: RoomState | undefined): void {
    for (const { seq, effect } of consequences) {
      try {
        const result = this.#run(effect, seq)
        if (result instanceof Promise) result.catch((error) => this.#tellThrown(error, seq, effect))
      } catch (error) {
        this.#tellThrown(error, seq, effect)
      }
    }
    this.#arm(state)
  }

  /** The room is forgotten until somebody asks for it, or a delay of its is due. */
  stop(): void {
    this.#disarm()
    this.#live.stopAll()
  }

  #run(effect: Effect, seq: number): unknown {
    switch (effect.type) {
      case 'action':
        return effect.run()
      case 'log':
        return this.#logger.info({ room: this.#origin.name, seq, value: effect.value }, effect.label || 'log')
      case 'start':
        return this.#live.start(effect.child)
      case 'stop':
        return this.#live.stop(effect.path)
      case 'deliver':
        return this.#live.deliver(effect.path, effect.event)
    }
  }

  #tellThrown(error: unknown, seq: number, effect: Effect): void {
    const action = effect.type === 'action' ? effect.name : effect.type
    this.#logger.error({ err: error, room: this.#origin.name, seq, action }, 'an action threw')
    this.#supervisor.count(1)
  }

  /** One deadline for all delays: that of the next. */
  #arm(state: RoomState | undefined): void {
    const dueAt = state?.delays[0]?.dueAt
    if (dueAt === this.#dueAt) return
    this.#disarm()
    if (dueAt === undefined) return
    this.#dueAt = dueAt
    this.#alarm = this.#wheel.setTimeout(() => this.#due(), Math.max(0, dueAt - Date.now()))
  }

  #due(): void {
    this.#dueAt = undefined
    this.#alarm = undefined
    this.#origin.wake()
  }

  #disarm(): void {
    if (this.#alarm) this.#wheel.clearTimeout(this.#alarm)
    this.#alarm = undefined
    this.#dueAt = undefined
  }
}
