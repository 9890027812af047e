/**
 * The connections that are in a room, and watch it.
 *
 * Always true: whoever is let in begins with what was missed or a snapshot, and is in from then on; whoever is put out
 * without having asked is told why.
 */

import type { Principal } from '../auth/auth.ts'
import type { Failure } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { Machine } from '../machine/machine.ts'
import type { JoinMode, ServerFrames } from '../protocol.ts'
import type { Audience } from './audience.ts'
import { type Position, resume } from './recovery.ts'
import { type JoinedRoom, type Publication, type Subscriber, Subscription } from './subscription.ts'

/** How somebody wants to be in a room. */
export interface Joining {
  readonly since?: Position | undefined
  readonly mode?: JoinMode | undefined
}

export class Attendance {
  readonly #room: JoinedRoom
  readonly #machine: Machine
  readonly #audience: Audience
  readonly #log: Log
  readonly #subscriptions = new Map<string, Subscription>()

  constructor(room: JoinedRoom, machine: Machine, audience: Audience, log: Log) {
    this.#room = room
    this.#machine = machine
    this.#audience = audience
    this.#log = log
  }

  get size(): number {
    return this.#subscriptions.size
  }

  /** Connections by their id, and who is behind each. */
  *everybody(): Generator<readonly [id: string, who: Principal]> {
    for (const [id, { who }] of this.#subscriptions) yield [id, who]
  }

  /** Lets one in whose `join` was decided; resolves when its first frames went out. */
  async admit(
    subscriber: Subscriber,
    who: Principal,
    { since, mode = 'state' }: Joining,
    answer: (ok: ServerFrames['ok']) => void,
  ): Promise<void> {
    const view = this.#audience.viewOf(who)
    const { can } = this.#audience
    const mayResume = mode === 'events' || !this.#machine.hasView
    const frame = since && mayResume && (await this.#resume(subscriber, who, { since, mode, view, can }))
    answer({ type: 'ok', room: this.#room.name, epoch: view.epoch, seq: view.seq, recovered: Boolean(frame) })
    const subscription = new Subscription(subscriber, who, mode, this.#audience)
    this.#subscriptions.set(subscriber.id, subscription)
    const eventsAfter = frame && since ? since.seq : view.seq
    await subscription.begin({ view, frame: frame || view.snapshot, eventsAfter })
    if (!subscriber.entersRoom(this.#room, who)) this.#room.lost(subscriber, who)
  }

  /** Whoever cannot be told what it missed is not in: it was counted in when its `join` was decided. @throws {DamagedLog} */
  #resume(subscriber: Subscriber, who: Principal, missed: Parameters<typeof resume>[1]): Promise<Buffer | undefined> {
    return resume(this.#log, missed).catch((error: unknown) => {
      this.#room.lost(subscriber, who)
      throw error
    })
  }

  /** It is here as somebody else from now on. */
  become(subscriber: Subscriber, who: Principal): void {
    const subscription = this.#subscriptions.get(subscriber.id)
    if (subscription) subscription.who = who
  }

  /** Shows it what it sees as whoever it has become. */
  show(subscriber: Subscriber): void {
    const subscription = this.#subscriptions.get(subscriber.id)
    subscription?.change(this.#audience.viewOf(subscription.who))
  }

  /** The rules by which they were let in are others now. */
  recheckAll(): void {
    for (const { subscriber, who } of this.#subscriptions.values()) this.#room.recheck(subscriber, who)
  }

  dismiss(subscriber: Subscriber, why?: Failure): void {
    this.#subscriptions.delete(subscriber.id)
    subscriber.leavesRoom(this.#room, why)
  }

  dismissAll(why: Failure): void {
    for (const { subscriber } of [...this.#subscriptions.values()]) this.dismiss(subscriber, why)
  }

  /** It is gone, and is told nothing. */
  forget(subscriber: Subscriber): void {
    this.#subscriptions.delete(subscriber.id)
  }

  /** Tells everybody but those whose turn comes `later`. */
  publish(publicationFor: (subscription: Subscription) => Publication, later: ReadonlySet<string>): void {
    for (const [id, subscription] of this.#subscriptions)
      if (!later.has(id)) subscription.publish(publicationFor(subscription))
  }

  publishTo(id: string, publicationFor: (subscription: Subscription) => Publication): void {
    const subscription = this.#subscriptions.get(id)
    subscription?.publish(publicationFor(subscription))
  }

  /** The socket of a subscriber takes frames again. */
  drained(subscriber: Subscriber): void {
    const subscription = this.#subscriptions.get(subscriber.id)
    subscription?.catchUp(this.#audience.viewOf(subscription.who))
  }

  /** Brings everybody up to where the room stands. */
  catchUp(): void {
    for (const subscription of this.#subscriptions.values()) {
      subscription.catchUp(this.#audience.viewOf(subscription.who))
    }
  }
}
