/**
 * Clients that remember what they were promised, and when: each `ok` and each patch, at the place in the trace that the
 * server's disk had come to when it was seen. The place is read after the frame has arrived, so it is never too early.
 */
import { statSync } from 'node:fs'
import type { Dice } from '../fixtures/dice.ts'
import type { ServerProcess } from '../fixtures/server.ts'
import { type Frame, Tab } from '../fixtures/tab.ts'

/** Bytes of a text: most are short, some need pages of their own. */
const LENGTHS = [8, 40, 40, 200, 200, 900, 6000]

/** That `room` has come to `seq`, and, for an `ok`, which text stands there. */
export interface Promised {
  /** The length of the trace when it was seen. */
  readonly place: number
  readonly room: string
  readonly seq: number
  readonly epoch: string
  readonly by: 'ok' | 'patch'
  readonly text?: string
}

export class Witness {
  readonly promises: Promised[] = []
  readonly rooms: readonly string[]
  readonly #trace: string
  readonly #dice: Dice
  readonly #epochs = new Map<string, string>()
  #texts = 0

  constructor(trace: string, rooms: readonly string[], dice: Dice) {
    this.#trace = trace
    this.rooms = rooms
    this.#dice = dice
  }

  get acknowledged(): number {
    return this.promises.filter(({ by }) => by === 'ok').length
  }

  /** One client that is in every room, and sends to them in turn until so many were acknowledged in all. */
  async sendUntil(acks: number, server: ServerProcess, user: string): Promise<void> {
    const tab = await Tab.open(server, user)
    tab.socket.on('message', (text) => this.#saw(JSON.parse(String(text))))
    for (const room of this.rooms) await tab.join(room)
    while (this.acknowledged < acks) await this.#send(tab, this.#dice.pick(this.rooms))
    await tab.leave()
  }

  async #send(tab: Tab, room: string): Promise<void> {
    const text = `${this.#texts++} ${'x'.repeat(this.#dice.pick(LENGTHS))}`
    const { type, seq } = await tab.ask({ type: 'send', room, event: { type: 'message.post', text } })
    if (type !== 'ok') throw new Error(`${room} took no message: ${type}`)
    const place = statSync(this.#trace).size
    this.promises.push({ place, room, seq, epoch: this.#epochs.get(room) as string, by: 'ok', text })
  }

  #saw({ type, room, epoch, seq }: Frame): void {
    if (type !== 'patch' && type !== 'snapshot') return
    this.#epochs.set(room, epoch)
    this.promises.push({ place: statSync(this.#trace).size, room, seq, epoch, by: 'patch' })
  }
}
