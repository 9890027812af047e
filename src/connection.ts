/**
 * The hands of `machines/connection.ts`: one WebSocket, its counters, and what it has joined.
 *
 * Always true: whatever way a connection ends, `leave` runs once and nothing of it stays in session, rooms or
 * registry; a frame of an open connection never passes through the chart.
 */
import { type Actor, createActor } from 'xstate'
import connectionChart, {
  type Cause,
  type ConnectionState,
  type Ending,
  type Hands,
  type Proof,
  type Refusal,
} from '../machines/connection.ts'
import type { Credential, Verify } from './auth.ts'
import type { Config } from './config.ts'
import { converse, converseEarly, type Party, welcome } from './conversation.ts'
import { type CloseReason, closeCodes, comesBack, type ErrorCode, type Failure, failure, isFailure } from './errors.ts'
import { unauthorized } from './handshake.ts'
import { Heartbeat, type Pulse } from './heartbeat.ts'
import type { Inboxes } from './inboxes.ts'
import { Intake } from './intake.ts'
import type { Transition } from './journal.ts'
import type { Link } from './link.ts'
import type { Logger } from './logger.ts'
import { Pending } from './pending.ts'
import { type ClientFrame, type ClientFrameOf, type CorrelationId, encode, type ServerFrame } from './protocol.ts'
import type { Room } from './room.ts'
import type { Rooms } from './rooms.ts'
import type { Member, Session, Sessions } from './sessions.ts'
import type { Delivery, Receiver, Socket } from './transport.ts'
import type { Wheel } from './wheel.ts'

/** Who is told what happens to connections, and to nobody's cost while they do nothing. */
export interface Observer {
  transition(connection: string, user: string | null, transition: Transition): void
  error(code: ErrorCode): void
  heartbeat(what: 'ping' | 'pong' | 'lost'): void
}

/** What every connection is handed. */
export interface ConnectionSurroundings {
  readonly config: Config
  readonly verify: Verify
  readonly sessions: Sessions
  readonly rooms: Rooms
  readonly inboxes: Inboxes
  readonly wheel: Wheel
  readonly logger: Logger
  readonly observer: Observer
  onTokenRefused(address: string): void
  /** The connection is gone from everywhere. */
  onGone(connection: Connection): void
}

export class Connection implements Hands, Receiver, Member, Party, Pulse {
  readonly id: string
  readonly rooms: Rooms
  readonly inboxes: Inboxes
  readonly maxRooms: number
  readonly joined = new Map<string, Room>()
  state: ConnectionState = 'connecting'
  session: Session | undefined
  readonly #around: ConnectionSurroundings
  readonly #actor: Actor<typeof connectionChart>
  readonly #link: Link
  #enteredAt = Date.now()
  #isBegun = false
  #credential: Credential | undefined
  readonly #pending = new Pending()
  readonly #intake: Intake
  #heartbeat: Heartbeat | undefined
  #pingsAsJson = false

