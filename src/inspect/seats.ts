/**
 * Who may look at a time: those let in have a seat, and those who have yet to send a token wait, in a number of their own.
 *
 * Always true: whoever waits takes no seat from anybody who has a token; who has left is counted nowhere.
 */
import { Addresses, type AddressLimits } from '../connection/addresses.ts'
import { unavailable } from '../connection/handshake.ts'
import type { HttpAnswer } from '../transport/transport.ts'
import type { Wheel } from '../wheel.ts'

const MAX_SEATED = 16
const MAX_WAITING = 32

export class Seats {
  readonly #addresses: Addresses
  /** Everybody who is here, and from where. */
  readonly #here = new Map<object, string>()
  readonly #seated = new Set<object>()
  readonly #waiting = new Set<object>()

  constructor(limits: AddressLimits, wheel: Wheel) {
    this.#addresses = new Addresses(limits, wheel)
  }

  /** @returns the answer to one who may not even come in. @param waits whether a token is still to come */
  refuse(address: string, waits: boolean): HttpAnswer | undefined {
    if (this.#seated.size >= MAX_SEATED) return noSeat()
    if (waits && this.#waiting.size >= MAX_WAITING) return unavailable('too many wait for the inspector', 5000)
    return this.#addresses.refuse(address)
  }

  enter(visitor: object, address: string, waits: boolean): void {
    this.#here.set(visitor, address)
    if (waits) this.#waiting.add(visitor)
    this.#addresses.came(address)
  }

  /** @returns whether the visitor has a seat, perhaps from before. */
  take(visitor: object): boolean {
    if (this.#seated.has(visitor)) return true
    if (!this.#here.has(visitor) || this.#seated.size >= MAX_SEATED) return false
    this.#waiting.delete(visitor)
    this.#seated.add(visitor)
    return true
  }

  leave(visitor: object): void {
    const address = this.#here.get(visitor)
    if (address === undefined) return
    this.#here.delete(visitor)
    this.#seated.delete(visitor)
    this.#waiting.delete(visitor)
    this.#addresses.left(address)
  }

  tokenRefused(visitor: object): void {
    const address = this.#here.get(visitor)
    if (address !== undefined) this.#addresses.tokenRefused(address)
  }
}

export const noSeat = (): HttpAnswer => unavailable('too many inspectors are here', 5000)
