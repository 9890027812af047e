/**
 * The token of a client: one text for good, or whatever a provider makes each time that one is needed.
 *
 * Always true: a token that was accepted is used again until shortly before it expires; the provider is asked when there
 * is none, or the one there is was refused. Of several that are asked for the last counts, whichever comes first.
 */
import type { Clock } from './clock.ts'

export type TokenSource = string | (() => string | Promise<string>)

/** Milliseconds before its expiry in which a token is not brought to a new connection any more. */
const MARGIN = 5000

export class Token {
  readonly #source: TokenSource
  readonly #clock: Clock
  #held: string | undefined
  #goodUntil = Number.POSITIVE_INFINITY
  #asked = 0
  /** Nobody has seen it yet. */
  #isNew = false

  constructor(source: TokenSource, clock: Clock) {
    this.#source = source
    this.#clock = clock
  }

  get canBeRenewed(): boolean {
    return typeof this.#source === 'function'
  }

  async get(): Promise<string> {
    this.#isNew = false
    if (typeof this.#source === 'string') return this.#source
    return this.#held !== undefined && this.#clock.now() < this.#goodUntil - MARGIN ? this.#held : this.renew()
  }

  async renew(): Promise<string> {
    const asked = ++this.#asked
    const token = typeof this.#source === 'string' ? this.#source : await this.#source()
    if (asked !== this.#asked) return token
    this.#goodUntil = Number.POSITIVE_INFINITY
    this.#isNew = true
    this.#held = token
    return token
  }

  /** @param goodUntil by this side's clock */
  accepted(goodUntil: number): void {
    this.#goodUntil = goodUntil
    this.#isNew = false
  }

  /** @returns whether asking for another one can help: not where this one was made for the dial that failed. */
  refused(): boolean {
    this.#held = undefined
    return this.canBeRenewed && !this.#isNew
  }
}
