/**
 * What a peer may do so often and no oftener.
 *
 * Always true: nothing here knows a socket; a limit that is not set costs one comparison.
 */

/** Counts what happened within the last `window` milliseconds, up to `most`. */
export class SlidingCount {
  readonly #most: number
  readonly #window: number
  readonly #times: number[] = []

  constructor(most: number, window: number) {
    this.#most = most
    this.#window = window
  }

  /** Counts one more at `now`. @returns whether that is as many as there may be. */
  add(now: number): boolean {
    this.#times.push(now)
    return this.at(now) >= this.#most
  }

  /** How many there are at `now`. */
  at(now: number): number {
    while (now - (this.#times[0] ?? now) >= this.#window) this.#times.shift()
    return this.#times.length
  }

  /** When the last one was. */
  get last(): number | undefined {
    return this.#times.at(-1)
  }
}

/** A token bucket: so many a second, and a second's worth at once. */
export class TokenBucket {
  readonly #perSecond: number
  #tokens: number
  #filledAt: number

  /** @param perSecond 0 for no limit. */
  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond
    this.#tokens = perSecond
    this.#filledAt = now
  }

  /** Takes `amount` out at `now`. @returns whether there was so much. */
  take(amount: number, now: number): boolean {
    if (this.#perSecond === 0) return true
    const gained = ((now - this.#filledAt) / 1000) * this.#perSecond
    this.#tokens = Math.min(this.#perSecond, this.#tokens + gained)
    this.#filledAt = now
    if (this.#tokens < amount) return false
    this.#tokens -= amount
    return true
  }
}

/** What one connection may send. */
export class Allowance {
  readonly #frames: TokenBucket
  readonly #bytes: TokenBucket

  /** @returns `undefined` where there is no limit. */
  static of(framesPerSecond: number, bytesPerSecond: number): Allowance | undefined {
    const isUnlimited = framesPerSecond === 0 && bytesPerSecond === 0
    return isUnlimited ? undefined : new Allowance(framesPerSecond, bytesPerSecond)
  }

  constructor(framesPerSecond: number, bytesPerSecond: number) {
    const now = Date.now()
    this.#frames = new TokenBucket(framesPerSecond, now)
    this.#bytes = new TokenBucket(bytesPerSecond, now)
  }

  /** @returns whether a frame of `bytes` is within both limits. */
  take(bytes: number): boolean {
    const now = Date.now()
    return this.#frames.take(1, now) && this.#bytes.take(bytes, now)
  }
}

/** How often something happens per key, such as a peer's address; forgets keys of which nothing is left. */
export class Tally {
  readonly #counts = new Map<string, number>()

  /** How many keys there are. */
  get size(): number {
    return this.#counts.size
  }

  of(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  add(key: string): void {
    this.#counts.set(key, this.of(key) + 1)
  }

  remove(key: string): void {
    const left = this.of(key) - 1
    if (left > 0) this.#counts.set(key, left)
    else this.#counts.delete(key)
  }
}
