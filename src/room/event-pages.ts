/**
 * The past of one room as `event` frames, a page at a time, for those who read along the log.
 *
 * Always true: a page is read and encoded once for all who need it in the same turn of the room, and forgotten when the
 * room moves on or comes to rest; no more than a few are held.
 */
import type { Log, LogRecord, Shown } from '../log/log.ts'
import { encode } from '../protocol.ts'

/** Records of a page: a socket that takes a few at a time costs no more than this many. */
const SIZE = 128
/** Pages that are held. */
const HELD = 8

/** A room's log, as far as it was published. */
export interface Published {
  readonly room: string
  readonly epoch: string
  /** The seq up to which everybody may know. */
  readonly seq: number
}

interface Page {
  /** The seq of the first frame. */
  readonly first: number
  readonly frames: readonly (Buffer | null)[]
}

/** The `event` frame of a record. */
export function eventFrame({ room, epoch }: Published, { seq, event, from, time }: LogRecord): Buffer {
  return Buffer.from(encode({ type: 'event', room, epoch, seq, event, from, time }))
}

export class EventPages {
  readonly #log: Log
  readonly #show: Shown
  readonly #pages = new Map<number, Promise<Page>>()

  /** @param show what of a record may be seen */
  constructor(log: Log, show: Shown = (record) => record) {
    this.#log = log
    this.#show = show
  }

  /** Some frames right behind `after`, one at least; `undefined` where they were trimmed. @throws {DamagedLog} */
  async framesAfter(published: Published, after: number): Promise<readonly (Buffer | null)[] | undefined> {
    const start = after - (after % SIZE)
    const { first, frames } = await this.#page(published, start)
    const wanted = after + 1 < first ? [] : frames.slice(after + 1 - first)
    return wanted.length > 0 ? wanted : undefined
  }

  forget(): void {
    if (this.#pages.size > 0) this.#pages.clear()
  }

  #page(published: Published, start: number): Promise<Page> {
    const known = this.#pages.get(start)
    if (known) return known
    const page = this.#read(published, start)
    for (const oldest of this.#pages.keys()) if (this.#pages.size >= HELD) this.#pages.delete(oldest)
    this.#pages.set(start, page)
    return page
  }

  async #read(published: Published, start: number): Promise<Page> {
    const records = await this.#log.read(published.room, { after: start, limit: SIZE })
    const told = records.filter(({ seq }) => seq > start && seq <= Math.min(published.seq, start + SIZE))
    return { first: told[0]?.seq ?? start + 1, frames: told.map((record) => this.#frame(published, record)) }
  }
  #frame(published: Published, record: LogRecord): Buffer | null {
    const shown = this.#show(record)
    return shown && eventFrame(published, shown)
  }
}
