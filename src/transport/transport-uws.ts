/**
 * The transport on uWebSockets.js: what its requests and sockets become for the rest of the house.
 *
 * Always true: an answer is written corked; an upgrade happens while another response holds the cork, since the one
 * that is upgraded must not (docs/decisions/0004). A closed uWS socket throws on every call: here it does nothing.
 */
import { STATUS_CODES } from 'node:http'
import { CorkHolder } from './cork-holder.ts'
import { clientAddress } from './forwarded.ts'
import {
  type HttpResponse,
  Port,
  type TemplatedApp,
  type HttpRequest as UwsRequest,
  type us_socket_context_t,
  type WebSocket,
  type WebSocketBehavior,
} from './port-uws.ts'
import type {
  Delivery,
  HttpAnswer,
  HttpRequest,
  Receiver,
  RequestHead,
  Socket,
  Transport,
  TransportHandlers,
  TransportOptions,
  Upgrade,
} from './transport.ts'

interface UserData {
  receiver: Receiver
  socket?: UwsSocket
}

/**
 * Listens on one port, alone: a second server on it is refused.
 * @throws when the port is taken or uWebSockets.js does not load.
 */
export async function listen(options: TransportOptions, handlers: TransportHandlers): Promise<Transport> {
  const holder = new CorkHolder()
  const port = await Port.open(options, (app) => addRoutes(app, options, handlers, holder))
  await holder.begin(options.host, port.number, options.certificate !== undefined)
  return {
    port: port.number,
    renewCertificate: () => port.renewCertificate(),
    stopListening: () => port.stopListening(),
    close: () => {
      holder.end()
      port.close()
    },
  }
}

function addRoutes(
  app: TemplatedApp,
  options: TransportOptions,
  handlers: TransportHandlers,
  holder: CorkHolder,
): void {
  holder.waitIn(app)
  for (const [path, accept] of Object.entries(handlers.upgrades)) app.ws(path, behaviour(options, accept, holder))
  app.any('/*', (res, req) => void answer(res, new CopiedHead(res, req, options.trustProxy), handlers))
}

function behaviour(
  options: TransportOptions,
  accept: (upgrade: Upgrade) => void,
  holder: CorkHolder,
): WebSocketBehavior<UserData> {
  return {
    maxPayloadLength: options.maxPayload,
    maxBackpressure: options.maxBuffered,
    sendPingsAutomatically: false,
    idleTimeout: 0,
    maxLifetime: 0,
    upgrade: (res, req, context) => accept(new UwsUpgrade(res, req, context, holder, options.trustProxy)),
    open: (ws) => {
      const data = ws.getUserData()
      data.socket = new UwsSocket(ws)
      data.receiver.opened(data.socket)
    },
    message: (ws, frame, isBinary) => ws.getUserData().receiver.frame(frame, isBinary),
    pong: (ws) => ws.getUserData().receiver.ponged(),
    ping: (ws) => ws.getUserData().receiver.heard(),
    // What is sent from within this callback would wait for a drain that uWebSockets.js does not report again.
    drain: (ws) => void setImmediate(drained, ws.getUserData().receiver),
    close: (ws, code, reason) => {
      const { socket, receiver } = ws.getUserData()
      socket?.forget()
      receiver.closed(code, Buffer.from(reason).toString())
    },
  }
}

const drained = (receiver: Receiver): void => receiver.drained()

/** What uWS answers to `send`, by its number. */
const DELIVERIES: readonly Delivery[] = ['queued', 'sent', 'dropped']

class UwsSocket implements Socket {
  #ws: WebSocket<UserData> | undefined

  constructor(ws: WebSocket<UserData>) {
    this.#ws = ws
  }

  send(frame: string | Uint8Array): Delivery {
    return this.#ws ? (DELIVERIES[this.#ws.send(frame)] ?? 'dropped') : 'dropped'
  }

  together(run: () => void): void {
    if (this.#ws) this.#ws.cork(run)
    else run()
  }

  ping(): Delivery {
    return this.#ws ? (DELIVERIES[this.#ws.ping()] ?? 'dropped') : 'dropped'
  }

  end(code: number, reason: string): void {
    this.#ws?.end(code, reason)
  }

  cut(): void {
    this.#ws?.close()
  }

  forget(): void {
    this.#ws = undefined
  }
}

/** uWS keeps a request on the stack only: what is asked of it later is copied. */
class CopiedHead implements RequestHead {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly peerAddress: string
  readonly remoteAddress: string
  readonly #headers = new Map<string, string>()

  constructor(res: HttpResponse, req: UwsRequest, trustProxy: number) {
    this.method = req.getCaseSensitiveMethod()
    this.path = req.getUrl()
    this.query = req.getQuery() ?? ''
    req.forEach((name, value) => {
      const known = this.#headers.get(name)
      this.#headers.set(name, known === undefined ? value : `${known}, ${value}`)
    })
    this.peerAddress = Buffer.from(res.getRemoteAddressAsText()).toString()
    this.remoteAddress = clientAddress(this.peerAddress, this.header('x-forwarded-for'), trustProxy)
  }

  header(name: string): string {
    return this.#headers.get(name) ?? ''
  }

  headerNames(): Iterable<string> {
    return this.#headers.keys()
  }
}

class UwsUpgrade extends CopiedHead implements Upgrade {
  readonly #context: us_socket_context_t
  readonly #holder: CorkHolder
  #res: HttpResponse | undefined
  #aborted = (): void => {}

  constructor(
    res: HttpResponse,
    req: UwsRequest,
    context: us_socket_context_t,
    holder: CorkHolder,
    trustProxy: number,
  ) {
    super(res, req, trustProxy)
    this.#holder = holder
    this.#res = res
    this.#context = context
    res.onAborted(() => {
      this.#res = undefined
      this.#aborted()
    })
  }

  onAborted(run: () => void): void {
    this.#aborted = run
  }

  open(subprotocol: string | undefined, receiver: Receiver): boolean {
    const res = this.#take()
    if (!res) return false
    this.#holder.run(() => {
      res.upgrade<UserData>(
        { receiver },
        this.header('sec-websocket-key'),
        subprotocol ?? '',
        this.header('sec-websocket-extensions'),
        this.#context,
      )
    })
    return true
  }

  refuse(refusal: HttpAnswer): void {
    const res = this.#take()
    if (res) write(res, refusal)
  }

  /** The response, once. */
  #take(): HttpResponse | undefined {
    const res = this.#res
    this.#res = undefined
    return res
  }
}

async function answer(res: HttpResponse, head: CopiedHead, handlers: TransportHandlers): Promise<void> {
  let aborted = false
  res.onAborted(() => {
    aborted = true
  })
  const request: HttpRequest = Object.assign(head, { body: (limit: number) => readBody(res, limit) })
  const given = await handlers.request(request)
  if (!aborted) write(res, given, head.method === 'HEAD')
}

function readBody(res: HttpResponse, limit: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    res.onData((chunk, isLast) => {
      size += chunk.byteLength
      if (size <= limit) chunks.push(Buffer.from(chunk.slice(0)))
      if (isLast) resolve(size <= limit ? Buffer.concat(chunks) : undefined)
    })
  })
}

function write(res: HttpResponse, { status, headers = {}, body }: HttpAnswer, isHead = false): void {
  res.cork(() => {
    res.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`.trim())
    for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value)
    if (isHead) res.writeHeader('Content-Length', `${Buffer.byteLength(body ?? '')}`).endWithoutBody()
    else res.end(body)
  })
}
