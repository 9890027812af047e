/**
 * One XState system for all live actors of the server: connections and sessions are children of one root that only
 * listens. A system of its own for each would weigh more than the actor.
 *
 * Always true: an actor that fails takes nobody with it; whoever made it hears of that, once.
 * `onStep`, where there is one, hears of every event that an actor has taken, when its chart stands where that leads.
 * Delays wait on the wheel, listed by actor: XState's own list is one for the whole system, walked at each actor's end.
 */
import {
  type Actor,
  type AnyActor,
  type AnyActorLogic,
  type AnyActorRef,
  type AnyMachineSnapshot,
  createActor,
  fromTransition,
  type InputFrom,
} from 'xstate'
import type { Deadline, Wheel } from '../wheel.ts'

export class ActorSystem {
  readonly #root: AnyActor
  /** Who hears of an actor's failure, by the actor's id. */
  readonly #onError = new Map<string, (error: unknown) => void>()
  readonly #scheduler: Scheduler
  readonly #onStep: OnStep | undefined
  /** Logic that tells of its steps, by the logic as it is written. */
  readonly #told = new WeakMap<AnyActorLogic, AnyActorLogic>()

  constructor(wheel: Wheel, onStep: OnStep | undefined) {
    this.#onStep = onStep
    this.#scheduler = new Scheduler(wheel)
    const logic = fromTransition((state: null, event: FromChild) => this.#heard(state, event), null)
    this.#root = createActor(logic)
    Object.assign(this.#root.system, { scheduler: this.#scheduler })
    this.#root.start()
  }

  /** An actor that is not started yet. */
  create<L extends AnyActorLogic>(logic: L, input: InputFrom<L>, onError: (error: unknown) => void): Actor<L> {
    const create = createActor as unknown as (logic: L, options: object) => Actor<L>
    const actor = create(this.#telling(logic), { parent: this.#root, input })
    this.#onError.set(actor.id, onError)
    return actor
  }

  /** Ends an actor, as its parent would. */
  end(actor: AnyActor): void {
    this.#onError.delete(actor.id)
    actor.send({ type: 'xstate.stop' })
  }

  /** What an actor waits for. */
  delaysOf(actor: AnyActorRef): readonly Waiting[] {
    return this.#scheduler.waitingOf(actor)
  }

  #telling<L extends AnyActorLogic>(logic: L): L {
    const onStep = this.#onStep
    if (!onStep) return logic
    const known = this.#told.get(logic)
    if (known) return known as L
    const telling: L = Object.assign(Object.create(logic), {
      getInitialSnapshot: (...given: Parameters<L['getInitialSnapshot']>) => {
        const first = logic.getInitialSnapshot.apply(telling, given)
        onStep({ type: 'xstate.init' }, first)
        return first
      },
      transition: (...given: Parameters<L['transition']>) => {
        const next = logic.transition.apply(telling, given)
        onStep(given[1], next)
        return next
      },
    })
    this.#told.set(logic, telling)
    return telling
  }

  #heard(state: null, { type, actorId = '', error }: FromChild): null {
    const onError = this.#onError.get(actorId)
    this.#onError.delete(actorId)
    if (type.startsWith('xstate.error.')) onError?.(error)
    return state
  }
}

/** An event, and the snapshot that it leads to. */
export type OnStep = (event: { readonly type: string }, snapshot: AnyMachineSnapshot) => void

/** What XState tells a parent: that a child is done, or has failed. */
interface FromChild {
  readonly type: string
  readonly actorId?: string
  readonly error?: unknown
}

/** XState's scheduler, on the wheel. An actor has a delay or two at a time. */
class Scheduler {
  readonly #wheel: Wheel
  readonly #waiting = new Map<AnyActorRef, readonly Waiting[]>()

  constructor(wheel: Wheel) {
    this.#wheel = wheel
  }

  schedule(source: AnyActorRef, target: AnyActorRef, event: { type: string }, delay: number, id = event.type): void {
    this.cancel(source, id)
    const deadline = this.#wheel.setTimeout(() => {
      this.#forget(source, id)
      target.send(event)
    }, delay)
    this.#waiting.set(source, [...this.waitingOf(source), { id, deadline, dueAt: Date.now() + delay, delay }])
  }

  cancel(source: AnyActorRef, id: string): void {
    for (const waiting of this.waitingOf(source)) if (waiting.id === id) this.#wheel.clearTimeout(waiting.deadline)
    this.#forget(source, id)
  }

  cancelAll(source: AnyActorRef): void {
    for (const { deadline } of this.waitingOf(source)) this.#wheel.clearTimeout(deadline)
    this.#waiting.delete(source)
  }

  waitingOf(source: AnyActorRef): readonly Waiting[] {
    return this.#waiting.get(source) ?? []
  }

  #forget(source: AnyActorRef, id: string): void {
    const left = this.waitingOf(source).filter((waiting) => waiting.id !== id)
    if (left.length > 0) this.#waiting.set(source, left)
    else this.#waiting.delete(source)
  }
}

export interface Waiting {
  readonly id: string
  /** Unix epoch milliseconds; milliseconds. */
  readonly dueAt: number
  readonly delay: number
  readonly deadline: Deadline
}
