/**
 * The wire to one peer, from the upgrade request to the close frame: what goes out, and whether it went.
 *
 * Always true: the request is answered once, by a socket or by a refusal; what is handed over after the end is
 * `dropped`, and nothing throws; `congested` is set while frames would only wait in memory.
 */
import type { Delivery, HttpAnswer, Receiver, Socket, Upgrade } from '../transport/transport.ts'
import type { Deadline, Wheel } from '../wheel.ts'

/** Bytes of replies that may be left unread (rule S7). */
const MAX_UNREAD = 1024 * 1024

export class Link {
  readonly counters = { received: 0, sent: 0, pings: 0, pongs: 0 }
  congested = false
  readonly remoteAddress: string
  /** The request, until it is answered. */
  #upgrade: Upgrade | undefined
  readonly #subprotocol: string | undefined
  #socket: Socket | undefined
  #unread = 0
  #isTooSlow = false

  readonly #wheel: Wheel
  readonly #maxLag: number
  #lag: Deadline | undefined
  /** Whoever uses the link says what follows. */
  owner: { tooSlow(message: string): void } | undefined

  /** @param maxLag milliseconds that a peer may leave unread what waits for it. */
  constructor(upgrade: Upgrade, subprotocol: string | undefined, wheel: Wheel, maxLag: number) {
    this.remoteAddress = upgrade.remoteAddress
    this.#upgrade = upgrade
    this.#subprotocol = subprotocol
    this.#wheel = wheel
    this.#maxLag = maxLag
  }

  get isOpen(): boolean {
    return this.#socket !== undefined
  }

  /** Answers 101, unless that was done; the socket comes by `receiver.opened`. `false`: the peer is gone. */
  open(receiver: Receiver): boolean {
    return this.isOpen || this.#upgrade?.open(this.#subprotocol, receiver) === true
  }

  /** Answers the upgrade request with anything but 101. */
  refuse(answer: HttpAnswer): void {
    this.#upgrade?.refuse(answer)
    this.#upgrade = undefined
  }

  opened(socket: Socket): void {
    this.#socket = socket
    this.#upgrade = undefined
  }

  send(frame: string | Uint8Array): Delivery {
    const delivery = this.#socket?.send(frame) ?? 'dropped'
    if (delivery !== 'dropped') this.counters.sent++
    if (delivery !== 'sent') this.#congest()
    return delivery
  }

  /** What `run` sends goes out in as few pieces as may be. */
  together(run: () => void): void {
    if (this.#socket) this.#socket.together(run)
    else run()
  }

  /** A frame that is sent whatever waits already, up to a limit (rule S7). */
  reply(frame: string): void {
    if (this.congested) this.#unread += Buffer.byteLength(frame)
    this.send(frame)
    if (this.#unread > MAX_UNREAD) this.#tooSlow('too many replies were left unread')
  }

  /** Said once: what follows from it may be a reply as well. */
  #tooSlow(message: string): void {
    if (this.#isTooSlow) return
    this.#isTooSlow = true
    this.owner?.tooSlow(message)
  }

  #congest(): void {
    this.congested = true
    if (!this.isOpen) return
    this.#lag ??= this.#wheel.setTimeout(() => this.#tooSlow(`nothing was read for ${this.#maxLag} ms`), this.#maxLag)
  }

  /** The peer has read what waited. */
  drained(): void {
    this.congested = false
    this.#unread = 0
    this.#stopWaiting()
  }

  #stopWaiting(): void {
    if (this.#lag) this.#wheel.clearTimeout(this.#lag)
    this.#lag = undefined
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
    this.#stopWaiting()
  }
}
