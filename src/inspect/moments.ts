/**
 * A room at any moment of its past, from the log alone: the nearest state that is known at or before it, and the ops of
 * the records behind that.
 *
 * Always true: no room is activated and no code of a machine is run, so those that sleep, and those that failed, can be
 * looked at; every record that is held has its state, since a keyframe stands where the log begins (docs/decisions/0015);
 * what was trimmed away cannot be rebuilt, and is never guessed.
 */
import { setImmediate } from 'node:timers/promises'
import type { Log, LogRecord, LogSnapshot } from '../log/log.ts'
import type { RoomDocument } from '../machine/document.ts'
import { applyPatch } from '../patch.ts'
import { oldestOf } from '../room/recovery.ts'

export interface Moment {
  readonly seq: number
  readonly document: RoomDocument
}

/** What the log holds of a room. */
export interface Extent {
  readonly epoch: string
  /** The earliest record that is held, the earliest whose state can be shown, and the latest; 0 while it is unborn. */
  readonly held: number
  readonly first: number
  readonly last: number
}

/** A record, with the room before and after it where those are known. */
export interface Passage {
  readonly record: LogRecord
  readonly before: RoomDocument | undefined
  readonly after: RoomDocument | undefined
}

/** Records that are read at once, and bytes of them, about. */
const PAGE = 500
const PAGE_BYTES = 256 * 1024
/** States that are remembered, of all rooms together: a slider moves to and fro. */
const REMEMBERED = 64

export class Moments {
  readonly #log: Log
  readonly #remembered: (Moment & { readonly room: string; readonly epoch: string })[] = []

  constructor(log: Log) {
    this.#log = log
  }

  /** @throws {DamagedLog} */
  async extentOf(room: string): Promise<Extent> {
    const epoch = await this.#log.epoch(room)
    const last = await this.#log.last(room)
    const [head] = await this.#log.read(room, { after: 0, limit: 1 })
    const held = head?.seq ?? last
    return { epoch, held, first: await this.#firstKnown(room, held), last }
  }

  /** Later than what is held where the log was trimmed before there were keyframes. */
  async #firstKnown(room: string, held: number): Promise<number> {
    if (held <= 1) return held
    const [oldest = (await this.#log.getSnapshot(room))?.seq ?? held] = await this.#log.keyframes(room)
    return Math.max(held, oldest)
  }

  /** The state behind which everything is known; `undefined` where that is the birth. @throws {DamagedLog} */
  async oldest(room: string): Promise<Moment | undefined> {
    const { seq, document } = await oldestOf(this.#log, room)
    return document && { seq, document }
  }

  /** The room right after the record `seq`; `undefined` where that cannot be rebuilt. @throws {DamagedLog} */
  async at(room: string, seq: number): Promise<Moment | undefined> {
    const start = await this.#nearest(room, seq)
    if (!start) return undefined
    if (start.seq === seq && start.document) return { seq, document: start.document }
    for await (const { record, after } of this.passages(room, start.seq, seq, start.document)) {
      if (record.seq === seq && after) return { seq, document: after }
    }
    return undefined
  }

  /** The record of a seq, where it is held. */
  async recordOf(room: string, seq: number): Promise<LogRecord | undefined> {
    const [record] = seq > 0 ? await this.#log.read(room, { after: seq - 1, limit: 1 }) : []
    return record?.seq === seq ? record : undefined
  }

  /**
   * The records from `after` to `upTo`, as far as they are held; the rest of the server has its turn between pages.
   * @param start the room at `after`, where it is known
   */
  async *passages(room: string, after: number, upTo: number, start?: RoomDocument): AsyncGenerator<Passage> {
    const epoch = await this.#log.epoch(room)
    let document = start
    let stored: Moment | undefined
    for (let place = after; place < upTo; ) {
      const page = await this.#log.read(room, { after: place, limit: Math.min(PAGE, upTo - place), bytes: PAGE_BYTES })
      const first = page[0]?.seq
      if (first === undefined) return
      if (first !== place + 1) document = undefined
      if (!document && first > 1) stored ??= await this.oldest(room)
      for (const record of page) {
        const before = document ?? stateAt(stored, record.seq - 1)
        document = before || record.seq === 1 ? applied(before, record) : stateAt(stored, record.seq)
        yield { record, before, after: document }
        place = record.seq
      }
      if (document) this.#remember({ room, epoch, seq: place, document })
      await setImmediate()
    }
  }

  /** The nearest state that is known at or before a seq; before its birth a room has none. */
  async #nearest(room: string, seq: number): Promise<{ seq: number; document: RoomDocument | undefined } | undefined> {
    const epoch = await this.#log.epoch(room)
    const known = this.#remembered.filter((each) => each.room === room && each.epoch === epoch && each.seq <= seq)
    const stored = await this.#log.getSnapshot(room, seq)
    if (stored) known.push({ ...momentOf(stored), room, epoch })
    const nearest = known.sort((a, b) => b.seq - a.seq)[0]
    if (nearest) return nearest
    const [head] = await this.#log.read(room, { after: 0, limit: 1 })
    return head?.seq === 1 ? { seq: 0, document: undefined } : undefined
  }

  #remember(moment: Moment & { room: string; epoch: string }): void {
    const { room, epoch, seq } = moment
    if (this.#remembered.some((each) => each.room === room && each.epoch === epoch && each.seq === seq)) return
    this.#remembered.push(moment)
    if (this.#remembered.length > REMEMBERED) this.#remembered.shift()
  }
}

const momentOf = ({ seq, state }: LogSnapshot): Moment => ({
  seq,
  document: (state as { document: RoomDocument }).document,
})

const stateAt = (moment: Moment | undefined, seq: number): RoomDocument | undefined =>
  moment?.seq === seq ? moment.document : undefined

const applied = (before: RoomDocument | undefined, { ops }: LogRecord): RoomDocument =>
  applyPatch(before as RoomDocument, ops)
