/** A client that is cheap enough to have thousands of: it waits for replies by their id, and keeps nothing else. */
import type { Socket } from 'node:net'
import WebSocket from 'ws'
import { tokenFor } from '../fixtures/server.ts'
import type { Frame } from '../fixtures/tab.ts'

interface Waiting {
  resolve(reply: Frame): void
  reject(error: Error): void
}

const tokens = new Map<string, Promise<string>>()

/** A user's token, signed once. */
function tokenOf(user: string): Promise<string> {
  const token = tokens.get(user) ?? tokenFor(user)
  tokens.set(user, token)
  return token
}

export class Peer {
  readonly user: string
  readonly socket: WebSocket
  /** Pings stay unanswered from now on. */
  isSilent = false
  /** What the server said before it closed. */
  closing: Frame | undefined
  /** The close code, once the socket is closed. */
  closed: number | undefined
  /** Resolves when the socket is closed. */
  readonly gone: Promise<void>
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1

  constructor(url: string, user: string) {
    this.user = user
    this.socket = new WebSocket(url, ['chartroom.v1'], { autoPong: false, perMessageDeflate: false })
    this.socket.on('ping', (data) => {
      if (!this.isSilent) this.socket.pong(data)
    })
    this.socket.on('message', (bytes) => this.#arrived(JSON.parse(String(bytes))))
    // A socket that was reset says so here, and then that it is closed.
    this.socket.on('error', () => {})
    this.gone = new Promise((resolve) => {
      this.socket.once('close', (code) => {
        this.#gone(code)
        resolve()
      })
    })
  }

  /** Connects, authenticates by a first frame, and has read the `welcome`. */
  static async open(url: string, user: string): Promise<Peer> {
    const token = await tokenOf(user)
    const peer = new Peer(url, user)
    await new Promise<void>((resolve, reject) => {
      peer.socket.once('open', resolve)
      peer.socket.once('error', reject)
    })
    await peer.ask({ type: 'auth', token })
    return peer
  }

  /** The TCP socket underneath. */
  get tcp(): Socket {
    return (this.socket as unknown as { _socket: Socket })._socket
  }

  /** The one reply to a frame. @throws when the socket closes before. */
  ask(frame: Frame): Promise<Frame> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      if (this.closed !== undefined) return reject(this.#lost())
      this.#waiting.set(id, { resolve, reject })
      this.socket.send(JSON.stringify({ ...frame, id }))
    })
  }

  #arrived(frame: Frame): void {
    if (frame.type === 'closing') this.closing = frame
    const waiting = this.#waiting.get(frame.id)
    if (!waiting) return
    this.#waiting.delete(frame.id)
    if (frame.type === 'error') waiting.reject(new Error(`${frame.code}: ${frame.message}`))
    else waiting.resolve(frame)
  }

  #gone(code: number): void {
    this.closed = code
    for (const { reject } of this.#waiting.values()) reject(this.#lost())
    this.#waiting.clear()
  }

  #lost(): Error {
    return new Error(`${this.user} was closed with ${this.closed}`)
  }
}
