/**
 * The port, on which one uWebSockets.js app listens after another: a renewed certificate is a new app
 * (docs/decisions/0014). The only importer of uWebSockets.js.
 *
 * Always true: it listens alone, a second server on the port is refused; the newest app takes whoever comes, the others
 * keep those who came to them.
 */
import type { TemplatedApp, us_listen_socket } from 'uWebSockets.js'
import type { TransportOptions } from './transport.ts'

export type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_socket_context_t,
  WebSocket,
  WebSocketBehavior,
} from 'uWebSockets.js'

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
type Furnish = (app: TemplatedApp) => void

export class Port {
  readonly number: number
  readonly #uws: Uws
  readonly #options: TransportOptions
  readonly #furnish: Furnish
  readonly #apps: TemplatedApp[]
  #listening: us_listen_socket | undefined

  /**
   * @param furnish gives each app its routes
   * @throws when the port is taken, the certificate cannot be used, or uWebSockets.js does not load.
   */
  static async open(options: TransportOptions, furnish: Furnish): Promise<Port> {
    const uws = await loadUws(options.maxHeader)
    const app = createApp(uws, options)
    furnish(app)
    return new Port(uws, options, furnish, app, await listenAlone(uws, app, options))
  }

  private constructor(
    uws: Uws,
    options: TransportOptions,
    furnish: Furnish,
    app: TemplatedApp,
    listening: us_listen_socket,
  ) {
    this.number = uws.us_socket_local_port(listening)
    this.#uws = uws
    this.#options = options
    this.#furnish = furnish
    this.#apps = [app]
    this.#listening = listening
  }

  /** An app keeps the certificate that it began with, so a new one takes over the port, in one turn of the event loop. */
  async renewCertificate(): Promise<void> {
    if (!this.#listening) return
    const app = createApp(this.#uws, this.#options)
    this.#furnish(app)
    this.stopListening()
    this.#listening = await listenAlone(this.#uws, app, { ...this.#options, port: this.number })
    this.#apps.push(app)
  }

  stopListening(): void {
    if (this.#listening) this.#uws.us_listen_socket_close(this.#listening)
    this.#listening = undefined
  }

  close(): void {
    this.#listening = undefined
    for (const app of this.#apps) app.close()
  }
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

/** The exclusive listen is missing from the package's types; without it a second server would share the port. */
interface ExclusiveListen {
  listen(host: string, port: number, options: number, done: (socket: us_listen_socket | false) => void): void
}

function listenAlone(uws: Uws, app: TemplatedApp, { host, port }: TransportOptions): Promise<us_listen_socket> {
  const { LIBUS_LISTEN_EXCLUSIVE_PORT } = uws as unknown as { LIBUS_LISTEN_EXCLUSIVE_PORT: number }
  return new Promise((resolve, reject) => {
    const taken = `port ${port} of ${host} is taken, or not ours to use; choose another with --port`
    ;(app as unknown as ExclusiveListen).listen(host, port, LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
      if (socket) resolve(socket)
      else reject(new Error(taken))
    })
  })
}
