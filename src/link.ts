/**
 * The wire to one peer, from the upgrade request to the close frame: what goes out, and whether it went.
 *
 * Always true: the request is answered once, by a socket or by a refusal; what is handed over after the end is
 * `dropped`, and nothing throws; `congested` is set while frames would only wait in memory.
 */
import type { Delivery, HttpAnswer, Receiver, Socket, Upgrade } from './transport.ts'

/** Bytes of replies that may be left unread (rule S7). */
const MAX_UNREAD = 1024 * 1024

export class Link {
  readonly counters = { received: 0, sent: 0, pings: 0, pongs: 0 }
  congested = false
  readonly #upgrade: Upgrade
  readonly #subprotocol: string | undefined
  #socket: Socket | undefined
  #unread = 0

  constructor(upgrade: Upgrade, subprotocol: string | undefined) {
    this.#upgrade = upgrade
    this.#subprotocol = subprotocol
  }

  get remoteAddress(): string {
    return this.#upgrade.remoteAddress
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

  /** Counts a reply that would only wait in memory. @returns whether that is more than may be left unread. */
  addUnread(reply: string): boolean {
    if (this.congested) this.#unread += Buffer.byteLength(reply)
    return this.#unread > MAX_UNREAD
  }

  /** The peer has read what waited. */
  drained(): void {
    this.congested = false
    this.#unread = 0
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
