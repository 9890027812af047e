/**
 * Work that runs beside a room, once the record that began it is durable: promises, callbacks, observables, each as a
 * real XState actor under a parent that only listens.
 *
 * Always true: what it brings enters the room by the same door as everything else; it is begun at least once, again after
 * a restart, with the same key each time; what fails in it reaches the room as an event and nobody else.
 */
import { type AnyActor, createActor, fromTransition } from 'xstate'
import type { RoomEvent } from '../protocol.ts'
import type { RoomState } from './document.ts'
import type { Child } from './folded.ts'

/** An event for the actor at `to` in a room. */
export interface Arrival {
  readonly to: string
  readonly event: RoomEvent
  /** The invoked actor that it comes from, and the seq of the record that began that; none for an action's own sending. */
  readonly from?: string
  readonly seq?: number
  /** Whether that actor has ended with it. */
  readonly isOver?: boolean
}

interface Running {
  readonly seq: number
  readonly actor: AnyActor
}

export class LiveActors {
  readonly #room: string
  readonly #arrived: (arrival: Arrival) => void
  readonly #running = new Map<string, Running>()

  constructor(room: string, arrived: (arrival: Arrival) => void) {
    this.#room = room
    this.#arrived = arrived
  }

  get size(): number {
    return this.#running.size
  }

  /** Runs what `state` says should run, and nothing else: after the room was read from its log. */
  settle(state: RoomState | undefined): void {
    const wanted = [...(state?.children.values() ?? [])].filter(({ kind }) => kind === 'live')
    for (const [path, { seq }] of this.#running) {
      if (!wanted.some((child) => child.path === path && child.seq === seq)) this.stop(path)
    }
    for (const child of wanted) if (!this.#running.has(child.path)) this.start(child)
  }

  start(child: Child): void {
    const { handle, path, seq } = child
    this.stop(path)
    const parent = createActor(
      fromTransition((state, event: RoomEvent) => {
        this.#heard(child, event)
        return state
      }, null),
    ).start()
    const actor = createActor(handle.logic, {
      parent,
      id: handle.id,
      input: withKey(child.input, `${this.#room}/${seq}/${path}`),
      ...(handle._syncSnapshot === true && { syncSnapshot: true }),
    })
    this.#running.set(path, { seq, actor })
    actor.start()
  }

  deliver(path: string, event: RoomEvent): void {
    this.#running.get(path)?.actor.send(event)
  }

  stop(path: string): void {
    const running = this.#running.get(path)
    this.#running.delete(path)
    // XState lets only its parent stop a child: a parent's own stop would leave it running.
    ;(running?.actor as { _stop?: () => void } | undefined)?._stop?.()
  }

  stopAll(): void {
    for (const path of [...this.#running.keys()]) this.stop(path)
  }

  #heard({ handle, path, seq }: Child, event: RoomEvent): void {
    const isOver = event.type === `xstate.done.actor.${handle.id}` || event.type === `xstate.error.actor.${handle.id}`
    if (isOver) this.#running.delete(path)
    this.#arrived({ to: parentPath(path), event: withoutSubscription(event), from: path, seq, isOver })
  }
}

/** An observable's snapshot holds the subscription that it lives on, which is nobody else's. */
function withoutSubscription(event: RoomEvent): RoomEvent {
  if (!event.type.startsWith('xstate.snapshot.')) return event
  const { _subscription, ...snapshot } = event.snapshot as Readonly<Record<string, unknown>>
  return { ...event, snapshot }
}

const parentPath = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))

/** Invoked work gets a key that is the same each time it is begun: `idempotencyKey` in its input. */
function withKey(input: unknown, idempotencyKey: string): unknown {
  const isPlain = input === null || (typeof input === 'object' && !Array.isArray(input))
  return isPlain ? { ...input, idempotencyKey } : input
}
