/**
 * The hands of `machines/connection.ts`: one WebSocket, its counters, and what it has joined.
 *
 * Always true: whatever way a connection ends, `leave` runs once and nothing of it stays in session, rooms or
 * registry; a frame of an open connection never passes through the chart.
 */
import { type Actor, createActor } from 'xstate'
import connectionChart, {
  type ConnectionState,
  type Ending,
  type Hands,
  type Proof,
  type Refusal,
} from '../machines/connection.ts'
import type { Credential, Verify } from './auth.ts'
import type { Config } from './config.ts'
import { converse, type Party, welcome } from './conversation.ts'
import { type CloseReason, closeCodes, comesBack, type Failure, failure, isFailure } from './errors.ts'
import { unauthorized } from './handshake.ts'
import { Heartbeat, type Pulse } from './heartbeat.ts'
import { SlidingCount } from './limits.ts'
import type { Logger } from './logger.ts'
import { MAX_WAITING, Pending } from './pending.ts'
import {
  type ClientFrame,
  type ClientFrameOf,
  type CorrelationId,
  decode,
  encode,
  type ServerFrame,
} from './protocol.ts'
import type { Room } from './room.ts'
import type { Rooms } from './rooms.ts'
import type { Member, Session, Sessions } from './sessions.ts'
import type { Delivery, Receiver, Socket, Upgrade } from './transport.ts'
import type { Wheel } from './wheel.ts'

/** So many bad frames within so many milliseconds end the connection (rule E1). */
const MAX_FAULTS = 20
const FAULT_WINDOW = 10_000

/** What every connection is handed. */
export interface ConnectionSurroundings {
  readonly config: Config
  readonly verify: Verify
  readonly sessions: Sessions
  readonly rooms: Rooms
  readonly wheel: Wheel
  readonly logger: Logger
  /** The connection is gone from everywhere. */
  onGone(connection: Connection): void
}

export class Connection implements Hands, Receiver, Member, Party, Pulse {
  readonly id: string
  readonly rooms: Rooms
  readonly joined = new Map<string, Room>()
  readonly counters = { received: 0, sent: 0, pings: 0, pongs: 0 }
  state: ConnectionState = 'connecting'
  session: Session | undefined
  congested = false
  readonly #around: ConnectionSurroundings
  readonly #actor: Actor<typeof connectionChart>
  readonly #upgrade: Upgrade
  readonly #subprotocol: string | undefined
  #socket: Socket | undefined
  #credential: Credential | undefined
  readonly #pending = new Pending()
  readonly #faults = new SlidingCount(MAX_FAULTS, FAULT_WINDOW)
  #heartbeat: Heartbeat | undefined
  #pingsAsJson = false

