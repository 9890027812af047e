/**
 * The life of one WebSocket: the hands of `machines/connection.ts`, and what the socket and the session bring to it.
 *
 * Always true: whatever way a connection ends, `leave` runs once and nothing of it stays in session, rooms or
 * registry; a frame of an open connection never passes through the chart.
 */
import type { Actor, AnyMachineSnapshot } from 'xstate'
import connectionChart, {
  type Cause,
  type ConnectionState,
  type Ending,
  type Hands,
  type Proof,
  type Refusal,
} from '../../machines/connection.ts'
import type { Credential, Verify } from '../auth/auth.ts'
import { type CloseReason, closeCodes, comesBack, type Failure, failure, isFailure } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { type ClientFrame, type ClientFrameOf, encode } from '../protocol.ts'
import type { Receiver, Socket } from '../transport/transport.ts'
import type { Wheel } from '../wheel.ts'
import { converse, converseEarly, welcome } from './conversation.ts'
import { unauthorized, unavailable } from './handshake.ts'
import { Heartbeat, type Pulse } from './heartbeat.ts'
import type { Link } from './link.ts'
import { Peer, type Surroundings } from './peer.ts'
import { MAX_WAITING, Pending } from './pending.ts'
import type { Member, Session, Sessions } from './sessions.ts'
import type { ActorSystem, Waiting } from './system.ts'

/** What every connection is handed. */
export interface ConnectionSurroundings extends Surroundings {
  readonly verify: Verify
  readonly sessions: Sessions
  readonly logger: Logger
  readonly system: ActorSystem
  readonly wheel: Wheel
  onTokenRefused(address: string): void
  /** The connection is gone from everywhere. */
  onGone(connection: Connection): void
}

export class Connection extends Peer implements Hands, Receiver, Member, Pulse {
  readonly #around: ConnectionSurroundings
  readonly #actor: Actor<typeof connectionChart>
  readonly #pending = new Pending()
  token: string | undefined
  #heartbeat: Heartbeat | undefined
  #pingsAsJson = false
  #enteredAt = Date.now()
  #isBegun = false

  constructor(id: string, link: Link, token: string | undefined, around: ConnectionSurroundings) {
    super(id, link, around)
    this.#around = around
    this.token = token
    const input = { hands: this, rules: around.config }
    this.#actor = around.system.create(connectionChart, input, (error) => this.#crashed(error))
    link.owner = this
  }

  start(): void {
    this.#actor.start()
  }

