/**
 * The page's end of the feed: requests with one reply each, and news. It comes back by itself when the server goes away,
 * and says meanwhile that it is lost; where a token is missing it says so and waits for one.
 */
import type { Chart } from '../shapes.ts'
import type { News, Replies, Welcome } from '../told.ts'

export type Line = 'connecting' | 'open' | 'lost' | 'locked'

/** What the feed refused: its code, and why. */
export class Refusal extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

interface Pending {
  resolve(reply: never): void
  reject(error: Error): void
}

type Frame = (Welcome | News | { readonly type: string; readonly code: string; readonly message: string }) & {
  readonly id?: number
}

const SUBPROTOCOL = 'chartroom.inspect.v1'
const FIRST_WAIT = 400
const LONGEST_WAIT = 5000
const PATIENCE = 500
/** Why no one gets in: no token, a token that was refused, or one that lacks the scope. */
export type Lock = 'missing' | 'refused' | 'scope'

/** Closed by these, more tries with the same token are in vain. */
const LOCKED = [1008, 4001, 4003, 4008, 4010]
const NO_SCOPE = { close: 4003, status: 403 }

export class Feed {
  line: Line = 'connecting'
  /** While the line is locked. */
  lock: Lock = 'missing'
  maySend = false
  /** What the server's clock is ahead of this one, in milliseconds. */
  ahead = 0
  onLine: () => void = () => {}
  onNews: (news: News) => void = () => {}
  #socket: WebSocket | undefined
  #token: string | undefined
  #pending = new Map<number, Pending>()
  readonly #charts = new Map<string, { readonly text: string; readonly chart: Chart }>()
  #lastId = 0
  #wait = FIRST_WAIT
  readonly #url: URL

  constructor(url: URL, token?: string) {
    this.#url = url
    this.#token = token
  }

  get token(): string | undefined {
    return this.#token
  }

  now(): number {
    return Date.now() + this.ahead
  }

  connect(token = this.#token): void {
    this.#token = token
    this.#turn('connecting')
    const socket = new WebSocket(this.#url, token ? [SUBPROTOCOL, `bearer.${token}`] : [SUBPROTOCOL])
    this.#socket = socket
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data))
    socket.onclose = ({ code }) => socket === this.#socket && void this.#fall(code)
    socket.onopen = () => setTimeout(() => void this.#doubt(socket), PATIENCE)
  }

  request<T extends keyof Replies>(type: T, fields: object = {}): Promise<Replies[T]> {
    if (this.line !== 'open') return Promise.reject(new Refusal('lost', 'the server is out of reach'))
    this.#lastId += 1
    const id = this.#lastId
    this.#socket?.send(JSON.stringify({ type, id, ...fields }))
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }))
  }

  /** The chart of a machine as it is now: the same object as long as it is the same chart, so that it is placed once. */
  async chart(machine: string): Promise<Chart> {
    const { chart } = await this.request('chart', { machine })
    const text = JSON.stringify(chart)
    const known = this.#charts.get(machine)
    if (known?.text === text) return known.chart
    this.#charts.set(machine, { text, chart })
    return chart
  }

  /** A server that opens the socket and says nothing waits for a token. */
  async #doubt(socket: WebSocket): Promise<void> {
    const isSilent = (): boolean => socket === this.#socket && this.line === 'connecting'
    if (!isSilent() || !(await this.#isLocked()) || !isSilent()) return
    this.#socket = undefined
    socket.close()
    this.#turn('locked')
  }

  #turn(line: Line): void {
    this.line = line
    this.onLine()
  }

  #hear(frame: Frame): void {
    if (frame.type === 'welcome') return this.#enter(frame as Welcome)
    const pending = frame.id === undefined ? undefined : this.#pending.get(frame.id)
    if (!pending) return this.onNews(frame as News)
    this.#pending.delete(frame.id as number)
    if ('code' in frame) pending.reject(new Refusal(frame.code, frame.message))
    else pending.resolve(frame as never)
  }

  #enter({ maySend, time }: Welcome): void {
    this.maySend = maySend
    this.ahead = time - Date.now()
    this.#wait = FIRST_WAIT
    this.#turn('open')
  }

  async #fall(code: number): Promise<void> {
    for (const { reject } of this.#pending.values()) reject(new Refusal('lost', 'the connection was lost'))
    this.#pending.clear()
    const wasIn = this.line === 'open'
    if (LOCKED.includes(code)) this.#lockBy(code === NO_SCOPE.close)
    if (LOCKED.includes(code) || (!wasIn && (await this.#isLocked()))) return this.#turn('locked')
    this.#turn('lost')
    setTimeout(() => this.connect(), this.#wait * (0.75 + Math.random() / 2))
    this.#wait = Math.min(LONGEST_WAIT, this.#wait * 2)
  }

  #lockBy(lacksScope: boolean): void {
    this.lock = lacksScope ? 'scope' : this.#token ? 'refused' : 'missing'
  }

  /** A browser does not tell a page why an upgrade was refused, but the door for files asks for the same token. */
  async #isLocked(): Promise<boolean> {
    const headers: Record<string, string> = this.#token ? { Authorization: `Bearer ${this.#token}` } : {}
    const door = new URL('export/none', this.#url)
    door.protocol = door.protocol.replace('ws', 'http')
    const status = await fetch(door, { headers, method: 'HEAD' }).then(
      ({ status }) => status,
      () => 0,
    )
    this.#lockBy(status === NO_SCOPE.status)
    return status === 401 || status === NO_SCOPE.status
  }
}
