/**
 * One connection's place in one room: what it holds, and what brings it up to date.
 *
 * Always true: a subscriber's `cursor` is a state that it really got; while its socket is congested nothing is queued
 * for it, and on drain it gets one frame from where it stands (rule S7).
 */
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

/** What a subscription needs of the connection that it belongs to. */
export interface Subscriber {
  readonly id: string
  /** Whether frames handed over now would only wait in memory. */
  readonly congested: boolean
  deliver(frame: Uint8Array): Delivery
}

export class Subscription {
  readonly subscriber: Subscriber
  readonly user: string
  #cursor: View

  constructor(subscriber: Subscriber, user: string, cursor: View) {
    this.subscriber = subscriber
    this.user = user
    this.#cursor = cursor
  }

  /** Hands over the first frame, which leads to where the subscription begins; an empty one is not sent. */
  begin(frame: Uint8Array): void {
    if (frame.length > 0) this.subscriber.deliver(frame)
  }

  /** Hands over the frame that leads from `base` to `view`, unless the subscriber stands elsewhere or cannot take it. */
  publish(base: View, view: View, frame: Uint8Array): void {
    if (this.#cursor === base) this.#advance(view, frame)
  }

  /** Brings a subscriber that fell behind to `view`, by whichever frame is smaller. */
  catchUp(view: View): void {
    if (this.#cursor.seq === view.seq) return
    const patch = view.patchFrom(this.#cursor)
    this.#advance(view, patch.length < view.snapshot.length ? patch : view.snapshot)
  }

  #advance(view: View, frame: Uint8Array): void {
    if (this.subscriber.congested) return
    if (this.subscriber.deliver(frame) !== 'dropped') this.#cursor = view
  }
}
