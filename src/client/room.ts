/**
 * A room as the user of the client sees it: its state, what follows, and what is sent to it.
 *
 * Always true: a `state` that was given out is never changed; what ends by itself (a wait, an iteration) listens no more.
 */
import type { RoomEvent } from '../protocol.ts'
import type { Clock } from './clock.ts'
import type { Gap, RoomRecord } from './feed.ts'
import { each, ignore } from './listeners.ts'
import type { SendOptions, Sent } from './outbox.ts'
import { ChartroomError } from './refusal.ts'
import type { Stay } from './stay.ts'

export interface RoomOptions {
  /** Every record is told too, each once and in order (`records`); without it the state alone. */
  readonly events?: boolean
}

export interface WaitOptions {
  readonly signal?: AbortSignal
  /** Milliseconds. */
  readonly timeout?: number
}

export type Send = (room: string, event: RoomEvent, options: SendOptions) => Promise<Sent>

export class Room<State, Event extends { type: string }> implements AsyncIterable<State> {
  readonly #stay: Stay
  readonly #send: Send
  readonly #clock: Clock

  constructor(stay: Stay, send: Send, clock: Clock) {
    this.#stay = stay
    this.#send = send
    this.#clock = clock
  }

  get name(): string {
    return this.#stay.name
  }

  /** The state that the server had at `seq`; `undefined` until it first came. Never changed in place: `===` tells a change. */
  get state(): State | undefined {
    return this.#stay.replica?.state as State | undefined
  }

  get seq(): number | undefined {
    return this.#stay.replica?.seq
  }

  /** Whether an active state has a transition for it; `false` while that is not known. Guards are not asked. */
  can(type: Event['type']): boolean {
    return (this.state as { can?: readonly string[] } | undefined)?.can?.includes(type) ?? false
  }

  /** Resolves when the event is on disk, once, however often the connection broke meanwhile. @throws {ChartroomError} */
  send(event: Event, options: SendOptions = {}): Promise<Sent> {
    return this.#send(this.name, event as unknown as RoomEvent, options)
  }

  /**
   * Calls `tell` with the state that is there, and with each that follows; `fail` where the room refuses, or the client is
   * closed. @returns what ends it.
   */
  subscribe(tell: (state: State) => void, fail: (error: ChartroomError) => void = ignore): () => void {
    return this.#stay.watch({ tell: tell as (state: unknown) => void, fail })
  }

  /** Calls `tell` with each record; `missed` where some are not there any more. Needs `{ events: true }`. */
  records(
    tell: (record: RoomRecord) => void,
    missed: (gap: Gap) => void = ignore,
    fail: (error: ChartroomError) => void = ignore,
  ): () => void {
    if (!this.#stay.isTold) throw new TypeError(`${this.name} tells no records: room(name, { events: true }) does`)
    return this.#stay.read({ tell, missed, fail })
  }

  /** Resolves with the first state for which `holds`, the present one included. */
  async waitFor(holds: (state: State) => boolean, { signal, timeout }: WaitOptions = {}): Promise<State> {
    signal?.throwIfAborted()
    const ends: (() => void)[] = []
    try {
      return await new Promise<State>((resolve, reject) => {
        const aborted = () => reject(signal?.reason)
        signal?.addEventListener('abort', aborted)
        ends.push(() => signal?.removeEventListener('abort', aborted))
        if (timeout !== undefined) ends.push(this.#clock.later(timeout, () => reject(this.#late(timeout))))
        ends.push(this.subscribe(settling(holds, resolve, reject), reject))
      })
    } finally {
      each(ends, (end) => end())
    }
  }

  /** The newest state, whenever it is asked for; who is slow misses some in between. Ends when the client is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<State, void, undefined> {
    let isNew = false
    let failure: ChartroomError | undefined
    let wake = ignore
    const tell = () => {
      isNew = true
      wake()
    }
    const fail = (error: ChartroomError) => {
      failure = error
      wake()
    }
    const end = this.subscribe(tell, fail)
    try {
      while (isNew || !failure) {
        if (!isNew) await new Promise<void>((resolve) => (wake = resolve))
        if (!isNew) continue
        isNew = false
        yield this.state as State
      }
    } finally {
      end()
    }
    if (failure.code !== 'closed') throw failure
  }

  #late(timeout: number): ChartroomError {
    return new ChartroomError('timeout', `${this.name}: not so within ${timeout} ms`, true)
  }
}

/** Settles with the first state for which `holds`, or with what `holds` throws. */
const settling =
  <State>(holds: (state: State) => boolean, resolve: (state: State) => void, reject: (error: unknown) => void) =>
  (state: State): void => {
    try {
      if (holds(state)) resolve(state)
    } catch (error) {
      reject(error)
    }
  }
