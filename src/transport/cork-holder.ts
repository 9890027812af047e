/**
 * A request of the server to itself that is never answered, whose response can hold the cork while another request is
 * upgraded (docs/decisions/0004). uWebSockets.js looks, after a callback, at the response that was corked: at one that
 * has become a WebSocket meanwhile it reads what is left in memory, and now and then ends it.
 *
 * Always true: what is run under this cork is written at once, in order; without the request it runs all the same.
 */
import { randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'

/** The part of a uWebSockets.js response that is used here. */
interface Corkable {
  cork(run: () => void): unknown
  onAborted(run: () => void): unknown
}

/** The part of a uWebSockets.js app that is used here. */
interface Routes {
  get(path: string, answer: (res: Corkable) => void): unknown
}

export class CorkHolder {
  readonly #path = `/${randomUUID()}`
  #res: Corkable | undefined
  #held = (): void => {}
  #socket: Socket | undefined

  /** Waits for the request to itself in an app. */
  waitIn(app: Routes): void {
    app.get(this.#path, (res) => {
      res.onAborted(() => {
        this.#res = undefined
      })
      this.#res = res
      this.#held()
    })
  }

  /**
   * The certificate is not looked at: it names the server as others know it, not the address at which it reaches itself.
   * @throws when the server cannot be reached at the address that it listens on.
   */
  async begin(host: string, port: number, isSecure: boolean): Promise<void> {
    const held = new Promise<void>((resolve, reject) => {
      this.#held = resolve
      const address = ANYWHERE[host] ?? host
      const ask = (): void => {
        this.#socket?.unref().write(`GET ${this.#path} HTTP/1.1\r\nHost: ${address}\r\n\r\n`)
      }
      const at = { host: address, port }
      this.#socket = isSecure ? connectSecurely({ ...at, rejectUnauthorized: false }, ask) : connect(at, ask)
      this.#socket.once('error', reject)
    })
    await held
  }

  /** Runs `upgrade` under the cork of the request that is held. */
  run(upgrade: () => void): void {
    if (this.#res) this.#res.cork(upgrade)
    else upgrade()
  }

  end(): void {
    this.#socket?.destroy()
  }
}

/** Where a server that listens everywhere can be reached from itself. */
const ANYWHERE: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
