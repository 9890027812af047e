/**
 * The owner of an inbox: settles most of what comes, gives some of it back, and leaves some for the next round, so that
 * every round has something due.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Dice } from '../fixtures/dice.ts'
import type { Frame } from '../fixtures/tab.ts'
import type { Place } from './observation.ts'
import { Client } from './returning.ts'

/** Milliseconds in which an inbox is emptied. */
const PATIENCE = 10_000

export class Owner extends Client {
  /** From now on it settles everything. */
  isClearing = false
  readonly #dice: Dice
  readonly #place: Place

  constructor(dice: Dice, ...[user, url, token, ledger]: ConstructorParameters<typeof Client>) {
    super(user, url, token, ledger)
    this.#dice = dice
    this.#place = `inbox ${user}`
  }

  /** Resolves when nothing waits in the inbox. */
  async cleared(): Promise<void> {
    for (const deadline = Date.now() + PATIENCE; ; await pause(10)) {
      const { inbox } = await this.ask({ type: 'status' })
      if (inbox.total === 0) return
      if (Date.now() > deadline)
        return void this.ledger.surprises.push(`${this.user} still has ${inbox.total} messages`)
    }
  }

  protected override dialling(): void {
    this.ledger.note({ type: 'dialled', reader: this.user, place: this.#place })
  }

  protected override welcomed(): void {}

  protected override arrived(frame: Frame): void {
    if (frame.type === 'message') return this.#received(frame)
    const [, seq] = /^ack (\d+)$/.exec(frame.id) ?? []
    if (frame.type !== 'ok' || !seq) this.ledger.surprises.push(`${this.user} got ${JSON.stringify(frame)}`)
    else this.ledger.note({ type: 'settled', reader: this.user, place: this.#place, seq: Number(seq) })
  }

  #received({ seq, from, data, priority, attempt }: Frame): void {
    const [reader, place] = [this.user, this.#place]
    this.ledger.note({ type: 'message', reader, place, seq, id: data.id, from, priority, attempt })
    const fate = this.#dice.next()
    if (this.isClearing || fate < 0.9) {
      this.ledger.note({ type: 'acking', reader, place, seq })
      this.send({ type: 'ack', id: `ack ${seq}`, seq })
    } else if (fate < 0.95 && attempt === 1) {
      this.ledger.note({ type: 'nacked', reader, place, seq })
      this.send({ type: 'nack', seq })
    }
  }
}
