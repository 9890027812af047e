/** A client of one room that remembers how far it got, and goes on from there. */
import WebSocket from 'ws'
import { tokenFor } from '../fixtures/server.ts'
import type { Frame } from '../fixtures/tab.ts'

export type Mode = 'state' | 'events'

export interface Place {
  readonly epoch: string
  readonly seq: number
}

/** What a resume brought. */
export interface Resumed {
  /** Unix epoch milliseconds: nothing was missing any more. */
  readonly at: number
  readonly recovered: boolean
  readonly records: number
  /** What was wrong with it. */
  readonly fault?: string
}

export class Member {
  readonly #url: string
  readonly #room: string
  readonly #mode: Mode
  readonly #token: string
  #place: Place | undefined
  #socket: WebSocket | undefined

  private constructor(url: string, room: string, mode: Mode, token: string) {
    this.#url = url
    this.#room = room
    this.#mode = mode
    this.#token = token
  }

  static async of(url: string, user: string, room: string, mode: Mode): Promise<Member> {
    return new Member(url, room, mode, await tokenFor(user))
  }

  /** Joins for the first time, and goes on from there ever after. */
  async settle(): Promise<void> {
    await this.#enter(undefined)
  }

  /** Connects, joins from the place of the first join, and has everything since. */
  async resume(): Promise<Resumed> {
    return this.#enter(this.#place)
  }

  leave(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket?.once('close', () => resolve())
      this.#socket?.close(1000)
    })
  }

  #enter(since: Place | undefined): Promise<Resumed> {
    const socket = new WebSocket(this.#url, ['chartroom.v1'], {
      headers: { authorization: `Bearer ${this.#token}` },
      perMessageDeflate: false,
    })
    this.#socket = socket
    const [room, mode] = [this.#room, this.#mode]
    return new Promise((resolve, reject) => {
      let ok: Frame | undefined
      const received: Frame[] = []
      socket.on('error', reject)
      socket.on('close', (code) => reject(new Error(`closed with ${code} before it was up to date`)))
      socket.on('message', (bytes) => {
        const frame: Frame = JSON.parse(String(bytes))
        if (frame.type === 'welcome')
          socket.send(JSON.stringify({ type: 'join', id: 1, room, mode, ...(since && { since }) }))
        else if (frame.id === 1) ok = frame
        else if (frame.type !== 'message') received.push(frame)
        if (!ok || !isWhole(ok, since, received)) return
        socket.removeAllListeners('message').removeAllListeners('close')
        this.#place ??= { epoch: ok.epoch, seq: ok.seq }
        resolve({ at: Date.now(), ...verdict(ok, since, received) })
      })
    })
  }
}

/** Whether everything up to the seq of the `ok` is there. */
function isWhole(ok: Frame, since: Place | undefined, received: readonly Frame[]): boolean {
  return (ok.recovered && since?.seq === ok.seq) || (received.at(-1)?.seq ?? 0) >= ok.seq || ok.type === 'error'
}

function verdict(ok: Frame, since: Place | undefined, received: readonly Frame[]): Omit<Resumed, 'at'> {
  const after = since?.seq ?? ok.seq
  const shown = { recovered: ok.recovered === true, records: ok.seq - after }
  const fault = ok.type === 'error' ? `${ok.code}: ${ok.message}` : faultOf(ok, after, received)
  return fault === undefined ? shown : { ...shown, fault }
}

/** Each frame begins where the one before it ended. */
function faultOf(ok: Frame, after: number, received: readonly Frame[]): string | undefined {
  let at = after
  for (const { type, base, seq } of received) {
    if (type === 'snapshot') {
      if (ok.recovered) return 'a snapshot for who was recovered'
    } else if ((type === 'event' ? seq - 1 : base) !== at) return `${type} ${seq} behind ${at}`
    at = seq
  }
  return undefined
}
