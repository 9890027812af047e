/**
 * What the rest of the house knows of the network: a request, a socket, and who receives what comes from it.
 * `transport-uws.ts` is the one implementation.
 */

/** What became of a frame that was handed to a socket. Dropped is never success: no cursor moves on it. */
export type Delivery = 'sent' | 'queued' | 'dropped'

/** One open WebSocket. Every method may be called on a closed one and does nothing then. */
export interface Socket {
  /** A text frame, as a string or, where many get the same, as bytes that were encoded once. */
  send(frame: string | Uint8Array): Delivery
  /** What `run` sends goes out in as few pieces as may be. */
  together(run: () => void): void
  ping(): Delivery
  /** Sends a close frame (RFC 6455 5.5.1) and ends the connection behind it; `reason` holds at most 123 bytes. */
  end(code: number, reason: string): void
  /** Cuts the connection without a word; the peer sees 1006. */
  cut(): void
}

/** Who receives what comes from one socket, in order; `opened` first, `closed` last and once. */
export interface Receiver {
  opened(socket: Socket): void
  /** `frame` is valid only until the call returns. */
  frame(frame: ArrayBuffer, isBinary: boolean): void
  ponged(): void
  /** A ping came, and was answered. */
  heard(): void
  /** A congested socket takes frames again. */
  drained(): void
  closed(code: number, reason: string): void
}

/** The head of an HTTP request (RFC 9110), copied: it may be read at any time. */
export interface RequestHead {
  readonly method: string
  readonly path: string
  readonly query: string
  /** The value of a header by its lower-case name, `''` where it is absent. */
  header(name: string): string
  /** The lower-case names of those that came, empty ones as well. */
  headerNames(): Iterable<string>
  /** The address of the socket itself. */
  readonly peerAddress: string
  /** The address of whom it comes from, as the proxies say that are trusted; without one, the socket's. */
  readonly remoteAddress: string
}

export interface HttpRequest extends RequestHead {
  /** The body, at most `limit` bytes, or `undefined` where it is longer. */
  body(limit: number): Promise<Buffer | undefined>
}

export interface HttpAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** An answer of one line of plain text. */
export const textAnswer = (status: number, message: string, headers: Record<string, string> = {}): HttpAnswer => ({
  status,
  headers: { 'Content-Type': 'text/plain', ...headers },
  body: `${message}\n`,
})

/** An answer in JSON that nobody keeps. */
export const jsonAnswer = (status: number, value: unknown): HttpAnswer => ({
  status,
  headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
  body: JSON.stringify(value),
})

/** A request to upgrade that waits for its answer: one of `open` and `refuse`, once, at any time. */
export interface Upgrade extends RequestHead {
  /** Answers 101 and hands the socket to `receiver.opened` before it returns. `false`: the peer is gone. */
  open(subprotocol: string | undefined, receiver: Receiver): boolean
  refuse(answer: HttpAnswer): void
  /** Calls `run` when the peer goes away before it was answered. */
  onAborted(run: () => void): void
}

export interface TransportHandlers {
  /** Who takes the upgrade requests, by their path. */
  readonly upgrades: Readonly<Record<string, (upgrade: Upgrade) => void>>
  request(request: HttpRequest): HttpAnswer | Promise<HttpAnswer>
}

/** Where a certificate and its private key lie, in PEM. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

export interface TransportOptions {
  readonly host: string
  readonly port: number
  /** Bytes: a larger frame ends its connection (1009 where the transport can say so). */
  readonly maxPayload: number
  /** Proxies whose `X-Forwarded-For` is believed; 0 for none. */
  readonly trustProxy: number
  /** Bytes of a request's head, as far as it comes in pieces; a longer one is answered 431. */
  readonly maxHeader: number
  /** Bytes that one socket may hold unread; a frame beyond is dropped. */
  readonly maxBuffered: number
  /** With it everything is spoken over TLS. */
  readonly certificate?: CertificateFiles | undefined
}

export interface Transport {
  readonly port: number
  /**
   * Shows whoever comes from now on the certificate that the files hold now; who is here stays.
   * @throws when it cannot be used; the one before is shown on.
   */
  renewCertificate(): Promise<void>
  /** Takes no new connections; those that are open stay. */
  stopListening(): void
  /** Cuts every connection and frees the port. */
  close(): void
}