  /** Where its chart stands, and what that waits for. */
  get life(): { readonly snapshot: AnyMachineSnapshot; readonly delays: readonly Waiting[] } {
    return { snapshot: this.#actor.getSnapshot(), delays: this.#around.system.delaysOf(this.#actor) }
  }

  // What the socket brings.

  opened(socket: Socket): void {
    this.link.opened(socket)
  }

  frame(bytes: ArrayBuffer, isBinary: boolean): void {
    this.counters.received++
    this.heard()
    const { state } = this
    if (state === 'closing' || state === 'closed') return
    try {
      const frame = this.intake.read(bytes, isBinary, state === 'open')
      if (isFailure(frame)) this.fault(frame)
      else if (state === 'open') converse(this, frame as ClientFrame)
      else converseEarly(this, this.#pending, frame as ClientFrame)
    } catch (error) {
      this.#crashed(error)
    }
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
    this.link.drained()
    try {
      for (const room of this.joined.values()) room.drained(this)
      if (this.user !== null) this.inboxes.drained(this.user, this.id)
    } catch (error) {
      this.#crashed(error)
    }
  }

  closed(code: number, reason: string): void {
    this.link.closed()
    this.#actor.send({ type: 'socket.closed', code, reason })
  }

  // What the heartbeat and the conversation want.

  /** Asks the peer for a sign of life, in the way that it chose. */
  ping(): void {
    this.counters.pings++
    this.#around.observer.heartbeat('ping')
    if (this.#pingsAsJson) this.deliver(encode({ type: 'ping', time: Date.now() }))
    else this.link.ping()
  }

  /** The peer did not give one. */
  lost(): void {
    this.#around.observer.heartbeat('lost')
    this.close('heartbeat_timeout', 'no sign of life')
  }

  tooSlow(message: string): void {
    this.close('too_slow', message)
  }

  /** Begins the end: `closing`, then the close frame. */
  close(reason: CloseReason, message: string, retryAfter?: number): void {
    this.#actor.send({ type: 'end', ending: { reason, message, ...(retryAfter !== undefined && { retryAfter }) } })
  }

  /** A token to be verified; one at a time, in the order they came. */
  authenticate(frame: ClientFrameOf<'auth'>): void {
    if (this.#pending.isFull) {
      return this.reply(failure('overloaded', `at most ${MAX_WAITING} tokens may wait to be verified`), frame.id)
    }
    if (this.#pending.addAuth(frame)) this.#actor.send({ type: 'auth', token: frame.token })
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

  verify(token: string): void {
    this.#around
      .verify(token)
      .then((verdict) => this.#verified(verdict))
      .catch((error) => this.#crashed(error))
  }

  #verified(verdict: Credential | Failure): void {
    this.token = undefined
    if (isFailure(verdict)) {
      this.#around.onTokenRefused(this.remoteAddress)
      this.#disproved(verdict)
    } else if (this.proved && verdict.principal.user !== this.proved.principal.user) {
      const message = 'the token is for another user; this connection keeps the one it has'
      this.#disproved(failure('subject_mismatch', message))
    } else this.#actor.send({ type: 'proved', proof: verdict })
  }

  #disproved(refusal: Failure): void {
    this.#actor.send({ type: 'disproved', refusal })
  }

  openSocket(): void {
    if (!this.link.open(this)) this.closed(1006, 'the peer is gone')
  }

  admit(proof: Proof): void {
    this.proved = proof as Credential
    this.openSocket()
  }

  enterSession(): void {
    this.inboxes
      .ready(this.credential.principal.user)
      .then(() => this.#joinSession())
      .catch((error) => this.#crashed(error))
  }

  #joinSession(): void {
    if (this.state === 'authenticated') this.#around.sessions.of(this.credential.principal.user).join(this)
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
    this.proved = proof as Credential
    const id = this.#pending.answered()?.id
    let left = this.joined.size + 1
    const checked = (): void => {
      if (--left === 0 && id !== undefined) this.reply({ type: 'ok', expiresAt: proof.expiresAt }, id)
    }
    for (const room of this.joined.values()) room.recheck(this, this.proved.principal, checked)
    checked()
    this.#nextAuth()
  }

  refuse(refusal: Refusal): void {
    if (!this.link.isOpen) return this.link.refuse(unauthorized(refusal as Failure))
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
    if (this.link.end(code, reason)) return
    this.link.refuse(unavailable(message, retryAfter))
    this.closed(code, reason)
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

  #move(state: ConnectionState, { event, detail }: Cause): void {
    const time = Date.now()
    const from = this.#isBegun ? this.state : null
    const cause = detail !== undefined && { cause: detail }
    const ms = time - this.#enteredAt
    const subject = { connection: this.id, user: this.user, address: this.remoteAddress }
    this.#around.observer.transition(subject, { from, event, to: state, ...cause, ms, time })
    this.state = state
    this.#isBegun = true
    this.#enteredAt = time
  }

  /** The actor itself failed: its socket closes 1011, and its neighbours never know. */
  #crashed(error: unknown): void {
    this.#around.logger.error({ err: error, connection: this.id, user: this.user }, 'a connection crashed')
    this.#around.system.end(this.#actor)
    const code = closeCodes.internal_error
    this.link.reply(encode({ type: 'closing', code, reason: 'the connection failed', reconnect: comesBack(code) }))
    const isEnded = this.link.end(code, 'internal_error')
    if (!isEnded) this.link.refuse({ status: 500, body: 'the connection failed\n' })
    this.#move('closed', { event: 'xstate.error', detail: `${code}` })
    this.leave()
  }
}
