/**
 * The wire to one peer, from the upgrade request to the close frame: what goes out, and whether it went.
 *
 * Always true: the request is answered once, by a socket or by a refusal; what is handed over after the end is
 * `dropped`, and nothing throws; `congested` is set while frames would only wait in memory.
 */
import type { Delivery, HttpAnswer, Receiver, Socket, Upgrade } from './transport.ts'

export class Link {
  readonly counters = { received: 0, sent: 0, pings: 0, pongs: 0 }
  congested = false
  readonly #upgrade: Upgrade
  readonly #subprotocol: string | undefined
  #socket: Socket | undefined

  constructor(upgrade: Upgrade, subprotocol: string | undefined) {
    this.#upgrade = upgrade
    this.#subprotocol = subprotocol
  }

  get isOpen(): boolean {
    return this.#socket !== undefined
  }

  /** Answers 101, unless that was done; the socket comes by `receiver.opened`. `false`: the peer is gone. */
  open(receiver: Receiver): boolean {
    return this.isOpen || this.#upgrade.open(this.#subprotocol, receiver)
  }

  /** Answers the upgrade request with anything but 101. */
  refuse(answer: HttpAnswer): void {
    this.#upgrade.refuse(answer)
  }

  opened(socket: Socket): void {
    this.#socket = socket
  }

  send(frame: string | Uint8Array): Delivery {
    const delivery = this.#socket?.send(frame) ?? 'dropped'
    if (delivery !== 'sent') this.congested = true
    if (delivery !== 'dropped') this.counters.sent++
    return delivery
  }

  /** A WebSocket ping (RFC 6455 5.5.2). */
  ping(): Delivery {
    return this.#socket?.ping() ?? 'dropped'
  }

  /** @returns whether there was a socket to end. */
  end(code: number, reason: string): boolean {
    const socket = this.#socket
    socket?.end(code, reason)
    return socket !== undefined
  }

  closed(): void {
    this.#socket = undefined
  }
}
