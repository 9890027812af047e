/**
 * Keeps one connection open: dials, waits, dials again, and renews the token ahead of its end.
 *
 * Always true: there is one line at most, and one timer of the dial, of the pause, or of the goodbye. What a line
 * or a provider of tokens says when its turn is over changes nothing.
 */
import type { ServerFrame, ServerFrames } from '../protocol.ts'
import type { Clock } from './clock.ts'
import { type Backoff, type ClientState, type LifeEvent, next, Patience, pause, type Verdict, verdict } from './life.ts'
import { type Ending, Line } from './line.ts'
import { ignore } from './listeners.ts'
import { ChartroomError, wordsOf } from './refusal.ts'
import { Token, type TokenSource } from './token.ts'
import type { WebSocketClass } from './websocket.ts'

/** Where a client is, and why. */
export interface Status {
  readonly state: ClientState
  /** Dials since a connection last held that led to none that did. */
  readonly failures: number
  /** Milliseconds until the next dial, in `waiting`. */
  readonly delay?: number
  /** Why the last connection ended, in `waiting` and `closed`. */
  readonly error?: ChartroomError
}

export interface LifelineOptions {
  readonly url: string
  readonly token: TokenSource
  readonly WebSocket: WebSocketClass
  readonly timeout: number
  readonly backoff: Backoff
  readonly attempts: number
  readonly clock: Clock
}

export interface Crew {
  changed(status: Status): void
  opened(line: Line, welcome: ServerFrames['welcome']): void
  lost(): void
  heard(frame: ServerFrame): void
  ended(error: ChartroomError): void
}

/** Milliseconds that a peer has to say goodbye. */
const GOODBYE = 1000

export class Lifeline {
  status: Status = { state: 'waiting', failures: 0 }
  readonly #options: LifelineOptions
  readonly #crew: Crew
  readonly #token: Token
  readonly #patience: Patience
  #line: Line | undefined
  /** An upgrade failed without a word since the last welcome: the token may be the reason, which only a frame can tell. */
  #asksWhy = false
  /** The server's clock less ours. */
  #ahead = 0
  #dials = 0
  #cancel = ignore
  #cancelRenewal = ignore

  constructor(options: LifelineOptions, crew: Crew) {
    this.#options = options
    this.#crew = crew
    this.#token = new Token(options.token, options.clock)
    this.#patience = new Patience(options.backoff)
  }

  /** Dials now, where it would wait; asks for a sign of life where it is open. */
  wake(): void {
    if (this.status.state === 'open') this.#line?.probe()
    else if (this.#go('due')) void this.#dial()
  }

  /** Says goodbye, and is gone for good. */
  close(error: ChartroomError): void {
    if (!this.#go('leaving')) return this.#finish(error)
    this.#line?.leave()
    this.#after(GOODBYE, () => this.#finish(error))
  }

  /** Begins anew with another connection. */
  drop(message: string): void {
    this.#line?.drop({ code: 1006, error: new ChartroomError('lost', message, true) })
  }

  /** @returns whether the table knows a way from here, and whoever heard of it took no other. */
  #go(event: LifeEvent, more: Partial<Status> = {}): boolean {
    const state = next(this.status.state, event)
    if (!state) return false
    this.#cancel()
    this.status = { state, failures: this.#patience.failures, ...more }
    this.#crew.changed(this.status)
    return this.status.state === state
  }

  #after(milliseconds: number, run: () => void): void {
    this.#cancel()
    this.#cancel = this.#options.clock.later(milliseconds, run)
  }

  async #dial(): Promise<void> {
    const dial = ++this.#dials
    const { timeout, url } = this.#options
    const isCurrent = () => this.status.state === 'connecting' && this.#dials === dial && !this.#line
    this.#after(timeout, () => this.#failed('timeout', `${url}: no welcome within ${timeout} ms`))
    try {
      const token = await this.#token.get()
      if (isCurrent()) this.#line = this.#connect(token)
    } catch (error) {
      if (isCurrent()) this.#failed('unreachable', `no token, or no socket: ${wordsOf(error)}`, error)
    }
  }

  #connect(token: string): Line {
    const line: Line = new Line(
      { ...this.#options, token, inFrame: this.#asksWhy },
      {
        welcomed: (welcome) => this.#welcomed(line, welcome),
        heard: (frame) => (frame.type === 'auth.expiring' ? void this.#renew(line) : this.#crew.heard(frame)),
        ended: (ending) => this.#ended(line, ending),
      },
    )
    return line
  }

  #failed(code: 'timeout' | 'unreachable', message: string, cause?: unknown): void {
    const ending = { code: 1006, error: new ChartroomError(code, message, true, {}, cause) }
    if (this.#line) this.#line.drop(ending)
    else {
      this.#patience.ended(0)
      this.#comeBack(ending)
    }
  }

  #welcomed(line: Line, welcome: ServerFrames['welcome']): void {
    this.#asksWhy = false
    this.#ahead = welcome.time - this.#options.clock.now()
    this.#token.accepted(welcome.expiresAt - this.#ahead)
    this.#crew.opened(line, welcome)
    this.#go('welcomed')
  }

  #ended(line: Line, ending: Ending): void {
    if (this.#line !== line) return
    this.#line = undefined
    this.#cancelRenewal()
    this.#patience.ended(line.openedAt > 0 ? this.#options.clock.now() - line.openedAt : 0)
    if (line.openedAt > 0) this.#crew.lost()
    else if (!line.isUpgraded) this.#asksWhy = true
    if (this.status.state === 'closing') this.#finish(new ChartroomError('closed', 'the client was closed'))
    else this.#comeBack(ending)
  }

  #comeBack({ code, error, retryAfter }: Ending): void {
    const { attempts, clock } = this.#options
    const how = this.#verdict(code)
    if (how === 'stop' || this.#patience.failures >= attempts) return this.#finish(error)
    const delay = this.#patience.delay(how, retryAfter, clock.random())
    if (this.#go('lost', { delay, error })) this.#after(delay, () => this.wake())
  }

  /** Where the token is the reason, another one may help. */
  #verdict(code: number): Verdict {
    if (code !== 4001 && code !== 4201) return verdict(code)
    return this.#token.refused() ? 'at once' : 'stop'
  }

  #finish(error: ChartroomError): void {
    const line = this.#line
    this.#line = undefined
    this.#cancelRenewal()
    if (!this.#go('ended', { error })) return
    line?.drop({ code: 1000, error })
    this.#crew.ended(error)
  }

  /** The old token stays in force until its own end, so that a provider that fails is asked again until then. */
  async #renew(line: Line, failures = 0): Promise<void> {
    if (!this.#token.canBeRenewed || this.#line !== line) return
    const again = () => {
      if (this.#line !== line) return
      const { clock, backoff } = this.#options
      this.#cancelRenewal = clock.later(
        pause(failures, backoff, clock.random()),
        () => void this.#renew(line, failures + 1),
      )
    }
    try {
      const token = await this.#token.renew()
      if (this.#line !== line) return
      line.ask({ type: 'auth', token }, (reply) => {
        if (reply?.type === 'ok') this.#token.accepted((reply.expiresAt ?? 0) - this.#ahead)
        else if (reply) again()
      })
    } catch {
      again()
    }
  }
}
