/**
 * The registry of connections: takes upgrade requests, and knows every connection from its request to its end.
 */
import { randomBytes } from 'node:crypto'
import type { Credential } from '../auth/auth.ts'
import type { HttpAnswer, Upgrade } from '../transport/transport.ts'
import { Addresses } from './addresses.ts'
import { Connection, type ConnectionSurroundings } from './connection.ts'
import { refuseHandshake, subprotocolOf, tokenOf, unavailable } from './handshake.ts'
import { Link } from './link.ts'

export class Connections {
  readonly #around: ConnectionSurroundings
  readonly #byId = new Map<string, Connection>()
  readonly #addresses: Addresses

  constructor(around: Omit<ConnectionSurroundings, 'onGone' | 'onTokenRefused'>) {
    this.#addresses = new Addresses(around.config, around.wheel)
    this.#around = {
      ...around,
      onTokenRefused: (address) => this.#addresses.tokenRefused(address),
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
    this.#addresses.came(link.remoteAddress)
    connection.start()
  }

  /** Rule C5, and the limits on one address where the operator has set them. */
  #refuseCrowd(address: string): HttpAnswer | undefined {
    if (this.size >= this.#around.config.maxConnections) return unavailable('the server is full', 5000)
    return this.#addresses.refuse(address)
  }

  #gone(connection: Connection): void {
    if (this.#byId.delete(connection.id)) this.#addresses.left(connection.remoteAddress)
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
