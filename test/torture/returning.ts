/**
 * One user's connection that comes back: the next one takes up where the one that broke left off. What is sent in one
 * turn of the event loop leaves in one write.
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import WebSocket from 'ws'
import type { Frame } from '../fixtures/tab.ts'
import type { Ledger } from './ledger.ts'

/** Milliseconds after which nobody dials any more. */
const PATIENCE = 30_000
/** Milliseconds between two attempts to connect. */
const RETRY = 5

export abstract class Client {
  readonly user: string
  protected readonly ledger: Ledger
  readonly #url: string
  readonly #token: string
  readonly #asked = new Map<string, (frame: Frame) => void>()
  #socket: WebSocket | undefined
  #isCorked = false
  #isLeaving = false
  #nextAsk = 1

  constructor(user: string, url: string, token: string, ledger: Ledger) {
    this.user = user
    this.#url = url
    this.#token = token
    this.ledger = ledger
  }

  /** The connection of a life that has ended is gone. */
  async ended(): Promise<void> {
    if (this.#socket && this.#socket.readyState !== WebSocket.CLOSED) await once(this.#socket, 'close')
    this.#asked.clear()
  }

  /** Connects, as often as it takes, and resolves once the server has said welcome. */
  async connect(): Promise<void> {
    await this.ended()
    this.dialling()
    const socket = await dial(this.#url, this.#token, (frame, socket) => {
      this.#socket = socket
      this.#arrived(frame)
    })
    this.#socket = socket
    this.#isLeaving = false
    socket.on('close', (code) => {
      if (this.ledger.isServing && !this.#isLeaving) this.ledger.surprises.push(`${this.user} was closed with ${code}`)
    })
    this.welcomed()
  }

  close(): void {
    this.#isLeaving = true
    this.#socket?.close(1000)
  }

  /** Sends a frame and gives back the one reply. */
  ask(frame: Frame): Promise<Frame> {
    const id = `ask ${this.#nextAsk++}`
    this.send({ ...frame, id })
    return new Promise((resolve) => this.#asked.set(id, resolve))
  }

  protected dialling(): void {}
  protected abstract welcomed(): void
  /** A frame came, that is no answer to `ask`. */
  protected abstract arrived(frame: Frame): void

  protected send(frame: Frame): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    this.#cork(this.#socket)
    this.#socket.send(JSON.stringify(frame))
  }

  #cork(socket: WebSocket): void {
    if (this.#isCorked) return
    this.#isCorked = true
    const { _socket: tcp } = socket as unknown as { _socket: Socket }
    tcp.cork()
    setImmediate(() => {
      this.#isCorked = false
      tcp.uncork()
    })
  }

  #arrived(frame: Frame): void {
    const waiting = this.#asked.get(frame.id)
    this.#asked.delete(frame.id)
    if (waiting) waiting(frame)
    else if (frame.type !== 'closing') this.arrived(frame)
  }
}

/** One that only asks. */
export class Asker extends Client {
  protected override welcomed(): void {}
  protected override arrived(): void {}
}

/**
 * A connection to which the server has said welcome, whenever it is there again. `arrived` hears of what comes behind
 * the welcome, perhaps before the caller has the connection.
 */
async function dial(
  url: string,
  token: string,
  arrived: (frame: Frame, socket: WebSocket) => void,
): Promise<WebSocket> {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    const socket = new WebSocket(url, ['chartroom.v1'], { headers: { authorization: `Bearer ${token}` } })
    if (await isWelcome(socket, arrived)) return socket
    socket.terminate()
    if (Date.now() > deadline) throw new Error(`no welcome within ${PATIENCE} ms`)
    await pause(RETRY)
  }
}

/** Whether the first thing that happens to a connection is a welcome. */
function isWelcome(socket: WebSocket, arrived: (frame: Frame, socket: WebSocket) => void): Promise<boolean> {
  return new Promise((resolve) => {
    let isFirst = true
    socket.on('message', (text) => {
      const frame = JSON.parse(String(text))
      if (!isFirst) return arrived(frame, socket)
      isFirst = false
      resolve(frame.type === 'welcome')
    })
    socket.on('error', () => resolve(false))
    socket.on('close', () => resolve(false))
  })
}
