/**
 * One round of delivery: what of an inbox has been handed to the tabs that are open, since when, and what waits for a
 * socket that is full.
 *
 * Always true: a message is in a round once, whatever the number of tabs; a congested tab is owed numbers, not bytes; the
 * round ends with the last tab, and the next begins with everything unsettled (rule Q1).
 */

import { encode } from '../protocol.ts'
import type { Delivery } from '../transport/transport.ts'
import type { Letter, Letters } from './letters.ts'

/** Messages of one hand-over. */
const CHUNK = 256

/** What an inbox needs of a connection of its user. */
export interface Recipient {
  readonly id: string
  /** Whether frames handed over now would only wait in memory. */
  readonly congested: boolean
  deliver(frame: string): Delivery
}

interface Tab {
  readonly recipient: Recipient
  /** What it was not given yet, in order, each once, also where it is offered again meanwhile. */
  readonly owed: Set<number>
}

export class Round {
  readonly #tabs = new Map<string, Tab>()
  readonly #offered = new Set<number>()
  /** When each that was sent and not settled went out first, oldest first; Unix epoch milliseconds. */
  readonly #sentAt = new Map<number, number>()

  get tabs(): number {
    return this.#tabs.size
  }

  /** A tab is there: what is under way in this round is owed to it as well. */
  open(recipient: Recipient, letters: Letters): void {
    const tab = {
      recipient,
      owed: new Set([...letters.inOrder()].map(({ seq }) => seq).filter((seq) => this.#offered.has(seq))),
    }
    this.#tabs.set(recipient.id, tab)
    this.#pump(tab, letters)
  }

  close(id: string): void {
    this.#tabs.delete(id)
    if (this.#tabs.size > 0) return
    this.#offered.clear()
    this.#sentAt.clear()
  }

  drained(id: string, letters: Letters): void {
    const tab = this.#tabs.get(id)
    if (tab) this.#pump(tab, letters)
  }

  /** The next that may go out: none while every tab is still owed something. */
  next(letters: Letters): number[] {
    if (this.#offered.size >= letters.size || !this.#isHungry) return []
    const next: number[] = []
    for (const { seq } of letters.inOrder()) {
      if (this.#offered.has(seq)) continue
      if (next.push(seq) === CHUNK) break
    }
    return next
  }

  get #isHungry(): boolean {
    for (const { owed, recipient } of this.#tabs.values()) if (owed.size === 0 && !recipient.congested) return true
    return false
  }

  /** Hands `seqs` over to every tab. */
  offer(seqs: readonly number[], letters: Letters): void {
    for (const seq of seqs) this.#offered.add(seq)
    for (const tab of this.#tabs.values()) {
      for (const seq of seqs) tab.owed.add(seq)
      this.#pump(tab, letters)
    }
  }

  /** These are settled, or are to be delivered again. */
  forget(seqs: Iterable<number>): void {
    for (const seq of seqs) {
      this.#offered.delete(seq)
      this.#sentAt.delete(seq)
    }
  }

  /** Those that went out at `instant` or before. */
  sentBy(instant: number): number[] {
    const seqs: number[] = []
    for (const [seq, at] of this.#sentAt) {
      if (at > instant) break
      seqs.push(seq)
    }
    return seqs
  }

  /** When the one that has waited longest for its `ack` went out. */
  get oldestSentAt(): number {
    const [oldest = Number.POSITIVE_INFINITY] = this.#sentAt.values()
    return oldest
  }

  #pump(tab: Tab, letters: Letters): void {
    const { recipient } = tab
    for (const seq of tab.owed) {
      const letter = this.#offered.has(seq) ? letters.get(seq) : undefined
      if (letter && (recipient.congested || recipient.deliver(frameOf(letter)) === 'dropped')) break
      if (letter && !this.#sentAt.has(seq)) this.#sentAt.set(seq, Date.now())
      tab.owed.delete(seq)
    }
  }
}

function frameOf({ seq, from, data, priority, time, attempts: attempt }: Letter): string {
  return encode({ type: 'message', seq, from, data, priority, time, attempt })
}
