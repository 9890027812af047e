/** One process of members of a room; some of them stop reading. Each patches its state together as any client would. */
import { isDeepStrictEqual } from 'node:util'
import jsonpatch from 'fast-json-patch'
import type { Frame } from '../fixtures/tab.ts'
import { answerRequests, pool } from './clients.ts'
import { Peer } from './peer.ts'

/** Handshakes under way at a time. */
const AT_ONCE = 50

interface Held {
  readonly epoch: string
  readonly seq: number
  readonly state: unknown
}

let latencies: number[] = []

class Watcher {
  readonly rooms = new Map<string, Held>()
  readonly #url: string
  readonly #user: string
  /** The first thing that was wrong. */
  fault: string | undefined
  /** Frames of state since the last `resume`. */
  frames = 0
  peer!: Peer

  constructor(url: string, user: string) {
    this.#url = url
    this.#user = user
  }

  async open(): Promise<void> {
    this.peer = await Peer.open(this.#url, this.#user)
    this.peer.socket.on('message', (bytes) => this.#arrived(JSON.parse(String(bytes))))
  }

  /** Joins, from where it stood if it has been there. */
  async join(room: string): Promise<void> {
    const held = this.rooms.get(room)
    await this.peer.ask({ type: 'join', room, ...(held && { since: { epoch: held.epoch, seq: held.seq } }) })
  }

  #arrived(frame: Frame): void {
    if (frame.id !== undefined || (frame.type !== 'snapshot' && frame.type !== 'patch')) return
    this.frames++
    const { room, epoch, seq } = frame
    const held = this.rooms.get(room)
    if (frame.type === 'snapshot') return void this.rooms.set(room, { epoch, seq, state: frame.state })
    if (frame.base !== held?.seq) this.fault ??= `${this.#user} got a patch from ${frame.base}, it held ${held?.seq}`
    const at = frame.ops.find(({ path }: Frame) => path === '/context/document/at')?.value
    if (at !== undefined) latencies.push(performance.timeOrigin + performance.now() - at)
    this.rooms.set(room, { epoch, seq, state: jsonpatch.applyPatch(held?.state, frame.ops).newDocument })
  }

  /** What is wrong, once it has had the time to read on: it is asked behind all that waited. */
  async judge(): Promise<string | undefined> {
    for (const room of this.rooms.keys()) {
      const got = await this.peer.ask({ type: 'get', room })
      while ((this.rooms.get(room)?.seq ?? 0) < got.seq) await new Promise((resolve) => setTimeout(resolve, 10))
      const held = this.rooms.get(room)
      if (held?.seq !== got.seq || !isDeepStrictEqual(held?.state, got.state))
        this.fault ??= `${this.#user} holds another ${room} at ${held?.seq} than get at ${got.seq}`
    }
    return this.fault
  }
}

let watchers: Watcher[] = []

answerRequests({
  open: async ({ url, users, rooms }: { url: string; users: string[]; rooms: string[] }) => {
    watchers = users.map((user) => new Watcher(url, user))
    await pool(watchers.length, AT_ONCE, async (i) => {
      const watcher = watchers[i] as Watcher
      await watcher.open()
      for (const room of rooms) await watcher.join(room)
    })
  },

  /** The milliseconds from the sending of each event to its patch, since the last time this was asked. */
  measured: () => {
    const measured = latencies
    latencies = []
    return measured
  },

  /** Nothing is read from the sockets, so that the kernel's buffers fill. */
  stall: () => {
    for (const { peer } of watchers) peer.tcp.pause()
  },

  /** The first `count` of those that are open read on. @returns how many frames each needed, and what is wrong. */
  readOn: async ({ count }: { count: number }) => {
    const some = watchers.slice(0, count)
    for (const watcher of some) watcher.frames = 0
    for (const { peer } of some) peer.tcp.resume()
    const faults = await Promise.all(some.map((watcher) => watcher.judge()))
    return { frames: some.map(({ frames }) => frames), faults: faults.filter((fault) => fault !== undefined) }
  },

  /** The others read what waits, and that they were closed; then they come back. */
  comeBack: async ({ after }: { after: number }) => {
    const others = watchers.slice(after)
    for (const { peer } of others) peer.tcp.resume()
    await Promise.all(others.map(({ peer }) => peer.gone))
    const codes = others.map(({ peer }) => peer.closed)
    await pool(others.length, AT_ONCE, async (i) => {
      const watcher = others[i] as Watcher
      await watcher.open()
      for (const room of watcher.rooms.keys()) await watcher.join(room)
    })
    const faults = await Promise.all(others.map((watcher) => watcher.judge()))
    return { codes, faults: faults.filter((fault) => fault !== undefined) }
  },

  judge: async () =>
    (await Promise.all(watchers.map((watcher) => watcher.judge()))).filter((fault) => fault !== undefined),
})
