/**
 * What can be seen of a room, without being in it: no presence, no `room.joined`, and nothing is activated.
 *
 * Always true: what is shown is durable; what the machine's `policy.redact` names is hidden in all of it. A `view` does not
 * count here: who may inspect sees what rooms hold.
 */

import { type Failure, failure, isFailure } from '../errors.ts'
import { DamagedLog, type LogRecord } from '../log/log.ts'
import type { RoomDocument } from '../machine/document.ts'
import { applyPatch } from '../patch.ts'
import type { Rooms } from '../room/rooms.ts'
import type { ChartIndex } from './configuration.ts'
import type { Lookout } from './lookout.ts'
import type { Extent, Moment, Moments, Passage } from './moments.ts'
import type { Redactor } from './redact.ts'
import { Page, type Sight } from './sight.ts'
import { taken } from './taken.ts'
import type { History, State, Step, Timer } from './told.ts'

/** What a room is looked at with; a machine whose file is gone has no chart. */
export interface Lens {
  readonly machine: string
  readonly index: ChartIndex | undefined
  readonly redactor: Redactor
}

export interface RoomSurroundings {
  readonly rooms: Rooms
  readonly moments: Moments
  readonly lookout: Lookout
}

export class RoomSight implements Sight {
  readonly #room: string
  readonly #lensNow: () => Lens
  readonly #around: RoomSurroundings
  /** When what was shown last was, which the first step behind it follows. */
  #shownAt: number | undefined

  /** @param lensNow of the machine as it is now: it may become another while somebody looks */
  constructor(room: string, lensNow: () => Lens, around: RoomSurroundings) {
    this.#room = room
    this.#lensNow = lensNow
    this.#around = around
  }

  get #lens(): Lens {
    return this.#lensNow()
  }

  now(): Promise<State | Failure> {
    return this.#guarded(async () => {
      const extent = await this.#extent()
      if (isFailure(extent)) return extent
      const { seq, document } = this.#around.rooms.resident(this.#room)?.place ?? {}
      const moment = seq && document ? { seq, document } : await this.#around.moments.at(this.#room, extent.last)
      if (!moment) return this.#unknown(extent.last, extent)
      const failed = this.#around.rooms.failures.get(this.#room)
      const state = await this.#state(moment, extent)
      this.#shownAt = state.time || undefined
      return { ...state, ...(failed !== undefined && { failed }) }
    })
  }

  moment(seq: number): Promise<State | Failure> {
    return this.#guarded(async () => {
      const extent = await this.#extent()
      if (isFailure(extent)) return extent
      const moment =
        seq >= extent.first && seq <= extent.last ? await this.#around.moments.at(this.#room, seq) : undefined
      return moment ? this.#state(moment, extent) : this.#unknown(seq, extent)
    })
  }

  history({ since, limit }: { since: number; limit: number }): Promise<History | Failure> {
    return this.#guarded(async () => {
      const extent = await this.#extent()
      if (isFailure(extent)) return extent
      const { held, last } = extent
      const start = Math.min(Math.max(since, held - 1), last)
      const { moments } = this.#around
      const from = start > 0 ? await moments.at(this.#room, start) : undefined
      const page = new Page(limit)
      let time = (await moments.recordOf(this.#room, start))?.time
      for await (const passage of moments.passages(this.#room, start, Math.min(last, start + limit), from?.document)) {
        page.add(this.#step(passage, time))
        time = passage.record.time
        if (page.isFull) break
      }
      return { steps: page.steps, first: held, last, more: (page.steps.at(-1)?.seq ?? last) < last }
    })
  }

  follow(onStep: (seq: number, look: () => Step) => void, onTurned: () => void): () => void {
    const ends = [
      this.#followSteps(onStep),
      this.#around.lookout.turns((name) => {
        if (name === this.#room || name === this.#lens.machine) onTurned()
      }),
    ]
    return () => {
      for (const end of ends) end()
    }
  }

  #followSteps(onStep: (seq: number, look: () => Step) => void): () => void {
    let time: number | undefined
    return this.#around.lookout.rooms((room, records, start) => {
      if (room !== this.#room) return
      let [document, place] = [start, 0]
      const at = (i: number): RoomDocument | undefined => {
        while (place < i) document = applyPatch(document as RoomDocument, records[place++]?.ops ?? [])
        return document
      }
      for (const [i, record] of records.entries()) {
        const before = time
        time = record.time
        onStep(record.seq, () => this.#live({ record, before: at(i), after: at(i + 1) }, before ?? this.#shownAt))
      }
    })
  }

  #live(passage: Passage, time: number | undefined): Step {
    const step = this.#step(passage, time)
    return { ...step, can: this.#canOf(passage.after), timers: timersOf(passage.after) }
  }

  #step({ record, before, after }: Passage, time: number | undefined): Step {
    const { index, redactor } = this.#lens
    const active = this.#activeOf(after)
    const edges =
      index && after ? taken(index, { before: this.#activeOf(before), after: active, type: record.event.type }) : []
    return {
      actor: `room:${this.#room}`,
      seq: record.seq,
      event: redactor.event(record.event),
      from: record.from,
      time: record.time,
      ops: redactor.ops(record.ops),
      edges,
      value: after?.value ?? null,
      active,
      ...(time !== undefined && { ms: record.time - time }),
    }
  }

  async #state({ seq, document }: Moment, { epoch, first, last }: Extent): Promise<State> {
    const { machine, redactor } = this.#lens
    const { value, context, status, children, invokes, present } = redactor.document(document)
    const active = this.#activeOf(document)
    const record: LogRecord | undefined = await this.#around.moments.recordOf(this.#room, seq)
    return {
      actor: `room:${this.#room}`,
      machine,
      seq,
      time: record?.time ?? 0,
      value,
      active,
      context,
      status,
      can: this.#canOf(document),
      timers: timersOf(document),
      children: { ...children, ...invokes },
      present,
      epoch,
      first,
      last: Math.max(last, seq),
    }
  }

  #activeOf(document: RoomDocument | undefined): string[] {
    return document ? (this.#lens.index?.activeOf(document.value) ?? []) : []
  }

  /** A machine that is done takes nothing any more. */
  #canOf(document: RoomDocument | undefined): readonly string[] {
    return document?.status === 'active' ? (this.#lens.index?.canOf(this.#activeOf(document)) ?? []) : []
  }

  /** What the log holds, and of a room in memory no more than it has published: what is read may not be durable yet. */
  async #extent(): Promise<Extent | Failure> {
    const held = await this.#around.moments.extentOf(this.#room)
    const { seq, document } = this.#around.rooms.resident(this.#room)?.place ?? {}
    const extent = seq && document ? { ...held, last: seq } : held
    return extent.last > 0 ? extent : failure('unknown_seq', `nothing is stored of ${this.#room}`)
  }

  #unknown(seq: number, { first, last }: Extent): Failure {
    return failure('unknown_seq', `the states of ${this.#room} are known from seq ${first} to ${last}, not at ${seq}`, {
      first,
      last,
    })
  }

  async #guarded<T>(look: () => Promise<T>): Promise<T | Failure> {
    try {
      return await look()
    } catch (error) {
      if (error instanceof DamagedLog) return failure('room_failed', `${this.#room} cannot be read: ${error.message}`)
      throw error
    }
  }
}

/** The delays of the room itself and of what it holds, in the order in which they are due. */
const timersOf = (document: RoomDocument | undefined): Timer[] =>
  document?.delays.map(({ event, dueAt, delay }) => ({ event: event.type, dueAt, delay })) ?? []
