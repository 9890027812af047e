/**
 * Twenty connections write to fifty rooms (and fifty inboxes, where the server has them) while it is killed with
 * SIGKILL again and again, at moments that a seed decides: in full flight, while clients come back, while it starts.
 * What was asked, told and stored is a history, and `check` judges it.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { LogRecord } from '../../src/log/log.ts'
import { openLmdbLog } from '../../src/log/log-lmdb.ts'
import { Dice } from '../fixtures/dice.ts'
import { ServerProcess, tokenFor } from '../fixtures/server.ts'
import type { Frame } from '../fixtures/tab.ts'
import { check } from './history.ts'
import { Ledger } from './ledger.ts'
import type { Place } from './observation.ts'
import { Owner } from './owner.ts'
import { Asker } from './returning.ts'
import type { Outcome, Progress, Torture } from './torture.ts'
import { Writer } from './writer.ts'

const CONNECTIONS = 20
const PLACES = 50
/** Rooms that a connection has joined. */
const ROOMS_EACH = 10
/** Acknowledgements between two kills, on average. */
const ACKS = 500
const SEED = 20_261_124
/** Milliseconds in which a server starts, roughly: every tenth kill falls into them. */
const STARTING = 600

const count = (length: number): number[] => Array.from({ length }, (_, i) => i)
const ROOMS = count(PLACES).map((i) => `journal/r${i}`)
const USERS = count(PLACES).map((i) => `owner${i}`)

export const torture: Torture = {
  size: 200,
  unit: 'kills',
  async run(kills, progress) {
    // Messages come again by reconnecting and by `nack`, never because a slow machine let `ackTimeout` go by.
    const env = { CHARTROOM_MACHINES: 'test/fixtures/machines', CHARTROOM_ACK_TIMEOUT: '600000' }
    const server = new ServerProcess({ env })
    try {
      return await new Run(await server.start()).go(kills, progress)
    } finally {
      await server.dispose()
    }
  },
}

/** Milliseconds from a kill to the next welcome, and to where the process was gone. */
interface Outage {
  readonly gone: number
  readonly served: number
}

class Run {
  readonly #server: ServerProcess
  readonly #ledger = new Ledger()
  readonly #dice = new Dice(SEED)
  readonly #outages: Outage[] = []
  #asker!: Asker
  #writers: Writer[] = []
  #owners: Owner[] = []
  #whileStarting = 0
  #stored = 0
  #hasHistory = false

  constructor(server: ServerProcess) {
    this.#server = server
  }

  async go(kills: number, progress: Progress): Promise<Outcome> {
    await this.#hire()
    const began = performance.now()
    for (const i of count(kills)) {
      await this.#life(this.#dice.below(2 * ACKS))
      await this.#kill(i % 10 === 9)
      progress(i + 1, kills)
    }
    await this.#life(Math.max(0, kills * ACKS - this.#ledger.acknowledged))
    const seconds = (performance.now() - began) / 1000
    await this.#finish()
    await this.#readBack()
    return { figures: this.#figures(kills, seconds), violations: this.#violations() }
  }

  /** Makes the clients and lets them begin. */
  async #hire(): Promise<void> {
    const { url } = this.#server
    this.#asker = new Asker('asker', url, await tokenFor('asker'), this.#ledger)
    await this.#asker.connect()
    const hasInbox = await this.#understands({ type: 'ack', seq: [] })
    const rooms = ROOMS.map((room): Place => `room ${room}`)
    const places = hasInbox ? [...rooms, ...USERS.map((user): Place => `inbox ${user}`)] : rooms
    this.#writers = await Promise.all(
      count(CONNECTIONS).map(async (i) => {
        const joined = count(ROOMS_EACH).map((k) => ROOMS[(i * ROOMS_EACH + k) % PLACES] as string)
        const duties = { places, rooms: joined, dice: new Dice(SEED + i + 1) }
        return new Writer(duties, `w${i}`, url, await tokenFor(`w${i}`), this.#ledger)
      }),
    )
    const owners = hasInbox ? USERS : []
    this.#owners = await Promise.all(
      owners.map(async (user, i) => new Owner(new Dice(SEED - i), user, url, await tokenFor(user), this.#ledger)),
    )
    await this.#connect()
  }

  /** Whether this server knows a frame type. */
  async #understands(frame: Frame): Promise<boolean> {
    const { code } = await this.#asker.ask(frame)
    return code !== 'unknown_type'
  }

  get #clients(): (Writer | Owner)[] {
    return [...this.#writers, ...this.#owners]
  }

  async #connect(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.ended()))
    this.#ledger.isServing = true
    await Promise.all(this.#clients.map((client) => client.connect()))
  }

  /** Lets the clients write until so many more acknowledgements are there. */
  async #life(acks: number): Promise<void> {
    const target = this.#ledger.acknowledged + acks
    await this.#ledger.until(`${target} acknowledgements`, () => this.#ledger.acknowledged >= target)
    await pause(this.#dice.below(20))
  }

