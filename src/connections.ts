/**
 * The registry of connections: takes upgrade requests, and knows every connection from its request to its end.
 */
import { randomBytes } from 'node:crypto'
import type { Credential } from './auth.ts'
import { Connection, type ConnectionSurroundings } from './connection.ts'
import { refuseHandshake, subprotocolOf, tokenOf } from './handshake.ts'
import { Link } from './link.ts'
import type { Upgrade } from './transport.ts'

export class Connections {
  readonly #around: ConnectionSurroundings
  readonly #byId = new Map<string, Connection>()

  constructor(around: Omit<ConnectionSurroundings, 'onGone'>) {
    this.#around = { ...around, onGone: (connection) => this.#byId.delete(connection.id) }
  }

  get size(): number {
    return this.#byId.size
  }

  /** Refuses the request over HTTP, or begins a connection with it. */
  accept(upgrade: Upgrade): void {
    const { config } = this.#around
    const refusal = refuseHandshake(upgrade, config)
    if (refusal) return upgrade.refuse(refusal)
    if (this.size >= config.maxConnections) {
      return upgrade.refuse({ status: 503, headers: { 'Retry-After': '5' }, body: 'the server is full\n' })
    }
    const id = `c_${randomBytes(9).toString('base64url')}`
    const link = new Link(upgrade, subprotocolOf(upgrade))
    const connection = new Connection(id, link, tokenOf(upgrade, config), this.#around)
    upgrade.onAborted(() => connection.closed(1006, 'the request was aborted'))
    this.#byId.set(id, connection)
    connection.start()
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
