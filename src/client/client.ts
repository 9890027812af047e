/**
 * Chartroom's client: rooms over one connection that comes back by itself. Optional: everything here can be said over
 * a raw WebSocket (docs/protocol.md).
 *
 * Always true: what is held of a room is what the server had at that seq; what was sent is stored once, or its promise
 * is rejected; nothing is done for another user than the one it was said for.
 */
import type { ClientFrame, ServerFrame, ServerFrames } from '../protocol.ts'
import { type Clock, wallClock } from './clock.ts'
import { Inbox, type Message } from './inbox.ts'
import type { Backoff } from './life.ts'
import { type Crew, Lifeline, type Status } from './lifeline.ts'
import type { Line, Reply } from './line.ts'
import { each, ignore } from './listeners.ts'
import { Outbox, type Sent } from './outbox.ts'
import { ChartroomError } from './refusal.ts'
import { Room, type RoomOptions } from './room.ts'
import type { EventOf, StateOf } from './shape.ts'
import { type House, type RoomFrame, Stay } from './stay.ts'
import type { TokenSource } from './token.ts'
import { type WebSocketClass, webSocketClass, webSocketUrl } from './websocket.ts'

export type { Gap, RoomRecord } from './feed.ts'
export type { Message } from './inbox.ts'
export type { Backoff, ClientState } from './life.ts'
export type { Status } from './lifeline.ts'
export type { SendOptions, Sent } from './outbox.ts'
export { ChartroomError } from './refusal.ts'
export type { Room, RoomOptions, WaitOptions } from './room.ts'
export type { EventOf, RoomState, StateOf } from './shape.ts'
export type { TokenSource } from './token.ts'
export type { WebSocketClass, WebSocketLike } from './websocket.ts'

export interface ClientOptions {
  /** `wss://example.com/ws`; in a page it may be relative. */
  readonly url: string | URL
  /** A token, or what makes one: asked when the one there was is spent or refused. */
  readonly token: TokenSource
  /** Where there is no global one, as in Node 20: that of the package `ws`. */
  readonly WebSocket?: WebSocketClass
  /** Milliseconds that a dial may take until the welcome. 10,000 by default. */
  readonly timeout?: number
  /** Bounds of the pause between two dials. 500 ms and 30 s by default. */
  readonly backoff?: Backoff
  /** Dials in a row that may be in vain before the client gives up. Any number by default. */
  readonly attempts?: number
  /** Events that may wait for their answer, on and off line. 256 by default. */
  readonly queue?: number
  /** Closes the client. */
  readonly signal?: AbortSignal
}

/** Dials at once. @throws {TypeError} for a URL that is none, or where there is no WebSocket or no token */
export function createClient(options: ClientOptions, clock = wallClock): Client {
  return new Client(options, clock)
}

export class Client {
  /** Who the server says we are, once it has. */
  user: string | undefined
  readonly #clock: Clock
  readonly #rooms = new Map<string, { readonly stay: Stay; readonly room: Room<never, never> }>()
  /** By the names that the server uses. */
  readonly #named = new Map<string, Stay>()
  readonly #listeners = new Set<(status: Status) => void>()
  readonly #inbox = new Inbox(() => this.#line)
  readonly #outbox: Outbox
  readonly #life: Lifeline
  readonly #house: House
  #line: Line | undefined
  /** Nothing outside wakes or closes it any more. */
  #forget = ignore

