/**
 * The registry of connections: takes upgrade requests, and knows every connection from its request to its end.
 */
import { randomBytes } from 'node:crypto'
import type { Credential } from './auth.ts'
import { Connection, type ConnectionSurroundings } from './connection.ts'
import { refuseHandshake, subprotocolOf, tokenOf } from './handshake.ts'
import { Tally } from './limits.ts'
import { Link } from './link.ts'
import { type HttpAnswer, textAnswer, type Upgrade } from './transport.ts'

/** Milliseconds for which a refused token counts against its address. */
const FAILURE_WINDOW = 60_000

export class Connections {
  readonly #around: ConnectionSurroundings
  readonly #byId = new Map<string, Connection>()
  readonly #addresses = new Tally()
  readonly #failures = new Tally()

  constructor(around: Omit<ConnectionSurroundings, 'onGone' | 'onTokenRefused'>) {
    this.#around = {
      ...around,
      onTokenRefused: (address) => this.#tokenRefused(address),
      onGone: (connection) => this.#gone(connection),
    }
  }

  get size(): number {
    return this.#byId.size
  }

  all(): Iterable<Connection> {
    return this.#byId.values()
  }

  get(id: string): Connection | undefined {
    return this.#byId.get(id)
  }

  /** Refuses the request over HTTP, or begins a connection with it. */
  accept(upgrade: Upgrade): void {
    const { config, wheel } = this.#around
    const refusal = refuseHandshake(upgrade, config) ?? this.#refuseCrowd(upgrade.remoteAddress)
    if (refusal) return upgrade.refuse(refusal)
    const id = `c_${randomBytes(9).toString('base64url')}`
    const link = new Link(upgrade, subprotocolOf(upgrade), wheel, config.maxLag)
    const connection = new Connection(id, link, tokenOf(upgrade, config), this.#around)
    upgrade.onAborted(() => connection.closed(1006, 'the request was aborted'))
    this.#byId.set(id, connection)
    this.#addresses.add(link.remoteAddress)
    connection.start()
  }

  /** Rule C5, and the limits on one address where the operator has set them. */
  #refuseCrowd(address: string): HttpAnswer | undefined {
    const { maxConnections, maxConnectionsPerAddress, maxAuthFailuresPerAddress } = this.#around.config
    const isCrowded = maxConnectionsPerAddress > 0 && this.#addresses.of(address) >= maxConnectionsPerAddress
    const isSuspect = maxAuthFailuresPerAddress > 0 && this.#failures.of(address) >= maxAuthFailuresPerAddress
    if (this.size >= maxConnections) return comeBack(503, 5, 'the server is full')
    if (isCrowded) return comeBack(429, 5, 'too many connections from this address')
    return isSuspect ? comeBack(429, FAILURE_WINDOW / 1000, 'too many refused tokens from this address') : undefined
  }

  #gone(connection: Connection): void {
    if (this.#byId.delete(connection.id)) this.#addresses.remove(connection.remoteAddress)
  }

  /** A refused token counts against its address for a minute, where the operator has set a limit. */
  #tokenRefused(address: string): void {
    if (this.#around.config.maxAuthFailuresPerAddress === 0) return
    this.#failures.add(address)
    this.#around.wheel.setTimeout(() => this.#failures.remove(address), FAILURE_WINDOW)
  }

  /** Ends the connections whose token is refused from now on. @returns how many they were. */
  endWhere(isRevoked: (credential: Credential) => boolean): number {
    const ended = [...this.#byId.values()].filter((connection) => connection.hasToken(isRevoked))
    for (const connection of ended) connection.close('revoked', 'the token was revoked')
    return ended.length
  }

  /** Tells everybody to come back elsewhere or later, spread over `spread` milliseconds (rule X1). */
  drain(spread: number): void {
    for (const connection of [...this.#byId.values()]) {
      connection.close('going_away', 'the server is shutting down', Math.round(Math.random() * spread))
    }
  }
}

const comeBack = (status: number, seconds: number, message: string): HttpAnswer =>
  textAnswer(status, message, { 'Retry-After': `${seconds}` })