  constructor(id: string, link: Link, token: string | undefined, around: ConnectionSurroundings) {
    this.id = id
    this.rooms = around.rooms
    this.inboxes = around.inboxes
    this.maxRooms = around.config.maxRoomsPerConnection
    this.#around = around
    this.#link = link
    this.#intake = new Intake(around.config)
    const { authTimeout, clockTolerance } = around.config
    this.#actor = createActor(connectionChart, {
      clock: around.wheel,
      input: { hands: this, token, authTimeout, clockTolerance, now: Date.now },
    })
    link.onTooSlow = (message) => this.close('too_slow', message)
    this.#actor.subscribe({ error: (error) => this.#crashed(error) })
  }

  start(): void {
    this.#actor.start()
  }

  /** Who the token says it is. Only an open connection is asked. */
  get credential(): Credential {
    if (!this.#credential) throw new Error(`${this.id} has no principal yet`)
    return this.#credential
  }

  get remoteAddress(): string {
    return this.#link.remoteAddress
  }

  get counters(): Link['counters'] {
    return this.#link.counters
  }

  get congested(): boolean {
    return this.#link.congested
  }

  get user(): string | null {
    return this.#credential?.principal.user ?? null
  }

  /** Whether it is in by a token of this kind. */
  hasToken(isSuch: (credential: Credential) => boolean): boolean {
    return this.#credential !== undefined && isSuch(this.#credential)
  }

  // What the socket brings.

  opened(socket: Socket): void {
    this.#link.opened(socket)
  }

  frame(bytes: ArrayBuffer, isBinary: boolean): void {
    this.counters.received++
    this.heard()
    const frame = this.#intake.read(bytes, isBinary, this.state === 'open')
    this.#safely(() => {
      if (isFailure(frame)) this.fault(frame)
      else if (this.state === 'open') converse(this, frame as ClientFrame)
      else if (this.state !== 'closing' && this.state !== 'closed')
        converseEarly(this, this.#pending, frame as ClientFrame)
    })
  }

  heard(): void {
    this.#heartbeat?.heard()
  }

  ponged(): void {
    this.counters.pongs++
    this.#around.observer.heartbeat('pong')
    this.heard()
  }

  drained(): void {
    this.#link.drained()
    this.#safely(() => {
      for (const room of this.joined.values()) room.drained(this)
      if (this.user !== null) this.inboxes.drained(this.user, this.id)
    })
  }

  closed(code: number, reason: string): void {
    this.#link.closed()
    this.#actor.send({ type: 'socket.closed', code, reason })
  }

  // What goes to the client.

  reply(frame: ServerFrame, id?: CorrelationId): void {
    if (frame.type === 'error') this.#around.observer.error(frame.code)
    this.#link.reply(encode(frame, id))
  }

  deliver(frame: string | Uint8Array): Delivery {
    return this.#link.send(frame)
  }

  /** Answers a bad frame; too many of them end the connection. */
  fault(fault: Failure): void {
    this.reply(fault)
    const reason = this.#intake.count(fault)
    if (reason) this.close(reason, 'too many frames had to be refused')
  }

  /** Asks the peer for a sign of life, in the way that it chose. */
  ping(): void {
    this.counters.pings++
    this.#around.observer.heartbeat('ping')
    if (this.#pingsAsJson) this.deliver(encode({ type: 'ping', time: Date.now() }))
    else this.#link.ping()
  }

  /** The peer did not give one. */
  lost(): void {
    this.#around.observer.heartbeat('lost')
    this.close('heartbeat_timeout', 'no sign of life')
  }

  /** Begins the end: `closing`, then the close frame. */
  close(reason: CloseReason, message: string, retryAfter?: number): void {
    this.#actor.send({ type: 'end', ending: { reason, message, ...(retryAfter !== undefined && { retryAfter }) } })
  }

  /** A token to be verified; one at a time, in the order they came. */
  authenticate(frame: ClientFrameOf<'auth'>): void {
    if (this.#pending.addAuth(frame)) this.#actor.send({ type: 'auth', token: frame.token })
  }

  // What rooms say.

  fellBehind(): void {
    this.close('too_slow', 'the log does not go back as far as this connection has read')
  }

  entersRoom(room: Room): boolean {
    if (this.state !== 'open') return false
    this.joined.set(room.name, room)
    return true
  }

  leavesRoom(room: Room, why?: Failure): void {
    this.joined.delete(room.name)
    if (why) this.reply({ ...why, room: room.name })
  }

  // What the session says.

  admitted(session: Session): void {
    this.session = session
    this.#actor.send({ type: 'joined' })
  }

  turnedAway(reason: CloseReason, message: string): void {
    this.#actor.send({ type: 'refused', ending: { reason, message } })
  }

  // What the chart wants done.

  entered(state: ConnectionState, cause: Cause): void {
    this.#move(state, cause)
  }

  async verify(token: string): Promise<Proof> {
    const credential = await this.#around.verify(token)
    if (isFailure(credential)) {
      this.#around.onTokenRefused(this.remoteAddress)
      throw credential
    }
    if (this.#credential && credential.principal.user !== this.#credential.principal.user) {
      throw failure('subject_mismatch', 'the token is for another user; this connection keeps the one it has')
    }
    return credential
  }

  openSocket(): void {
    if (!this.#link.open(this)) this.closed(1006, 'the peer is gone')
  }

  admit(proof: Proof): void {
    this.#credential = proof as Credential
    this.openSocket()
  }

  enterSession(): void {
    const { user } = this.credential.principal
    void this.inboxes.ready(user).then(() => {
      if (this.state === 'authenticated') this.#safely(() => this.#around.sessions.of(user).join(this))
    })
  }

  welcome(): void {
    const auth = this.#pending.answered()
    this.#pingsAsJson = auth?.heartbeat === 'json'
    this.reply(welcome(this, this.#around.config), auth?.id)
    this.#heartbeat = new Heartbeat(this.#around.config, this.#around.wheel, this)
    this.inboxes.opened(this.credential.principal.user, this)
    for (const waiting of this.#pending.takeFrames()) converse(this, waiting)
  }

  refresh(proof: Proof): void {
    this.#credential = proof as Credential
    for (const room of this.joined.values()) room.recheck(this, this.#credential.principal)
    this.reply({ type: 'ok', expiresAt: proof.expiresAt }, this.#pending.answered()?.id)
    this.#nextAuth()
  }

  refuse(refusal: Refusal): void {
    if (!this.#link.isOpen) return this.#link.refuse(unauthorized(refusal as Failure))
    this.reply(refusal as Failure, this.#pending.answered()?.id)
    if (this.state === 'open') this.#nextAuth()
  }

  warnOfExpiry(): void {
    this.reply({ type: 'auth.expiring', expiresAt: this.credential.expiresAt })
  }

  end({ reason, message, retryAfter }: Ending): void {
    const code = closeCodes[reason as CloseReason]
    this.reply({
      type: 'closing',
      code,
      reason: message,
      reconnect: comesBack(code),
      ...(retryAfter !== undefined && { retryAfter }),
    })
    if (!this.#link.end(code, reason)) this.closed(code, reason)
  }

  leave(): void {
    for (const room of this.joined.values()) room.lost(this, this.credential.principal)
    this.joined.clear()
    this.#heartbeat?.stop()
    if (this.user !== null) this.inboxes.closed(this.user, this.id)
    this.session?.left(this.id)
    this.#around.onGone(this)
  }

  #nextAuth(): void {
    const { next } = this.#pending
    if (next) this.#actor.send({ type: 'auth', token: next.token })
  }

  /** What goes wrong for one connection is the end of that one. */
  #safely(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#crashed(error)
    }
  }

  #move(state: ConnectionState, { event, detail }: Cause): void {
    const time = Date.now()
    const from = this.#isBegun ? this.state : null
    const cause = detail !== undefined && { cause: detail }
    const ms = time - this.#enteredAt
    this.#around.observer.transition(this.id, this.user, { from, event, to: state, ...cause, ms, time })
    this.state = state
    this.#isBegun = true
    this.#enteredAt = time
  }

  /** The actor itself failed: its socket closes 1011, and its neighbours never know. */
  #crashed(error: unknown): void {
    this.#around.logger.error({ err: error, connection: this.id, user: this.user }, 'a connection crashed')
    this.#actor.stop()
    const isEnded = this.#link.end(closeCodes.internal_error, 'internal_error')
    if (!isEnded) this.#link.refuse({ status: 500, body: 'the connection failed\n' })
    this.#move('closed', { event: 'xstate.error', detail: `${closeCodes.internal_error}` })
    this.leave()
  }
}