  async #kill(isTwice: boolean): Promise<void> {
    this.#ledger.isServing = false
    const began = performance.now()
    await this.#server.end('SIGKILL')
    const gone = performance.now() - began
    this.#ledger.note({ type: 'restarted' })
    if (isTwice) await this.#killWhileStarting()
    const served = await this.#serveAgain(isTwice ? performance.now() : began)
    if (!isTwice) this.#outages.push({ gone, served })
    await this.#connect()
  }

  async #killWhileStarting(): Promise<void> {
    const starting = Promise.allSettled([this.#server.start()])
    await pause(this.#dice.below(STARTING))
    await this.#server.end('SIGKILL')
    await starting
    this.#whileStarting++
    this.#ledger.note({ type: 'restarted' })
  }

  /** @returns milliseconds from `since` to the first welcome. */
  async #serveAgain(since: number): Promise<number> {
    this.#server.stdout = ''
    const [served] = await Promise.all([this.#welcome(), this.#server.start()])
    return served - since
  }

  async #welcome(): Promise<number> {
    await this.#asker.connect()
    return performance.now()
  }

  /** Everybody has every answer, and has read everything. */
  async #finish(): Promise<void> {
    for (const writer of this.#writers) writer.isWriting = false
    await this.#ledger.until('the last answers', () => this.#writers.every(({ unanswered }) => unanswered === 0))
    await Promise.all(
      this.#writers.flatMap((writer) =>
        writer.rooms.map(async (room) => {
          const { seq } = await writer.ask({ type: 'get', room })
          await this.#ledger.until(`${writer.user} to read ${room} up to ${seq}`, () => writer.seq(room) >= seq)
          await writer.compare(room)
        }),
      ),
    )
    await this.#clear()
  }

  /** Every owner takes what is left, and then finds nothing more, however often it comes back. */
  async #clear(): Promise<void> {
    for (const _ of count(2)) {
      for (const owner of this.#owners) {
        owner.isClearing = true
        owner.close()
      }
      await Promise.all(this.#owners.map((owner) => owner.connect()))
      await Promise.all(this.#owners.map((owner) => owner.cleared()))
    }
    for (const { user } of this.#owners) this.#ledger.note({ type: 'read back', place: `inbox ${user}`, records: [] })
  }

  /** Reads the rooms through the server, where it has `history`, and from the log in the folder, once it is gone. */
  async #readBack(): Promise<void> {
    this.#hasHistory = await this.#understands({ type: 'history', room: ROOMS[0] })
    if (this.#hasHistory) for (const room of ROOMS) this.#noteRecords(room, await this.#historyOf(room))
    this.#ledger.isServing = false
    const code = await this.#server.end('SIGTERM')
    if (code !== 0) this.#ledger.surprises.push(`the server ended with ${code} on SIGTERM`)
    const log = openLmdbLog(this.#server.data)
    for (const room of ROOMS)
      this.#noteRecords(room, await log.read(room, { after: 0, limit: Number.MAX_SAFE_INTEGER }))
    await log.close()
  }

  async #historyOf(room: string): Promise<LogRecord[]> {
    const records: LogRecord[] = []
    for (;;) {
      const { events, more } = await this.#asker.ask({ type: 'history', room, since: records.length, limit: 1000 })
      records.push(...events)
      if (!more) return records
    }
  }

  #noteRecords(room: string, records: readonly Pick<LogRecord, 'seq' | 'event' | 'from'>[]): void {
    const stored = records.map(({ seq, event, from }) =>
      event.type === 'write' ? { seq, id: String(event.id), from: String(from) } : { seq },
    )
    this.#stored += stored.length
    this.#ledger.note({ type: 'read back', place: `room ${room}`, records: stored })
  }

  #figures(kills: number, seconds: number): Outcome['figures'] {
    const { acknowledged, dups, history } = this.#ledger
    const kinds = (type: string): number => history.filter((seen) => seen.type === type).length
    const gone = this.#outages.map((outage) => outage.gone)
    const served = this.#outages.map((outage) => outage.served)
    return {
      'kills in flight, while starting': `${kills}, ${this.#whileStarting}`,
      acknowledgements: acknowledged,
      'of them dup, to what was asked again': dups,
      'acknowledgements a second, outages included': Math.round(acknowledged / seconds),
      'records read back': `${this.#stored} from ${this.#hasHistory ? 'the log and history' : 'the log (no history yet)'}`,
      'records delivered to readers': kinds('delivered'),
      'messages delivered to inboxes': this.#owners.length > 0 ? kinds('message') : 'none: the server has no inbox yet',
      'kill to serving again, ms: p50, p99, max': `${at(served, 0.5)}, ${at(served, 0.99)}, ${at(served, 1)}`,
      'of that until the process is gone: p50, p99': `${at(gone, 0.5)}, ${at(gone, 0.99)}`,
    }
  }

  #violations(): string[] {
    const { history, surprises } = this.#ledger
    const errors = this.#server.stderr.split('\n').filter((line) => /"level":(50|60)/.test(line))
    return [...check(history), ...surprises, ...errors.map((line) => `the server logged ${line}`)]
  }
}

/** The value under which a part of `values` lies. */
function at(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return Math.round(sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN)
}
