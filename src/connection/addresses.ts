/**
 * What one network address may have, where the operator has set limits: connections at a time, and refused tokens within a
 * minute.
 */
import { Tally } from '../limits.ts'
import { type HttpAnswer, textAnswer } from '../transport/transport.ts'
import type { Wheel } from '../wheel.ts'

export interface AddressLimits {
  /** 0 for no limit. */
  readonly maxConnectionsPerAddress: number
  readonly maxAuthFailuresPerAddress: number
}

/** Milliseconds for which a refused token counts against its address. */
const FAILURE_WINDOW = 60_000

export class Addresses {
  readonly #limits: AddressLimits
  readonly #wheel: Wheel
  readonly #connections = new Tally()
  readonly #failures = new Tally()

  constructor(limits: AddressLimits, wheel: Wheel) {
    this.#limits = limits
    this.#wheel = wheel
  }

  /** @returns the answer to one more from an address, where that is too many. */
  refuse(address: string): HttpAnswer | undefined {
    const { maxConnectionsPerAddress, maxAuthFailuresPerAddress } = this.#limits
    const isCrowded = maxConnectionsPerAddress > 0 && this.#connections.of(address) >= maxConnectionsPerAddress
    const isSuspect = maxAuthFailuresPerAddress > 0 && this.#failures.of(address) >= maxAuthFailuresPerAddress
    if (isCrowded) return comeBack(5, 'too many connections from this address')
    return isSuspect ? comeBack(FAILURE_WINDOW / 1000, 'too many refused tokens from this address') : undefined
  }

  came(address: string): void {
    this.#connections.add(address)
  }

  left(address: string): void {
    this.#connections.remove(address)
  }

  /** Counts against the address for a minute. */
  tokenRefused(address: string): void {
    if (this.#limits.maxAuthFailuresPerAddress === 0) return
    this.#failures.add(address)
    this.#wheel.setTimeout(() => this.#failures.remove(address), FAILURE_WINDOW)
  }
}

const comeBack = (seconds: number, message: string): HttpAnswer =>
  textAnswer(429, message, { 'Retry-After': `${seconds}` })
