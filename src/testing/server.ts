/**
 * A real server in the test's own process: real sockets, a real log, on a free port and in a folder of its own.
 *
 * Always true: what was started here is gone after `stop`, the folder too unless it was named; no delay of the server's own
 * (heartbeat, a token's end) comes in the way of a clock that is moved, unless it is asked for.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signToken, type TokenOptions } from '../auth/auth.ts'
import { type Config, completeConfig, type Options } from '../config.ts'
import { type Server, start } from '../server.ts'
import { TICK, Wheel } from '../wheel.ts'
import { Clock } from './clock.ts'
import { freePort } from './free-port.ts'
import { type Address, Tab, type TabOptions } from './tab.ts'

const YEAR = 365 * 24 * 60 * 60

/** The options of a server, and whether it is as strict as in production. */
export type TestOptions = Options & { readonly production?: boolean }

export class TestServer implements Address {
  /** The folder of the log. */
  readonly data: string
  readonly #config: Config & { readonly jwtSecret: string }
  readonly #isOwnFolder: boolean
  #running: { server: Server; clock: Clock } | undefined
  #port: number

  constructor({ production = false, ...options }: TestOptions) {
    this.#isOwnFolder = options.data === undefined
    this.data = options.data ?? mkdtempSync(join(tmpdir(), 'chartroom-test-'))
    const { jwtSecret = randomBytes(32).toString('hex') } = options
    const defaults = { port: 0, logLevel: 'silent', heartbeatInterval: YEAR * 1000 }
    this.#config = { ...completeConfig({ ...defaults, ...options, jwtSecret, data: this.data }, production), jwtSecret }
    this.#port = this.#config.port
  }

  get port(): number {
    return this.#port
  }

  /** Of the WebSocket. */
  get url(): string {
    return `${this.#config.tlsCert ? 'wss' : 'ws'}://127.0.0.1:${this.#port}/ws`
  }

  /** What the rooms take for the time. */
  get clock(): Clock {
    if (!this.#running) throw new Error('the server does not run')
    return this.#running.clock
  }

  async start(): Promise<this> {
    this.#port ||= await freePort()
    const wheel = new Wheel(TICK)
    try {
      const server = await start({ ...this.#config, port: this.#port }, { wheel })
      this.#running = { server, clock: new Clock(wheel, server) }
    } catch (error) {
      wheel.stop()
      throw error
    }
    return this
  }

  /** A token that this server takes, good for a year. @param options `life` in seconds */
  token(user: string, options: TokenOptions = {}): Promise<string> {
    return signToken(this.#config.jwtSecret, user, { life: YEAR, ...options })
  }

  /** A tab of a user, connected and welcome. Over TLS it trusts the server's own certificate, unless it is told of another. */
  tab(user: string, options: TabOptions = {}): Promise<Tab> {
    const { tlsCert } = this.#config
    return Tab.open(this, user, { ...(tlsCert && { ca: readFileSync(tlsCert, 'utf8') }), ...options })
  }

  /** Ends the server and starts it again, on the same log and port. Tabs are closed with 1001. */
  async restart(): Promise<void> {
    await this.#end()
    await this.start()
  }

  async stop(): Promise<void> {
    await this.#end()
    if (this.#isOwnFolder) rmSync(this.data, { recursive: true, force: true })
  }

  async #end(): Promise<void> {
    await this.#running?.server.stop()
    this.#running?.clock.release()
    this.#running = undefined
  }
}

/**
 * Starts a server for a test.
 * @param options as in a config file; `machines` is ./machines/rooms, the log is in a temporary folder, nothing is logged.
 * @throws with one line for each mistake in a machine file or an option.
 */
export function startServer(options: TestOptions = {}): Promise<TestServer> {
  return new TestServer(options).start()
}
