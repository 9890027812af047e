/**
 * User → inbox. A user whom nobody has ever written to has none, and costs nothing.
 *
 * Always true: an inbox is in memory while its user is connected or something waits for it; it knows the open
 * connections of its user.
 */
import { Activations } from '../activations.ts'
import type { Wheel } from '../wheel.ts'
import { type Counts, Inbox, type InboxSurroundings, inboxTopic } from './inbox.ts'
import type { Recipient } from './round.ts'

/** Milliseconds that an inbox without anybody stays in memory. */
const IDLE = 60_000

export interface InboxesSurroundings extends Omit<InboxSurroundings, 'onIdle'> {
  readonly wheel: Wheel
  /** Inboxes in memory at most, unless more are in use. */
  readonly maxResidentInboxes: number
  /** The connections of a user that are open. */
  recipientsOf(user: string): Iterable<Recipient>
}

const EMPTY: Counts = { normal: 0, high: 0, total: 0 }

export class Inboxes {
  readonly #around: InboxesSurroundings
  readonly #active: Activations<Inbox>

  constructor(around: InboxesSurroundings) {
    this.#around = around
    this.#active = new Activations({ wheel: around.wheel, bound: around.maxResidentInboxes })
  }

  get size(): number {
    return this.#active.size
  }

  /** The inbox of a user, activated where it sleeps. */
  of(user: string): Inbox {
    return this.#active.get(inboxTopic(user)) ?? this.#activate(user)
  }

  /** Resolves when what waits for `user` is in memory. */
  async ready(user: string): Promise<void> {
    if (await this.#isUnborn(inboxTopic(user))) return
    const inbox = this.of(user)
    await new Promise<void>((resolve) => inbox.read(() => resolve()))
  }

  /** Whether nobody has ever written to it; one that is damaged was written to. */
  async #isUnborn(name: string): Promise<boolean> {
    if (this.#active.get(name)) return false
    return this.#around.log.last(name).then(
      (last) => last === 0,
      () => false,
    )
  }

  /** A connection of `user` is open. */
  opened(user: string, recipient: Recipient): void {
    this.#active.get(inboxTopic(user))?.open(recipient)
  }

  closed(user: string, id: string): void {
    this.#active.get(inboxTopic(user))?.close(id)
  }

  drained(user: string, id: string): void {
    this.#active.get(inboxTopic(user))?.drained(id)
  }

  /** `null` where the inbox cannot be read. */
  countsOf(user: string): Counts | null {
    const inbox = this.#active.get(inboxTopic(user))
    return inbox ? inbox.counts : EMPTY
  }

  #activate(user: string): Inbox {
    const inbox = new Inbox(user, { ...this.#around, onIdle: (inbox) => this.#active.idle(inbox, IDLE) })
    void inbox.begin()
    for (const recipient of this.#around.recipientsOf(user)) inbox.open(recipient)
    return this.#active.add(inbox)
  }
}
