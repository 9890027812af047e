/**
 * One connection, from the dial to its end: the welcome, questions and their replies, and whether the server still lives.
 *
 * Always true: it ends exactly once, and says so; each question hears of its reply or of the end. A page sees no
 * WebSocket ping, and the close of a dead socket may take minutes, so silence is measured here and nobody is waited for.
 */
import type { ClientFrame, ServerFrame, ServerFrames } from '../protocol.ts'
import type { Clock } from './clock.ts'
import { reasons } from './life.ts'
import { ChartroomError } from './refusal.ts'
import type { WebSocketClass, WebSocketLike } from './websocket.ts'

export const SUBPROTOCOL = 'chartroom.v1'

/** Why a connection ended: a close code (RFC 6455 7.4, or ours), and what came with it. */
export interface Ending {
  readonly code: number
  readonly error: ChartroomError
  readonly retryAfter?: number | undefined
}

export type Reply = ServerFrames['ok' | 'pong' | 'status' | 'snapshot' | 'history' | 'error']

/** What a line tells as it goes on. */
export interface Listener {
  welcomed(welcome: ServerFrames['welcome']): void
  /** Whatever is no reply. */
  heard(frame: ServerFrame): void
  ended(ending: Ending): void
}

export interface Dial {
  readonly url: string
  readonly token: string
  /** The token goes in the first frame, where its refusal can be read, instead of with the upgrade. */
  readonly inFrame: boolean
  readonly WebSocket: WebSocketClass
  readonly clock: Clock
}

/** What may stand in a subprotocol, which is where a page can put a token (rule C1). */
const TOKEN = /^[\w.~-]+$/

export class Line {
  /** The socket was opened: whatever ended it, the server was there. */
  isUpgraded = false
  /** By this side's clock; 0 before the welcome. */
  openedAt = 0
  readonly #clock: Clock
  readonly #listener: Listener
  readonly #socket: WebSocketLike
  readonly #questions = new Map<number, (reply: Reply | undefined) => void>()
  #nextId = 1
  #heartbeat = { interval: 0, timeout: 0 }
  #quietSince = 0
  #isPinged = false
  #isOver = false
  #error: ChartroomError | undefined
  #disarm = (): void => {}

  /** @throws what the WebSocket throws for a URL that the page may not use */
  constructor({ url, token, inFrame, WebSocket, clock }: Dial, listener: Listener) {
    this.#clock = clock
    this.#listener = listener
    const isOffered = !inFrame && TOKEN.test(token)
    const socket = new WebSocket(url, isOffered ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL])
    this.#socket = socket
    socket.addEventListener('open', () => {
      this.isUpgraded = true
      if (!isOffered) this.#send({ type: 'auth', token })
    })
    socket.addEventListener('message', ({ data }: { data: unknown }) => this.#received(String(data)))
    socket.addEventListener('error', ({ error, message }: { error?: unknown; message?: string }) => {
      const code = this.isUpgraded ? 'lost' : 'unreachable'
      this.#error ??= new ChartroomError(code, `${url}: ${message || 'no connection'}`, true, {}, error)
    })
    socket.addEventListener('close', ({ code }: { code: number }) => this.#ended({ code }))
  }

  /**
   * Asks, and hears of the reply, or of `undefined` where the line ended before.
   * @throws {TypeError} for what JSON cannot say
   */
  ask(frame: ClientFrame, answer: (reply: Reply | undefined) => void): void {
    if (this.#isOver) return answer(undefined)
    const id = this.#nextId++
    const text = JSON.stringify({ ...frame, id })
    this.#questions.set(id, answer)
    this.#socket.send(text)
    if (this.#questions.size > 1 || this.#isPinged) return
    this.#quietSince = this.#clock.now()
    this.#arm(this.#bearable)
  }

  /** Does the server still live? Silence from now on is the answer no. */
  probe(): void {
    if (this.#isPinged) return
    this.#isPinged = true
    this.#send({ type: 'ping' })
    this.#arm(this.#heartbeat.timeout)
  }

  /** Says goodbye; the end comes with the peer's. */
  leave(): void {
    this.#socket.close(1000)
  }

  /** Ends without a word that the peer would have to hear. */
  drop(ending: Ending): void {
    this.#end(ending)
    this.#socket.terminate?.()
  }

  #end(ending: Ending): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#disarm()
    this.#socket.close()
    for (const answer of this.#questions.values()) answer(undefined)
    this.#listener.ended(ending)
  }

  #send(frame: ClientFrame): void {
    if (!this.#isOver) this.#socket.send(JSON.stringify(frame))
  }

  #received(text: string): void {
    if (this.#isOver) return
    this.#quietSince = this.#clock.now()
    this.#isPinged = false
    const frame = parsed(text)
    if (!frame)
      return this.drop({ code: 1006, error: new ChartroomError('lost', `no frame: ${text.slice(0, 100)}`, true) })
    const answer = frame.id === undefined ? undefined : this.#questions.get(frame.id)
    if (answer) {
      this.#questions.delete(frame.id as number)
      answer(frame as Reply)
    } else if (frame.type === 'welcome') this.#welcomed(frame)
    else if (frame.type === 'closing') this.#ended(frame)
    else if (frame.type === 'error' && this.openedAt === 0) this.#error = ChartroomError.of({ ...frame })
    else this.#listener.heard(frame)
  }

  #welcomed(frame: ServerFrames['welcome']): void {
    this.openedAt = this.#clock.now()
    this.#heartbeat = frame.heartbeat
    this.#arm(this.#bearable)
    this.#listener.welcomed(frame)
  }

  /** The server's last word, a frame, has the true code, whatever the socket shows; what went before it says more. */
  #ended(frame: { code: number; reason?: string; retryAfter?: number }): void {
    const { code, reason = 'without a word', retryAfter } = frame
    const found = new ChartroomError(reasons[code] ?? 'lost', `closed with ${code}: ${reason}`, code >= 4100, {
      ...frame,
    })
    this.#end({ code, retryAfter, error: this.#error ?? found })
  }

  /** Milliseconds of silence that mean nothing: less while an answer is due. */
  get #bearable(): number {
    const { interval, timeout } = this.#heartbeat
    return this.#questions.size > 0 ? Math.min(interval, timeout) : interval
  }

  #arm(milliseconds: number): void {
    this.#disarm()
    this.#disarm = this.#clock.later(milliseconds, () => this.#watch())
  }

  #watch(): void {
    const quiet = this.#clock.now() - this.#quietSince
    if (this.#isPinged) {
      const error = new ChartroomError('timeout', `the server has been silent for ${quiet} ms`, true)
      this.drop({ code: 4208, error })
    } else if (quiet < this.#bearable) this.#arm(this.#bearable - quiet)
    else this.probe()
  }
}

function parsed(text: string): (ServerFrame & { id?: number }) | undefined {
  try {
    const value = JSON.parse(text)
    return typeof value === 'object' && !Array.isArray(value) ? (value ?? undefined) : undefined
  } catch {
    return undefined
  }
}
