/** A crowd of authenticated connections, one user each, spread over processes. */
import { ClientProcess } from './clients.ts'
import type { Progress } from './torture.ts'

/** What one connection of the crowd went through. */
export interface Story {
  readonly user: string
  readonly room: string
  /** The seq of each record that was acknowledged; the n-th carries the mark `user n`. */
  readonly acknowledged: readonly number[]
  readonly closing: { readonly code: number; readonly retryAfter?: number } | null
  /** The code of the close frame. */
  readonly closed: number
}

/** Processes of a crowd at most, and connections of one before there is another. */
const PROCESSES = 4
const SHARE = 100

export class Crowd {
  readonly #size: number
  readonly #processes: ClientProcess[]

  constructor(size: number) {
    this.#size = size
    const processes = Math.min(PROCESSES, Math.ceil(size / SHARE))
    this.#processes = Array.from({ length: processes }, () => new ClientProcess('./crowd-process.ts'))
  }

  /** Opens them all. */
  async open(url: string, progress: Progress): Promise<void> {
    const size = this.#size
    const users = Array.from({ length: size }, (_, i) => `user${i}`)
    const share = Math.ceil(size / this.#processes.length)
    let opened = 0
    const openShare = async (process: ClientProcess, n: number): Promise<void> => {
      const mine = users.slice(n * share, (n + 1) * share)
      await process.ask({ what: 'open', url, users: mine })
      opened += mine.length
      progress(opened, size)
    }
    await Promise.all(this.#processes.map(openShare))
  }

  /** Lets each send events, the next as soon as one is acknowledged, until its connection ends. */
  async talk(rooms: number): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.ask({ what: 'talk', rooms })))
  }

  /** How many events were acknowledged so far. */
  async acknowledged(): Promise<number> {
    const counts = await Promise.all(this.#processes.map((process) => process.ask<number>({ what: 'acknowledged' })))
    return counts.reduce((sum, count) => sum + count)
  }

  /** What each went through, once all are closed. */
  async stories(): Promise<Story[]> {
    const stories = await Promise.all(this.#processes.map((process) => process.ask<Story[]>({ what: 'stories' })))
    return stories.flat()
  }

  /** The processes stop where they are: no FIN, no pong, nothing read. */
  stop(): void {
    for (const process of this.#processes) process.stop()
  }

  end(): void {
    for (const process of this.#processes) process.end()
  }
}
