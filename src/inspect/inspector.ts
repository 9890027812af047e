/**
 * One visitor's socket at the feed: gets in by the gate, asks, and is told what it watches.
 *
 * Always true: nothing but `welcome` and refusals goes out before the gate has let somebody in; requests are answered in
 * their order, one at a time; while the socket is congested no step is queued for it.
 */
import type { Verify } from '../auth/auth.ts'
import { withId } from '../connection/intake.ts'
import type { Link } from '../connection/link.ts'
import { type CloseReason, closeCodes, type Failure, failure, isFailure } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { type CorrelationId, correlationOf } from '../protocol.ts'
import type { Receiver, Socket } from '../transport/transport.ts'
import type { Deadline, Wheel } from '../wheel.ts'
import type { Feed } from './feed.ts'
import { type Request, type Requests, read, type Told } from './frames.ts'
import { type Visitor, visitorBy } from './gate.ts'
import type { Eyes, Tongue } from './tongue.ts'
import { type Onto, Pace, Watch } from './watch.ts'

/** Steps that one visitor is shown in a second. */
const STEPS_PER_SECOND = 200
/** Actors that one visitor watches at a time, and requests that may wait. */
const MAX_WATCHES = 50
const MAX_WAITING = 100
/** Frames that are refused unread before the socket is closed. */
const MAX_FAULTS = 20
const SECOND = 1000
/** What a refused token closes with, where it is not the token's fault. */
const REFUSED: Partial<Record<string, CloseReason>> = { forbidden: 'forbidden', overloaded: 'overloaded' }

export interface InspectorSurroundings {
  readonly feed: Feed
  readonly tongue: Tongue
  readonly verify: Verify
  readonly wheel: Wheel
  readonly logger: Logger
  /** Milliseconds that a visitor may take to send its token, and by which clocks may differ. */
  readonly authTimeout: number
  readonly clockTolerance: number
  /** Bytes of a frame, and of one that comes before the gate. */
  readonly maxFrame: number
  readonly maxAuthFrame: number
  onGone(inspector: Inspector): void
}

export class Inspector implements Receiver, Onto, Eyes {
  readonly #link: Link
  readonly #around: InspectorSurroundings
  readonly #watches = new Map<string, Watch>()
  /** Since when each may be shown again. */
  readonly #behind = new Map<Watch, number>()
  /** Those who wait until the socket has taken what was told. */
  readonly #patient: (() => void)[] = []
  readonly #pace = new Pace(STEPS_PER_SECOND)
  #visitor: Visitor | undefined
  #deadline: Deadline | undefined
  #catchingUp: Deadline | undefined
  #waiting = 0
  #faults = 0
  #work: Promise<void> = Promise.resolve()
  #isOver = false

  constructor(link: Link, around: InspectorSurroundings) {
    this.#link = link
    this.#around = around
    link.owner = this
  }

  get credential(): Visitor['credential'] {
    return this.#visitor?.credential
  }

  // What the socket brings.

  opened(socket: Socket): void {
    this.#link.opened(socket)
    this.#arm(this.#around.authTimeout, 'auth_timeout', 'no auth frame came in time')
  }

