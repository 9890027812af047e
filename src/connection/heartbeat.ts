/**
 * Whether a peer is still there (rules H1 to H3): pinged after an interval of silence, given up when so many pings in a
 * row were followed by silence.
 *
 * Always true: only silence counts against a peer, whatever became of the pings; nothing is armed after `stop`. A frame
 * costs one store, and one deadline waits on the wheel.
 */
import type { Deadline, Wheel } from '../wheel.ts'

/** Milliseconds, and a count. */
export interface HeartbeatRules {
  readonly heartbeatInterval: number
  readonly heartbeatTimeout: number
  readonly heartbeatMaxMissed: number
}

/** What a heartbeat needs of the connection whose it is. */
export interface Pulse {
  ping(): void
  /** The peer is gone: silent for `interval × maxMissed + timeout`. */
  lost(): void
}

export class Heartbeat {
  readonly #rules: HeartbeatRules
  readonly #wheel: Wheel
  readonly #pulse: Pulse
  #heardAt = Date.now()
  #missed = 0
  #deadline: Deadline

  constructor(rules: HeartbeatRules, wheel: Wheel, pulse: Pulse) {
    this.#rules = rules
    this.#wheel = wheel
    this.#pulse = pulse
    this.#deadline = this.#arm(rules.heartbeatInterval)
  }

  /** Something came from the peer, whatever it was. */
  heard(): void {
    this.#heardAt = Date.now()
    this.#missed = 0
  }

  stop(): void {
    this.#wheel.clearTimeout(this.#deadline)
  }

  #arm(delay: number): Deadline {
    return this.#wheel.setTimeout(() => this.#beat(), delay)
  }

  #beat(): void {
    const { heartbeatInterval, heartbeatTimeout, heartbeatMaxMissed } = this.#rules
    const silence = Date.now() - this.#heardAt
    if (silence < heartbeatInterval) this.#deadline = this.#arm(heartbeatInterval - silence)
    else if (this.#missed === heartbeatMaxMissed) this.#pulse.lost()
    else {
      this.#pulse.ping()
      this.#missed++
      this.#deadline = this.#arm(this.#missed === heartbeatMaxMissed ? heartbeatTimeout : heartbeatInterval)
    }
  }
}
