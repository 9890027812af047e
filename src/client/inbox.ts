/**
 * A user's inbox, told to one listener: each message, and to the server what became of it (rules Q1, Q2).
 *
 * Always true: a message is acknowledged behind what the listener does with it, never before. What comes again while that
 * goes on is not told twice; what was done, and its acknowledgement lost, is acknowledged when it comes again.
 */
import type { ServerFrames } from '../protocol.ts'
import type { Line } from './line.ts'
import { ignore } from './listeners.ts'
import { wordsOf } from './refusal.ts'

export type Message = Omit<ServerFrames['message'], 'type'>

export class Inbox {
  readonly #line: () => Line | undefined
  #listener: { tell(message: Message): unknown } | undefined
  /** Those that are not settled yet, by seq and time: a log that was restored may give a seq twice. */
  #begun = new Map<string, 'told' | 'done'>()

  constructor(line: () => Line | undefined) {
    this.#line = line
  }

  listen(tell: (message: Message) => unknown): () => void {
    if (this.#listener) throw new TypeError('somebody listens to this inbox already')
    const listener = { tell }
    this.#listener = listener
    return () => {
      if (this.#listener === listener) this.#listener = undefined
    }
  }

  /** From now on it is another user's. */
  forget(): void {
    this.#begun = new Map()
  }

  heard({ type: _, ...message }: ServerFrames['message']): void {
    const name = `${message.seq} ${message.time}`
    const progress = this.#begun.get(name)
    if (progress === 'done') this.#acknowledge(message.seq, name)
    else if (!progress && this.#listener) void this.#tell(message, name, this.#listener)
  }

  async #tell(message: Message, name: string, { tell }: { tell(message: Message): unknown }): Promise<void> {
    const begun = this.#begun.set(name, 'told')
    const { seq } = message
    try {
      await tell(message)
      begun.set(name, 'done')
      if (begun === this.#begun) this.#acknowledge(seq, name)
    } catch (error) {
      begun.delete(name)
      if (begun === this.#begun) this.#line()?.ask({ type: 'nack', seq, reason: wordsOf(error).slice(0, 256) }, ignore)
    }
  }

  #acknowledge(seq: number, name: string): void {
    const begun = this.#begun
    this.#line()?.ask({ type: 'ack', seq }, (reply) => {
      if (reply && !(reply.type === 'error' && reply.retry)) begun.delete(name)
    })
  }
}
