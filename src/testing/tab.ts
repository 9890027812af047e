/**
 * A client as a browser's tab is one, over a real WebSocket. It remembers every frame, patches its rooms together as rule S2
 * says, and waits for what is expected, never for time to pass. The only importer of ws.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import WebSocket from 'ws'
import { applyPatch, type Operation } from '../patch.ts'
import { SUBPROTOCOL } from '../subprotocol.ts'

// biome-ignore lint/suspicious/noExplicitAny: a frame is whatever the server sent; the tests say what it must hold
export type Frame = Record<string, any>

/** Milliseconds: longer than any scenario may take. */
const PATIENCE = 15_000

/** A server, and who gives tokens for it. */
export interface Address {
  readonly url: string
  token(user: string): Promise<string>
}

export interface TabOptions {
  /** Another than the address gives; `null`: none. */
  readonly token?: string | null
  readonly headers?: Record<string, string>
  readonly protocols?: string[]
  /** Behind the URL, with its question mark. */
  readonly query?: string
  /** `false`: pings stay unanswered. */
  readonly autoPong?: boolean
  /** The certificate that is trusted, over TLS. */
  readonly ca?: string
}

export function socketTo({ url }: { readonly url: string }, options: TabOptions): WebSocket {
  const { token, headers = {}, protocols = [SUBPROTOCOL], query = '', autoPong = true, ca } = options
  const authorization = token ? { authorization: `Bearer ${token}` } : {}
  const trusted = ca === undefined ? {} : { ca }
  return new WebSocket(url + query, protocols, { headers: { ...authorization, ...headers }, autoPong, ...trusted })
}

export class Tab {
  /** Everything that came, in order. */
  readonly frames: Frame[] = []
  readonly socket: WebSocket
  /** Close code and reason, once the socket is closed. */
  closed: { code: number; reason: string } | undefined
  #unread: Frame[] = []
  #wake: (() => void)[] = []
  #nextId = 1
  readonly #rooms = new Map<string, { seq: number; state: unknown }>()

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data) => this.#arrived(JSON.parse(String(data))))
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) }
      this.#wakeAll()
    })
    socket.on('error', () => {})
  }

  /** Connects, and has read the `welcome` where it came with a token. */
  static async open(at: Address, user: string, options: TabOptions = {}): Promise<Tab> {
    const token = options.token === undefined ? await at.token(user) : options.token
    return new Tab(socketTo(at, { ...options, token })).opened(token !== null)
  }

  /** Resolves when the socket is open, and `welcome` was read where one is due. */
  async opened(isWelcome: boolean): Promise<this> {
    await once(this.socket, 'open')
    if (isWelcome) await this.next('welcome')
    return this
  }

  send(frame: Frame): void {
    this.socket.send(JSON.stringify(frame))
  }

  /** Sends many frames in one TCP segment, so that the server reads them in one go. */
  burst(frames: (Frame | string)[]): void {
    const { _socket: socket } = this.socket as unknown as { _socket: Socket }
    socket.cork()
    for (const frame of frames) this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
    socket.uncork()
  }

  /** Sends a frame with an id of its own and gives back the one reply. */
  async ask(frame: Frame): Promise<Frame> {
    const id = frame.id ?? `q${this.#nextId++}`
    this.send({ ...frame, id })
    return this.next((reply) => reply.id === id)
  }

  /** The next frame that was not yet read and fits, waiting for it. */
  async next(wanted: string | ((frame: Frame) => boolean)): Promise<Frame> {
    const fits = typeof wanted === 'string' ? (frame: Frame) => frame.type === wanted : wanted
    const deadline = Date.now() + PATIENCE
    for (;;) {
      const at = this.#unread.findIndex(fits)
      if (at >= 0) return this.#unread.splice(at, 1)[0] as Frame
      assert(!this.closed, `closed ${JSON.stringify(this.closed)} before ${wanted}; got ${JSON.stringify(this.frames)}`)
      await this.#change(deadline, `${wanted}`)
    }
  }

  /** Whether a frame of this type came that nobody has asked for. */
  hasUnread(type: string): boolean {
    return this.#unread.some((frame) => frame.type === type)
  }

  /** Close code and reason, waiting for the close. */
  async close(): Promise<{ code: number; reason: string }> {
    const deadline = Date.now() + PATIENCE
    while (!this.closed) await this.#change(deadline, 'a close')
    return this.closed
  }

  /** Leaves cleanly. */
  async leave(): Promise<void> {
    this.socket.close(1000)
    await this.close()
  }

  /** Joins a room and has read its first frame, if one is due. */
  async join(room: string, since?: { epoch: string; seq: number }): Promise<Frame> {
    const ok = await this.ask({ type: 'join', room, ...(since && { since }) })
    assert.equal(ok.type, 'ok', JSON.stringify(ok))
    if (!ok.recovered) await this.next((frame) => frame.type === 'snapshot' && frame.room === ok.room)
    return ok
  }

  /** Sends an event to a room and gives back the reply; `ok` means that it is on disk. */
  emit(room: string, event: Frame): Promise<Frame> {
    return this.ask({ type: 'send', room, event })
  }

  /** The room's state as this client has patched it together (rule S2). */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  state(room: string): any {
    return this.#rooms.get(room)?.state
  }

  seq(room: string): number | undefined {
    return this.#rooms.get(room)?.seq
  }

  /** Goes on from what another tab had of a room, as a client that resumes does. */
  adopt(room: string, other: Tab): void {
    this.hold(room, other.seq(room) ?? 0, other.state(room))
  }

  /** Begins with a state that was held at an earlier seq. */
  hold(room: string, seq: number, state: unknown): void {
    this.#rooms.set(room, { seq, state: structuredClone(state) })
  }

  /** Waits until this client's own state of the room is at `seq`. */
  async reaches(room: string, seq: number): Promise<void> {
    const deadline = Date.now() + PATIENCE
    while ((this.seq(room) ?? -1) < seq) await this.#change(deadline, `seq ${seq} of ${room}`)
  }

  /** Waits until this client's own state of the room is as wanted. */
  async sees(room: string, holds: (state: Frame) => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE
    while (!holds(this.state(room))) await this.#change(deadline, `state of ${room} for which ${holds}`)
  }

  /** Asks again and again until `holds`, letting the network have its turn. */
  async until(holds: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + PATIENCE
    while (!(await holds())) {
      assert(Date.now() < deadline, `not so within ${PATIENCE} ms`)
      await setImmediate()
    }
  }

  #arrived(frame: Frame): void {
    this.frames.push(frame)
    this.#unread.push(frame)
    if (frame.type === 'snapshot' && frame.id === undefined)
      this.#rooms.set(frame.room, { seq: frame.seq, state: structuredClone(frame.state) })
    if (frame.type === 'patch') this.#patch(frame)
    this.#wakeAll()
  }

  #patch({ room, base, seq, ops }: Frame): void {
    const held = this.#rooms.get(room)
    assert.equal(base, held?.seq, `a patch from ${base} for ${room}, held is ${held?.seq}`)
    this.#rooms.set(room, { seq, state: this.patched(held?.state, ops) })
  }

  protected patched(state: unknown, ops: readonly Operation[]): unknown {
    return applyPatch(state, ops)
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }

  async #change(deadline: number, what: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const giveUp = () => reject(new Error(`no ${what} within ${PATIENCE} ms; got ${JSON.stringify(this.frames)}`))
      const timer = setTimeout(giveUp, deadline - Date.now())
      this.#wake.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}
