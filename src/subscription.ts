/**
 * One connection's place in one room: what it holds, and what brings it up to date.
 *
 * Always true: a subscriber's `cursor` is a state that it really got; while its socket is congested nothing is queued
 * for it, and on drain it gets one frame from where it stands (rule S7).
 */
import type { Principal } from './auth.ts'
import type { Failure } from './errors.ts'
import { diff, type Operation } from './patch.ts'
import { encode } from './protocol.ts'
import type { Delivery } from './transport.ts'

/** What the subscribers of a room see at one seq. */
export class View {
  readonly room: string
  readonly epoch: string
  readonly seq: number
  readonly state: unknown
  #snapshot: Buffer | undefined

  constructor(room: string, epoch: string, seq: number, state: unknown) {
    this.room = room
    this.epoch = epoch
    this.seq = seq
    this.state = state
  }

  /** The `snapshot` frame, encoded once for all who join here. */
  get snapshot(): Buffer {
    this.#snapshot ??= Buffer.from(
      encode({ type: 'snapshot', room: this.room, epoch: this.epoch, seq: this.seq, state: this.state }),
    )
    return this.#snapshot
  }

  /** The `patch` frame from an earlier view to this one. */
  patchFrom(base: View): Buffer {
    return this.patch(base.seq, diff(base.state, this.state))
  }

  /** The `patch` frame that carries `ops` from the seq `base` to this view. */
  patch(base: number, ops: readonly Operation[]): Buffer {
    const { room, epoch, seq } = this
    return Buffer.from(encode({ type: 'patch', room, epoch, base, seq, ops }))
  }
}

/** What a room needs of a connection that is in it. The room knows who is in; the connection is told. */
export interface Subscriber {
  readonly id: string
  /** Whether frames handed over now would only wait in memory. */
  readonly congested: boolean
  deliver(frame: Uint8Array): Delivery
  /** It is in `room` from now on. `false`: it is gone meanwhile. */
  entersRoom(room: JoinedRoom): boolean
  /** It is out of `room`; `why` where it did not ask for that. */
  leavesRoom(room: JoinedRoom, why?: Failure): void
}

/** What a connection needs of a room that it is in. */
export interface JoinedRoom {
  readonly name: string
  recheck(subscriber: Subscriber, who: Principal): void
  lost(subscriber: Subscriber, who: Principal): void
  drained(subscriber: Subscriber): void
}

export class Subscription {
  readonly subscriber: Subscriber
  readonly user: string
  /** What the subscriber really got; nothing yet where its socket would not take the first frame. */
  #cursor: View | undefined

  constructor(subscriber: Subscriber, user: string) {
    this.subscriber = subscriber
    this.user = user
  }

  /** Hands over the first frame, which leads to `view`; an empty one is not sent. */
  begin(view: View, frame: Uint8Array): void {
    if (frame.length === 0) this.#cursor = view
    else this.#advance(view, frame)
  }

  /** Hands over the frame that leads from `base` to `view`, unless the subscriber stands elsewhere or cannot take it. */
  publish(base: View, view: View, frame: Uint8Array): void {
    if (this.#cursor === base) this.#advance(view, frame)
  }

  /** Brings a subscriber that fell behind to `view`, by whichever frame is smaller. */
  catchUp(view: View): void {
    if (this.#cursor?.seq === view.seq) return
    const patch = this.#cursor && view.patchFrom(this.#cursor)
    this.#advance(view, patch && patch.length < view.snapshot.length ? patch : view.snapshot)
  }

  #advance(view: View, frame: Uint8Array): void {
    if (this.subscriber.congested) return
    if (this.subscriber.deliver(frame) !== 'dropped') this.#cursor = view
  }
}
