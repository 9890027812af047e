/**
 * One connection's place in one room: what it holds, and what brings it up to date.
 *
 * Always true: a cursor is a place that the subscriber really got to; while its socket is congested nothing is queued
 * for it, and on drain it goes on from where it stands (rule S7): with one frame of state, or along the log.
 */
import type { Principal } from '../auth/auth.ts'
import type { Failure } from '../errors.ts'
import type { JoinMode } from '../protocol.ts'
import type { Delivery } from '../transport/transport.ts'
import { EventCursor, type EventSource } from './event-cursor.ts'
import type { View } from './view.ts'

/** What a room needs of a connection that is in it. The room knows who is in; the connection is told. */
export interface Subscriber {
  readonly id: string
  /** Whether frames handed over now would only wait in memory. */
  readonly congested: boolean
  deliver(frame: Uint8Array): Delivery
  /** What `run` delivers goes out together. */
  together(run: () => void): void
  /** It is in `room` from now on, let in as `who`; it asks for a recheck where that is another by now. `false`: it is gone meanwhile. */
  entersRoom(room: JoinedRoom, who: Principal): boolean
  /** It is out of `room`; `why` where it did not ask for that. */
  leavesRoom(room: JoinedRoom, why?: Failure): void
  /** It fell behind further than the log goes back. */
  fellBehind(): void
}

/** What a connection needs of a room that it is in. */
export interface JoinedRoom {
  readonly name: string
  /** @param done called once what `who` was before is seen no more */
  recheck(subscriber: Subscriber, who: Principal, done?: () => void): void
  lost(subscriber: Subscriber, who: Principal): void
  drained(subscriber: Subscriber): void
}

/** What one commit brings to those who watch; each frame is encoded once, for the first who wants it. */
export interface Publication {
  /** The seq behind which its events begin. */
  readonly after: number
  readonly base: View
  readonly view: View
  readonly patch: Buffer
  readonly events: readonly (Buffer | null)[]
}

/** Where a subscriber begins: the frame of state that leads to `view`, and the seq from which its events go on. */
export interface Beginning {
  readonly view: View
  /** Empty where there is nothing to say. */
  readonly frame: Uint8Array
  readonly eventsAfter: number
}

/** Where the events of a room come from, as each who watches may see them. */
interface Events {
  sourceFor(watcher: { readonly who: Principal }): EventSource
}

export class Subscription {
  readonly subscriber: Subscriber
  who: Principal
  readonly #state: StateCursor | undefined
  readonly #events: EventCursor | undefined

  constructor(subscriber: Subscriber, who: Principal, mode: JoinMode, audience: Events) {
    this.subscriber = subscriber
    this.who = who
    this.#state = mode === 'events' ? undefined : new StateCursor(subscriber)
    this.#events = mode === 'state' ? undefined : new EventCursor(subscriber, audience.sourceFor(this))
  }

  /** Hands over the first frame, then the events that were missed. Resolves when they went out, or wait for a drain. */
  begin({ view, frame, eventsAfter }: Beginning): void | Promise<void> {
    if (this.#state) this.#state.begin(view, frame)
    else if (frame.length > 0) this.subscriber.deliver(frame)
    return this.#events?.begin(eventsAfter)
  }

  publish(publication: Publication): void {
    this.#events?.publish(publication.after, publication)
    this.#state?.publish(publication)
  }

  /** Who watches is another by now, whose view begins with a snapshot where it is another (rule A2). */
  change(view: View): void {
    this.#state?.change(view)
  }

  /** Brings a subscriber that fell behind up to `view`. */
  catchUp(view: View): void {
    void this.#events?.catchUp()
    this.#state?.catchUp(view)
  }
}

/** Follows a room's state. */
class StateCursor {
  readonly #subscriber: Subscriber
  /** What the subscriber really got; nothing yet where its socket would not take the first frame. */
  #held: View | undefined

  constructor(subscriber: Subscriber) {
    this.#subscriber = subscriber
  }

  /** Hands over the first frame, which leads to `view`; an empty one is not sent. */
  begin(view: View, frame: Uint8Array): void {
    if (frame.length === 0) this.#held = view
    else this.#advance(view, frame)
  }

  /** Goes on from another view of the same seq. */
  change(view: View): void {
    if (this.#held?.seq === view.seq && !view.differsFrom(this.#held)) this.#held = view
    else {
      this.#held = undefined
      this.#advance(view, view.snapshot)
    }
  }

  /** Hands over the patch, unless the subscriber stands elsewhere or cannot take it. */
  publish(publication: Publication): void {
    if (this.#held === publication.base) this.#advance(publication.view, publication.patch)
  }

  /** Whichever frame is smaller; none where the room was only read from the log again. */
  catchUp(view: View): void {
    if (this.#held?.seq === view.seq) return this.change(view)
    const patch = this.#held && view.patchFrom(this.#held)
    this.#advance(view, patch && patch.length < view.snapshot.length ? patch : view.snapshot)
  }

  #advance(view: View, frame: Uint8Array): void {
    if (this.#subscriber.congested) return
    if (this.#subscriber.deliver(frame) !== 'dropped') this.#held = view
  }
}