  constructor(options: ClientOptions, clock: Clock) {
    const { timeout = 10_000, backoff = { base: 500, cap: 30_000 }, attempts = Number.POSITIVE_INFINITY } = options
    const url = webSocketUrl(options.url)
    const WebSocket = webSocketClass(options.WebSocket)
    if (!/^(string|function)$/.test(typeof options.token))
      throw new TypeError('a token is a text, or a function that gets one: createClient({ token })')
    this.#clock = clock
    this.#outbox = new Outbox(options.queue ?? 256, clock)
    this.#house = this.#houseOf(clock, backoff)
    this.#life = new Lifeline({ url, token: options.token, WebSocket, timeout, backoff, attempts, clock }, this.#crew())
    const { signal } = options
    const aborted = () => void this.close()
    signal?.addEventListener('abort', aborted)
    const forgetWaking = onWaking(() => this.wake())
    this.#forget = () => {
      signal?.removeEventListener('abort', aborted)
      forgetWaking()
    }
    if (signal?.aborted) aborted()
    else this.#life.wake()
  }

  get status(): Status {
    return this.#life.status
  }

  /** Calls `listener` with each change of the status. @returns what ends it. */
  subscribe(listener: (status: Status) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Resolves when the client is open. @throws {ChartroomError} when it is closed for good */
  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = ({ state, error }: Status) => {
        if (state === 'open') resolve()
        if (state === 'closed') reject(error)
        return state === 'open' || state === 'closed'
      }
      if (look(this.status)) return
      const end = this.subscribe((status) => look(status) && end())
    })
  }

  /** The room of that name; `room<typeof machine>('chat/lobby')` knows its state and its events. */
  room<Machine = unknown, State = StateOf<Machine>>(
    name: string,
    { events = false }: RoomOptions = {},
  ): Room<State, EventOf<Machine> & { type: string }> {
    const known = this.#rooms.get(name) ?? this.#furnish(name)
    this.#rooms.set(name, known)
    if (events) known.stay.tellRecords()
    return known.room as unknown as Room<State, EventOf<Machine> & { type: string }>
  }

  /**
   * Calls `tell` with each direct message, and acknowledges it once that returned, or what it returned resolved; where it
   * throws, the server delivers the message again. @returns what ends it. @throws {TypeError} where somebody listens already
   */
  inbox(tell: (message: Message) => unknown): () => void {
    return this.#inbox.listen(tell)
  }

  /** Any question of the protocol, once, on the connection that is there. @throws {ChartroomError} */
  ask(frame: ClientFrame): Promise<Exclude<Reply, { type: 'error' }>> {
    return new Promise((resolve, reject) => {
      if (!this.#line) throw new ChartroomError('lost', 'there is no connection', true)
      this.#line.ask(frame, (reply) => {
        if (!reply) reject(new ChartroomError('lost', 'the connection ended before the answer', true))
        else if (reply.type === 'error') reject(ChartroomError.of({ ...reply }))
        else resolve(reply)
      })
    })
  }

  /** Dials now, where it would wait; where it is open, makes sure that the server is there. */
  wake(): void {
    this.#life.wake()
  }

  /** Closes for good, cleanly where it is open. What has no answer yet is rejected. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.status.state === 'closed') return resolve()
      const end = this.subscribe(({ state }) => {
        if (state !== 'closed') return
        end()
        resolve()
      })
      if (this.status.state === 'closing') return
      const error = new ChartroomError('closed', 'the client was closed')
      this.#outbox.refuse('closed', error.message)
      this.#life.close(error)
    })
  }

  #furnish(name: string): { stay: Stay; room: Room<never, never> } {
    const stay = new Stay(name, this.#house)
    return { stay, room: new Room<never, never>(stay, (...letter) => this.#send(...letter), this.#clock) }
  }

  async #send(...letter: Parameters<Outbox['send']>): Promise<Sent> {
    const { state } = this.status
    if (state === 'closed' || state === 'closing') throw new ChartroomError('closed', 'the client is closed')
    return this.#outbox.send(...letter)
  }

  #houseOf(clock: Clock, backoff: Backoff): House {
    const client = this
    return {
      clock,
      backoff,
      get line() {
        return client.#line
      },
      get closed() {
        const { state, error } = client.status
        return state === 'closed' ? error : undefined
      },
      named: (name, stay) => void this.#named.set(name, stay),
      drop: (message) => this.#life.drop(message),
    }
  }

  #crew(): Crew {
    return {
      changed: (status) => {
        each(this.#listeners, (listener) => listener(status))
      },
      opened: (line, welcome) => this.#opened(line, welcome),
      lost: () => this.#lost(),
      heard: (frame) => this.#heard(frame),
      ended: (error) => this.#ended(error),
    }
  }

  #opened(line: Line, { user, limits }: ServerFrames['welcome']): void {
    if (this.user !== undefined && this.user !== user) this.#becomes(user)
    this.user = user
    this.#line = line
    for (const { stay } of this.#rooms.values()) stay.opened()
    this.#outbox.opened(line, limits.frame)
  }

  /** What was said as one user is not sent as another. */
  #becomes(user: string): void {
    this.#outbox.refuse('subject_mismatch', `sent as ${this.user}, and the token is of ${user} now`)
    this.#inbox.forget()
    for (const { stay } of this.#rooms.values()) stay.forget()
  }

  #lost(): void {
    this.#line = undefined
    this.#outbox.lost()
    this.#named.clear()
    for (const { stay } of this.#rooms.values()) stay.lost()
  }

  #heard(frame: ServerFrame): void {
    if (frame.type === 'message') this.#inbox.heard(frame)
    else if ('room' in frame && frame.room !== undefined) this.#named.get(String(frame.room))?.heard(frame as RoomFrame)
  }

  #ended(error: ChartroomError): void {
    this.#forget()
    this.#lost()
    this.#outbox.refuse('closed', error.message)
    for (const { stay } of this.#rooms.values()) stay.fail(error)
  }
}

/** A page that is on line again, or seen again, need not wait: its timers slept too. */
function onWaking(wake: () => void): () => void {
  const page = globalThis as Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>> & {
    document?: EventTarget & { visibilityState: string }
  }
  const seen = () => page.document?.visibilityState === 'visible' && wake()
  page.addEventListener?.('online', wake)
  page.document?.addEventListener('visibilitychange', seen)
  return () => {
    page.removeEventListener?.('online', wake)
    page.document?.removeEventListener('visibilitychange', seen)
  }
}