  frame(bytes: ArrayBuffer, isBinary: boolean): void {
    if (this.#isOver) return
    const most = this.#visitor ? this.#around.maxFrame : this.#around.maxAuthFrame
    const request = withId(read(bytes, isBinary, most), bytes)
    if (isFailure(request)) return this.#fault(request)
    if (this.#waiting >= MAX_WAITING)
      return this.#reply(failure('overloaded', `at most ${MAX_WAITING} requests may wait`), request.id)
    this.#waiting++
    this.#work = this.#work.then(() => this.#take(request)).catch((error) => this.#failed(error))
  }

  ponged(): void {}

  heard(): void {}

  drained(): void {
    this.#link.drained()
    this.#wake()
    this.#catchUp()
  }

  closed(): void {
    this.#link.closed()
    this.#leave()
  }

  tooSlow(message: string): void {
    this.end('too_slow', message)
  }

  #fault(fault: Failure): void {
    this.tell(fault)
    if (++this.#faults >= MAX_FAULTS) this.end('bad_request', 'too many frames had to be refused')
  }

  // What becomes of it.

  /** The gate lets somebody in, or lets a visitor in with a newer token. */
  admit(visitor: Visitor): void {
    this.#visitor = visitor
    this.#disarm()
    const { credential } = visitor
    if (!credential) return
    const left = credential.expiresAt + this.#around.clockTolerance - Date.now()
    this.#arm(Math.max(0, left), 'token_expired', 'the token has expired')
  }

  welcome(): void {
    this.tell({ type: 'welcome', v: 1, maySend: this.#visitor?.maySend === true, time: Date.now() })
    this.#around.tongue.begin(this).catch((error) => this.#failed(error))
  }

  end(reason: CloseReason, message: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.tell({ type: 'closing', code: closeCodes[reason], reason: message })
    this.#leave()
    this.#link.end(closeCodes[reason], reason)
  }

  // What a watch needs.

  mayStep(): boolean {
    return !this.#link.congested && this.#pace.take()
  }

  tell(told: Told | Failure): void {
    this.#reply(told)
  }

  fellBehind(watch: Watch, wait = 0): void {
    this.#behind.set(watch, Date.now() + wait)
    this.#catchingUp ??= this.#around.wheel.setTimeout(() => this.#catchUp(), SECOND)
  }

  /** Nothing is queued for a socket that does not take it: it drains first. */
  #catchUp(): void {
    if (this.#catchingUp) this.#around.wheel.clearTimeout(this.#catchingUp)
    this.#catchingUp = undefined
    if (this.#link.congested || this.#isOver) return
    const now = Date.now()
    const due = [...this.#behind].filter(([, at]) => at <= now)
    for (const [watch] of due) this.#behind.delete(watch)
    if (this.#behind.size > 0) this.#catchingUp = this.#around.wheel.setTimeout(() => this.#catchUp(), SECOND)
    for (const [watch] of due) watch.refresh().catch((error) => this.#failed(error))
  }

  // What a tongue needs.

  mayWatch(actor: string): boolean {
    return !this.#isOver && !this.#watches.has(actor) && this.#watches.size < MAX_WATCHES
  }

  async watch(actor: string): Promise<void> {
    await this.#watch({ type: 'watch', actor }).catch((error) => this.#failed(error))
    if (this.#link.congested && !this.#isOver) await new Promise<void>((resolve) => this.#patient.push(resolve))
  }

  forget(actor: string): void {
    this.#forget(actor)
  }

  #wake(): void {
    for (const wake of this.#patient.splice(0)) wake()
  }

  // Requests.

  async #take(request: Request): Promise<void> {
    this.#waiting--
    if (this.#isOver) return
    try {
      if (request.type === 'auth') await this.#auth(request)
      else if (!this.#visitor)
        this.#reply(failure('not_in_state', 'send a token first', { allowed: ['auth'] }), request.id)
      else if (request.type === 'watch') await this.#watch(request)
      else if (request.type === 'unwatch') this.#unwatch(request)
      else this.#reply(await this.#around.feed.answer(request, this.#visitor), request.id)
    } catch (error) {
      this.#failed(error)
      this.#reply(failure('internal', 'the request could not be answered'), request.id)
    }
  }

  async #auth({ token, id }: Requests['auth']): Promise<void> {
    const isFirst = !this.#visitor
    const visitor = await visitorBy(token, this.#around.verify)
    if (this.#isOver) return
    if (!isFailure(visitor)) {
      this.admit(visitor)
      return isFirst ? this.welcome() : this.#reply({ type: 'ok' }, id)
    }
    this.#reply(visitor, id)
    if (isFirst) this.end(REFUSED[visitor.code] ?? 'unauthorized', visitor.message)
  }

  async #watch({ actor, id }: Requests['watch']): Promise<void> {
    const sight = this.#around.feed.sightOf(actor)
    if (isFailure(sight)) return this.#reply(sight, id)
    this.#forget(actor)
    if (this.#watches.size >= MAX_WATCHES)
      return this.#reply(failure('overloaded', `at most ${MAX_WATCHES} actors are watched at a time`), id)
    const watch = new Watch(actor, sight, this)
    this.#watches.set(actor, watch)
    let hasBegun = false
    try {
      hasBegun = await watch.begin((state) => this.#reply(isFailure(state) ? state : { type: 'state', ...state }, id))
    } finally {
      if (!hasBegun) this.#forget(actor)
    }
  }

  #unwatch({ actor, id }: Requests['unwatch']): void {
    const isKnown = this.#forget(actor)
    this.#reply(isKnown ? { type: 'ok' } : failure('not_joined', `${actor} is not watched`), id)
  }

  #forget(actor: string): boolean {
    const watch = this.#watches.get(actor)
    if (!watch) return false
    watch.stop()
    this.#behind.delete(watch)
    return this.#watches.delete(actor)
  }

  #reply(told: Told | Failure, id?: CorrelationId): void {
    for (const frame of this.#around.tongue.say(told, correlationOf(id))) this.#link.reply(frame)
  }

  #failed(error: unknown): void {
    this.#around.logger.error({ err: error }, 'the inspector could not answer')
  }

  #arm(delay: number, reason: CloseReason, message: string): void {
    this.#disarm()
    this.#deadline = this.#around.wheel.setTimeout(() => this.end(reason, message), delay)
  }

  #disarm(): void {
    if (this.#deadline) this.#around.wheel.clearTimeout(this.#deadline)
    this.#deadline = undefined
  }

  #leave(): void {
    this.#isOver = true
    this.#wake()
    this.#around.tongue.end()
    this.#disarm()
    if (this.#catchingUp) this.#around.wheel.clearTimeout(this.#catchingUp)
    for (const actor of [...this.#watches.keys()]) this.#forget(actor)
    this.#around.onGone(this)
  }
}
