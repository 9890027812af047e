/**
 * What one network address may have, where the operator has set limits: connections at a time, and refused tokens within a
 * minute. Whoever has an IPv6 address has all of its /64, so that these count as one.
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
    const site = siteOf(address)
    const isCrowded = maxConnectionsPerAddress > 0 && this.#connections.of(site) >= maxConnectionsPerAddress
    const isSuspect = maxAuthFailuresPerAddress > 0 && this.#failures.of(site) >= maxAuthFailuresPerAddress
    if (isCrowded) return comeBack(5, 'too many connections from this address')
    return isSuspect ? comeBack(FAILURE_WINDOW / 1000, 'too many refused tokens from this address') : undefined
  }

  came(address: string): void {
    this.#connections.add(siteOf(address))
  }

  left(address: string): void {
    this.#connections.remove(siteOf(address))
  }

  /** Counts against the address for a minute. */
  tokenRefused(address: string): void {
    if (this.#limits.maxAuthFailuresPerAddress === 0) return
    const site = siteOf(address)
    this.#failures.add(site)
    this.#wheel.setTimeout(() => this.#failures.remove(site), FAILURE_WINDOW)
  }
}

/** The first four groups of an IPv6 address (RFC 4291 2.5.1), any other address as it is. */
function siteOf(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('::').map((part) => part.split(':').filter(Boolean))
  const zeros = tail ? Array(8 - head.length - tail.length).fill('0') : []
  return [...head, ...zeros, ...(tail ?? [])].slice(0, 4).join(':')
}

const comeBack = (seconds: number, message: string): HttpAnswer =>
  textAnswer(429, message, { 'Retry-After': `${seconds}` })
