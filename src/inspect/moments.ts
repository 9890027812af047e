/**
 * A room at any moment of its past, from the log alone: the nearest state that is known at or before it, and the ops of
 * the records behind that.
 *
 * Always true: no room is activated and no code of a machine is run, so those that sleep, and those that failed, can be
 * looked at; what was trimmed away cannot be rebuilt, and is never guessed.
 */
import { setImmediate } from 'node:timers/promises'
import type { RoomDocument } from '../document.ts'
import type { Log, LogRecord } from '../log.ts'
import { applyPatch } from '../patch.ts'

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

const PAGE = 500
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
    const first = held === 1 ? 1 : ((await this.#stored(room))?.seq ?? held)
    return { epoch, held, first, last }
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
    const stored = await this.#stored(room)
    const epoch = await this.#log.epoch(room)
    let document = start
    let isKnown = start !== undefined || after === 0
    for (let place = after; place < upTo; ) {
      const page = await this.#log.read(room, { after: place, limit: Math.min(PAGE, upTo - place) })
      if (page.length === 0) return
      if (page[0]?.seq !== place + 1) isKnown = false
      for (const record of page) {
        const before = isKnown ? document : undefined
        if (isKnown) document = applyPatch(document as RoomDocument, record.ops)
        else if (record.seq === stored?.seq) [document, isKnown] = [stored.document, true]
        yield { record, before, after: isKnown ? document : undefined }
        place = record.seq
      }
      if (isKnown && document) this.#remember({ room, epoch, seq: place, document })
      await setImmediate()
    }
  }

  /** The nearest state that is known at or before a seq; before its birth a room has none. */
  async #nearest(room: string, seq: number): Promise<{ seq: number; document: RoomDocument | undefined } | undefined> {
    const epoch = await this.#log.epoch(room)
    const known = this.#remembered.filter((each) => each.room === room && each.epoch === epoch && each.seq <= seq)
    const stored = await this.#stored(room)
    if (stored && stored.seq <= seq) known.push({ ...stored, room, epoch })
    const nearest = known.sort((a, b) => b.seq - a.seq)[0]
    if (nearest) return nearest
    const [head] = await this.#log.read(room, { after: 0, limit: 1 })
    return head?.seq === 1 ? { seq: 0, document: undefined } : undefined
  }

  /** The newest state that the log has stored as a whole. */
  async #stored(room: string): Promise<Moment | undefined> {
    const snapshot = await this.#log.getSnapshot(room)
    return snapshot && { seq: snapshot.seq, document: (snapshot.state as { document: RoomDocument }).document }
  }

  #remember(moment: Moment & { room: string; epoch: string }): void {
    const { room, epoch, seq } = moment
    if (this.#remembered.some((each) => each.room === room && each.epoch === epoch && each.seq === seq)) return
    this.#remembered.push(moment)
    if (this.#remembered.length > REMEMBERED) this.#remembered.shift()
  }
}