  constructor(
    id: string,
    upgrade: Upgrade,
    token: string | undefined,
    subprotocol: string | undefined,
    around: ConnectionSurroundings,
  ) {
    this.id = id
    this.#around = around
    this.rooms = around.rooms
    this.#upgrade = upgrade
    this.#subprotocol = subprotocol
    const { config, wheel } = around
    this.#actor = createActor(connectionChart, {
      clock: wheel,
      input: {
        hands: this,
        token,
        authTimeout: config.authTimeout,
        clockTolerance: config.clockTolerance,
        now: Date.now,
      },
    })
    this.#actor.subscribe({ error: (error) => this.#crashed(error) })
    upgrade.onAborted(() => this.closed(1006, 'the request was aborted'))
  }

  start(): void {
    this.#actor.start()
  }

  /** Who the token says it is. Only an open connection is asked. */
  get credential(): Credential {
    if (!this.#credential) throw new Error(`${this.id} has no principal yet`)
    return this.#credential
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
    this.#socket = socket
  }

  frame(bytes: ArrayBuffer, isBinary: boolean): void {
    this.counters.received++
    this.#heartbeat?.heard()
    const frame = this.#read(bytes, isBinary)
    if (isFailure(frame)) this.fault(frame)
    else if (this.state === 'open') converse(this, frame as ClientFrame)
    else if (this.state === 'connecting' || this.state === 'authenticated') this.#beforeOpen(frame as ClientFrame)
  }

  ponged(): void {
    this.counters.pongs++
    this.#heartbeat?.heard()
  }

  drained(): void {
    this.congested = false
    for (const room of this.joined.values()) room.drained(this)
  }

  closed(code: number, reason: string): void {
    this.#socket = undefined
    this.#actor.send({ type: 'socket.closed', code, reason })
  }

  // What goes to the client.

  /** Replies are always sent: a client that leaves so many unread that one does not fit is closed (rule S7). */
  reply(frame: ServerFrame, id?: CorrelationId): void {
    const delivery = this.deliver(encode(frame, id))
    if (delivery === 'dropped' && this.state === 'open') this.close('too_slow', 'too many replies were left unread')
  }

  deliver(frame: string | Uint8Array): Delivery {
    const delivery = this.#socket?.send(frame) ?? 'dropped'
    if (delivery !== 'sent') this.congested = true
    if (delivery !== 'dropped') this.counters.sent++
    return delivery
  }

  /** Answers a bad frame; too many of them end the connection. */
  fault(fault: Failure): void {
    this.deliver(encode(fault))
    if (this.#faults.add(Date.now())) {
      this.close('bad_request', `${MAX_FAULTS} bad frames within ${FAULT_WINDOW / 1000} s`)
    }
  }

  /** Asks the peer for a sign of life, in the way that it chose. */
  ping(): Delivery {
    this.counters.pings++
    if (this.#pingsAsJson) return this.deliver(encode({ type: 'ping', time: Date.now() }))
    return this.#socket?.ping() ?? 'dropped'
  }

  /** The peer did not give one. */
  lost(): void {
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

  // What the session says.

  admitted(session: Session): void {
    this.session = session
    this.#actor.send({ type: 'joined' })
  }

  turnedAway(): void {
    const most = this.#around.config.maxConnectionsPerUser
    this.#actor.send({
      type: 'refused',
      ending: { reason: 'too_many_connections', message: `a user may have ${most} connections` },
    })
  }

  // What the chart wants done.

  entered(state: ConnectionState): void {
    this.state = state
    this.#around.logger.debug({ connection: this.id, user: this.user, state }, 'connection')
  }

  async verify(token: string): Promise<Proof> {
    const credential = await this.#around.verify(token)
    if (isFailure(credential)) throw credential
    if (this.#credential && credential.principal.user !== this.#credential.principal.user) {
      throw failure('subject_mismatch', 'the token is for another user; this connection keeps the one it has')
    }
    return credential
  }

  openSocket(): void {
    if (!this.#socket && !this.#upgrade.open(this.#subprotocol, this)) this.closed(1006, 'the peer is gone')
  }

  admit(proof: Proof): void {
    this.#credential = proof as Credential
    this.openSocket()
  }

  enterSession(): void {
    this.#around.sessions.of(this.credential.principal.user).join(this)
  }

  welcome(): void {
    const auth = this.#pending.answered()
    this.#pingsAsJson = auth?.heartbeat === 'json'
    this.reply(welcome(this, this.#around.config), auth?.id)
    this.#heartbeat = new Heartbeat(this.#around.config, this.#around.wheel, this)
    for (const waiting of this.#pending.takeFrames()) converse(this, waiting)
  }

  refresh(proof: Proof): void {
    this.#credential = proof as Credential
    this.reply({ type: 'ok', expiresAt: proof.expiresAt }, this.#pending.answered()?.id)
    this.#nextAuth()
  }

  refuse(refusal: Refusal): void {
    if (!this.#socket) return this.#upgrade.refuse(unauthorized(refusal as Failure))
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
    if (this.#socket) this.#socket.end(code, reason)
    else this.closed(code, reason)
  }

  leave(): void {
    for (const room of this.joined.values()) room.lost(this, this.credential.principal)
    this.joined.clear()
    this.#heartbeat?.stop()
    this.session?.left(this.id)
    this.#around.onGone(this)
  }

  #nextAuth(): void {
    const { next } = this.#pending
    if (next) this.#actor.send({ type: 'auth', token: next.token })
  }

  #read(bytes: ArrayBuffer, isBinary: boolean): ClientFrame | Failure {
    const { maxFrame } = this.#around.config
    if (bytes.byteLength > maxFrame) {
      return failure('too_large', `a frame has at most ${maxFrame} bytes, this one has ${bytes.byteLength}`)
    }
    if (isBinary) return failure('unsupported_data', 'frames are text, this one is binary')
    return decode(Buffer.from(bytes).toString())
  }

  /** `auth` and `ping` are all that is understood before the connection is open; behind an `auth`, everything waits. */
  #beforeOpen(frame: ClientFrame): void {
    if (this.#pending.isVerifying) {
      if (this.#pending.addFrame(frame)) return
      return this.reply(
        failure('overloaded', `at most ${MAX_WAITING} frames may wait for a token to be verified`),
        frame.id,
      )
    }
    if (frame.type === 'auth') return this.authenticate(frame)
    if (frame.type === 'ping') return converse(this, frame)
    const details = { state: this.state, allowed: ['auth', 'ping'], ...(frame.id !== undefined && { id: frame.id }) }
    this.fault(failure('not_in_state', `${frame.type} is not understood before auth`, details))
  }

  /** The actor itself failed: its socket closes 1011, and its neighbours never know. */
  #crashed(error: unknown): void {
    this.#around.logger.error({ err: error, connection: this.id, user: this.user }, 'a connection actor crashed')
    this.#socket?.end(closeCodes.internal_error, 'internal_error')
    this.leave()
  }
}
