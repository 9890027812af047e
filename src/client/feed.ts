/**
 * The records of one room, told to those who listen: each once, in order, across connections.
 *
 * Always true: what was told is everything up to `seq`. Where the server goes on from further ahead (a resume that was
 * answered with a snapshot), what lies between is fetched from the history first, and what comes meanwhile waits. What
 * is not there any more is told as a gap, never passed over.
 */
import type { ServerFrames } from '../protocol.ts'
import type { Line } from './line.ts'
import { ChartroomError } from './refusal.ts'

export type RoomRecord = ServerFrames['event']

/** Records behind `after` and up to `upTo` that cannot be told any more. */
export interface Gap {
  readonly after: number
  readonly upTo: number
}

/** Records of one page of history. */
const PAGE = 1000

export class Feed {
  readonly #tell: (record: RoomRecord) => void
  readonly #tellGap: (gap: Gap) => void
  readonly #waiting: RoomRecord[] = []
  #epoch: string | undefined
  #seq = 0
  /** Where the fetching ends; `undefined` while nothing is fetched. */
  #upTo: number | undefined

  constructor(tell: (record: RoomRecord) => void, tellGap: (gap: Gap) => void) {
    this.#tell = tell
    this.#tellGap = tellGap
  }

  /** Those who listen know the state at `seq`: what is told begins behind it, unless something was told already. */
  stand(epoch: string, seq: number): void {
    if (this.#epoch !== undefined) return
    this.#epoch = epoch
    this.#seq = seq
  }

  /** From now on the records behind `after` come by themselves. */
  begin(line: Line, room: string, epoch: string, after: number): void {
    this.stand(epoch, after)
    if (this.#epoch !== epoch) this.#beginLife(epoch, after)
    const isFetching = this.#upTo !== undefined
    if (this.#seq >= after) return
    this.#upTo = after
    if (!isFetching) this.#fetch(line, room)
  }

  /** The connection is gone: what waits will come again. */
  lost(): void {
    this.#upTo = undefined
    this.#waiting.length = 0
  }

  heard(record: RoomRecord): void {
    if (this.#upTo !== undefined) this.#waiting.push(record)
    else if (record.seq > this.#seq) {
      this.#seq = record.seq
      this.#tell(record)
    }
  }

  /** The log was lost, reset or restored: what was told is of another one. */
  #beginLife(epoch: string, after: number): void {
    this.#epoch = epoch
    this.#seq = after
    this.#tellGap({ after: 0, upTo: after })
  }

  #fetch(line: Line, room: string): void {
    line.ask({ type: 'history', room, since: this.#seq, limit: PAGE }, (reply) => {
      if (reply?.type === 'history') this.#fetched(line, room, reply)
      else if (reply?.type === 'error') this.#refused(line, ChartroomError.of({ ...reply }))
    })
  }

  #fetched(line: Line, room: string, { events, more, first, epoch }: ServerFrames['history']): void {
    const upTo = this.#upTo ?? 0
    if (first !== undefined) this.#skip(Math.min(first - 1, upTo))
    for (const record of events.filter(({ seq }) => seq > this.#seq && seq <= upTo)) {
      this.#seq = record.seq
      this.#tell({ type: 'event', room, epoch, ...record })
    }
    // A page of which nothing may be seen leads one record further.
    if (events.length === 0) this.#seq++
    if (more && this.#seq < upTo) this.#fetch(line, room)
    else this.#fetchedAll(upTo)
  }

  /** Where asking again can help, the next connection does; else what lies between cannot be told. */
  #refused(line: Line, error: ChartroomError): void {
    if (error.retry) return line.drop({ code: 1006, error })
    const upTo = this.#upTo ?? 0
    this.#skip(upTo)
    this.#fetchedAll(upTo)
  }

  #skip(upTo: number): void {
    if (upTo <= this.#seq) return
    this.#tellGap({ after: this.#seq, upTo })
    this.#seq = upTo
  }

  #fetchedAll(upTo: number): void {
    this.#seq = Math.max(this.#seq, upTo)
    this.#upTo = undefined
    for (const record of this.#waiting.splice(0)) this.heard(record)
  }
}
