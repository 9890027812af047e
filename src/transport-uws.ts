/**
 * The transport on uWebSockets.js, and its only importer.
 *
 * Always true: an answer is written corked; an upgrade happens while another response holds the cork, since the one
 * that is upgraded must not (docs/decisions/0004). A closed uWS socket throws on every call: here it does nothing.
 */

import type {
  HttpResponse,
  TemplatedApp,
  HttpRequest as UwsRequest,
  us_listen_socket,
  us_socket_context_t,
  WebSocket,
  WebSocketBehavior,
} from 'uWebSockets.js'
import { STATUS_CODES } from 'node:http'
import { CorkHolder } from './cork-holder.ts'
import { clientAddress } from './forwarded.ts'
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

const ADVICE = `uWebSockets.js did not load. Its binaries need Linux, macOS or Windows on x64 or arm64, and a glibc that fits:
2.27 for Node 20, 2.38 (Debian 13, Ubuntu 24.04) for Node 22 and later.
To install it from the project itself: npm install uNetworking/uWebSockets.js#v20.52.0`

/** uWebSockets.js reads `maxHeader` when it loads: in one process the first server's counts. */
const loadUws = async (maxHeader: number) => {
  process.env.UWS_HTTP_MAX_HEADERS_SIZE = `${maxHeader}`
  try {
    return (await import('uWebSockets.js')).default
  } catch (error) {
    throw new Error(`${ADVICE}\n(${(error as Error).message.split('\n')[0]})`)
  }
}

type Uws = Awaited<ReturnType<typeof loadUws>>

interface UserData {
  receiver: Receiver
  socket?: UwsSocket
}

/**
 * Listens on one port, alone: a second server on it is refused.
 * @throws when the port is taken or uWebSockets.js does not load.
 */
export async function listen(options: TransportOptions, handlers: TransportHandlers): Promise<Transport> {
  const uws = await loadUws(options.maxHeader)
  const app = createApp(uws, options)
  const holder = new CorkHolder(app)
  const furnish = (app: TemplatedApp): TemplatedApp => addRoutes(app, options, handlers, holder)
  const listening = await bind(uws, furnish(app), options)
  await holder.begin(options.host, uws.us_socket_local_port(listening), options.certificate !== undefined)
  return new UwsTransport({ uws, app, options, holder, furnish, listening })
}

const WHAT_TLS_NEEDS = 'each certificate of its chain must be whole, its key RSA, P-256, P-384 or Ed25519'

/** Files that were looked at before are refused here only for the rest of their chain, or a curve that BoringSSL does not know. */
function createApp(uws: Uws, { certificate }: TransportOptions): TemplatedApp {
  if (!certificate) return uws.App()
  try {
    return uws.SSLApp({ cert_file_name: certificate.cert, key_file_name: certificate.key })
  } catch {
    throw new Error(`tlsCert: TLS cannot be spoken with ${certificate.cert}: ${WHAT_TLS_NEEDS}`)
  }
}

function addRoutes(
  app: TemplatedApp,
  options: TransportOptions,
  handlers: TransportHandlers,
  holder: CorkHolder,
): TemplatedApp {
  for (const [path, accept] of Object.entries(handlers.upgrades)) app.ws(path, behaviour(options, accept, holder))
  return app.any('/*', (res, req) => void answer(res, new CopiedHead(res, req, options.trustProxy), handlers))
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

/** The exclusive listen is missing from the package's types; without it a second server would share the port. */
interface ExclusiveListen {
  listen(host: string, port: number, options: number, done: (socket: us_listen_socket | false) => void): void
}

const drained = (receiver: Receiver): void => receiver.drained()

function bind(uws: Uws, app: TemplatedApp, { host, port }: TransportOptions): Promise<us_listen_socket> {
  const { LIBUS_LISTEN_EXCLUSIVE_PORT } = uws as unknown as { LIBUS_LISTEN_EXCLUSIVE_PORT: number }
  return new Promise((resolve, reject) => {
    const taken = `port ${port} of ${host} is taken, or not ours to use; choose another with --port`
    ;(app as unknown as ExclusiveListen).listen(host, port, LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
      if (socket) resolve(socket)
      else reject(new Error(taken))
    })
  })
}

interface Premises {
  readonly uws: Uws
  readonly app: TemplatedApp
  readonly options: TransportOptions
  readonly holder: CorkHolder
  readonly furnish: (app: TemplatedApp) => TemplatedApp
  readonly listening: us_listen_socket
}

class UwsTransport implements Transport {
  readonly port: number
  readonly #premises: Premises
  /** The newest takes whoever comes; the others keep those who came to them. */
  readonly #apps: TemplatedApp[]
  #listening: us_listen_socket | undefined

  constructor(premises: Premises) {
    this.#premises = premises
    this.#apps = [premises.app]
    this.#listening = premises.listening
    this.port = premises.uws.us_socket_local_port(premises.listening)
  }

  /** An app keeps the certificate that it began with, so a new one takes over the port, in one turn of the event loop. */
  async renewCertificate(): Promise<void> {
    const { uws, options, furnish } = this.#premises
    if (!this.#listening) return
    const app = furnish(createApp(uws, options))
    this.stopListening()
    this.#listening = await bind(uws, app, { ...options, port: this.port })
    this.#apps.push(app)
  }

  stopListening(): void {
    if (this.#listening) this.#premises.uws.us_listen_socket_close(this.#listening)
    this.#listening = undefined
  }

  close(): void {
    this.#listening = undefined
    this.#premises.holder.end()
    for (const app of this.#apps) app.close()
  }
}

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
