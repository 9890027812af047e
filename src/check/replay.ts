/**
 * A stored room, event by event, under a machine as it is now: would each make of the room what it made of it then?
 *
 * Always true: each event is taken by the room as the log has it before that event, so one difference does not bring about
 * another; nothing runs but the machine's own pure functions.
 */

import type { LogRecord } from '../log/log.ts'
import type { RoomDocument, RoomState } from '../machine/document.ts'
import type { Hosted, Machine } from '../machine/machine.ts'
import { applyPatch, diff, sealJson, valueAt } from '../patch.ts'
import { type Occasion, occasionsOf } from './occasion.ts'

/** What a record makes of a room now that it did not make of it then. */
export interface Difference {
  readonly seq: number
  readonly type: string
  readonly from: string | null
  /** In words, where it comes to nothing that could be compared. */
  readonly why?: string
  readonly changes: readonly Change[]
}

/** A place in the room's document (RFC 6901), as it was stored and as it would be now. */
export interface Change {
  readonly path: string
  readonly stored: unknown
  readonly now: unknown
}

/** Records of what the server did to a room without asking its machine. */
const UNASKED = new Set(['room.migrated', 'room.rescheduled'])

export class Replay {
  /** The room as the log has it. */
  document: RoomDocument | undefined
  /** Records that were compared, that an older version of the machine made, and that hold less than the machine was given. */
  compared = 0
  outdated = 0
  unseen = 0
  readonly #room: string
  readonly #machine: Machine
  readonly #hosted: Hosted
  /** As far as the record knew of it that is looked at. */
  readonly #downtime = { total: 0, until: 0 }
  /** The same room as the machine itself came to it, where it did. */
  #state: RoomState | undefined

  constructor(room: string, machine: Machine, document: RoomDocument | undefined) {
    this.#room = room
    this.#machine = machine
    this.#hosted = machine.host(() => {}, this.#downtime)
    this.document = document
  }

  /** One more record. @throws {PatchError} for one that does not fit the room */
  next(record: LogRecord): Difference | undefined {
    const before = this.document
    const after = applyPatch(before as RoomDocument, record.ops)
    this.document = after
    const isUnasked = UNASKED.has(record.event.type)
    const isOutdated = !isUnasked && after.version !== this.#machine.version
    const isUnseen = !isUnasked && !isOutdated && holdsTypeAlone(record)
    if (!isUnasked && !isOutdated && !isUnseen) return this.#compare(record, before, after)
    this.#state = undefined
    if (isOutdated) this.outdated++
    if (isUnseen) this.unseen++
    return undefined
  }

  /** One more record that is not looked at. @throws {PatchError} */
  skip({ ops }: LogRecord): void {
    this.document = applyPatch(this.document as RoomDocument, ops)
  }

  /** Why the room cannot go on from where the log leaves it; `undefined` where it can. */
  get obstacle(): string | undefined {
    try {
      if (this.document) this.#hosted.restore(this.#hosted.migrate(this.document))
      return undefined
    } catch (error) {
      return (error as Error).message
    }
  }

  #compare(record: LogRecord, before: RoomDocument | undefined, after: RoomDocument): Difference | undefined {
    this.compared++
    this.#downtime.total = Math.max(0, ...after.delays.map(({ downtime = 0 }) => downtime))
    const at = { seq: record.seq, type: record.event.type, from: record.from }
    let first: Outcome | undefined
    try {
      for (const outcome of this.#outcomes(record, before)) {
        this.#state = outcome.state
        if (isAsStored(outcome, record, after)) return undefined
        first ??= outcome
      }
      const { why, state } = first as Outcome
      return { ...at, ...(why !== undefined && { why }), changes: state ? changesOf(after, state.document) : [] }
    } catch (error) {
      return { ...at, why: `the machine throws: ${(error as Error).message}`, changes: [] }
    }
  }

  *#outcomes(record: LogRecord, before: RoomDocument | undefined): Generator<Outcome> {
    const moment = { now: record.time, seq: record.seq }
    if (!before) {
      const key = this.#room.slice(this.#machine.name.length + 1)
      return yield { state: this.#hosted.initial({ room: this.#room, key }, moment).state }
    }
    const state = this.#state ?? this.#hosted.restore(sealed(before))
    if (record.from !== null) return yield this.#sent(record, state)
    for (const occasion of occasionsOf(record, state, this.#machine, this.#hosted)) {
      yield { ...this.#happened(occasion, record, state), from: state.document }
    }
  }

  #sent({ event, from, time, seq }: LogRecord, before: RoomState): Outcome {
    const step = this.#hosted.transition(before, { ...event, from, time, seq }, { now: time, seq })
    return step ? { state: step.state, from: before.document } : { why: 'the machine does not take it any more' }
  }

  /** A machine that does not take what the server tells it, or throws on it, stays as it is. */
  #happened({ event, prepared, path, isKnown = true }: Occasion, { time, seq }: LogRecord, before: RoomState): Outcome {
    if (!isKnown) return { state: prepared }
    try {
      const step = this.#hosted.transition(prepared, { ...event, from: null, time, seq }, { now: time, seq }, path)
      const state = step?.state ?? prepared
      diff(before.document, state.document)
      return { state }
    } catch (error) {
      return { state: prepared, why: `the machine throws: ${(error as Error).message}` }
    }
  }
}

/** What the machine makes of a record now. */
interface Outcome {
  /** `undefined` where it takes nothing of the kind. */
  readonly state?: RoomState
  /** What it was made of. */
  readonly from?: RoomDocument
  readonly why?: string
}

/** What invoked work brought was no JSON: the record has nothing of it. */
function holdsTypeAlone({ event, from }: LogRecord): boolean {
  return from === null && /^xstate\.(done|error)\.actor\./.test(event.type) && Object.keys(event).length === 1
}

/** By its ops, which cost only what changed; or by the whole, since the same change can be told by other ops. */
function isAsStored({ state, from }: Outcome, { ops }: LogRecord, after: RoomDocument): boolean {
  if (!state) return false
  if (from && JSON.stringify(diff(from, state.document)) === JSON.stringify(ops)) return true
  return diff(after, state.document).length === 0
}

function changesOf(stored: RoomDocument, now: RoomDocument): Change[] {
  return diff(stored, now).map((op) => ({
    path: op.path,
    stored: valueAt(stored, op.path),
    now: 'value' in op ? op.value : undefined,
  }))
}

/** A machine that changes its context in place is stopped, as it is in a room. */
function sealed(document: RoomDocument): RoomDocument {
  sealJson(document.context)
  for (const { snapshot } of Object.values(document.children)) sealJson(snapshot.context)
  return document
}
