/**
 * What a room's log says: its document at every seq, patched together from the records with the library that clients
 * use, and what each principal may see of it. Knows nothing of how the server tells anybody.
 */
import assert from 'node:assert/strict'
import jsonpatch from 'fast-json-patch'
import type { Principal } from '../../src/auth/auth.ts'
import {
  type Batch,
  type CommitResult,
  decodeLine,
  type Log,
  type LogRecord,
  type LogSnapshot,
} from '../../src/log/log.ts'
import type { RoomDocument } from '../../src/machine/document.ts'
import type { Machine } from '../../src/machine/machine.ts'
import { NO_DOWNTIME } from '../../src/machine/uptime.ts'

export const toJson = <T>(value: T): T => JSON.parse(JSON.stringify(value ?? null))

export class Truth {
  readonly records: LogRecord[] = []
  readonly #documents: RoomDocument[] = []
  readonly #machine: Machine
  readonly #hosted
  readonly #seen = new Map<string, unknown>()

  constructor(machine: Machine) {
    this.#machine = machine
    this.#hosted = machine.host(() => {}, NO_DOWNTIME)
  }

  get seq(): number {
    return this.records.length
  }

  get document(): RoomDocument | undefined {
    return this.#documents.at(-1)
  }

  /** What was made durable. @throws where a snapshot is not what the records come to. */
  wrote({ after, lines, snapshot }: Batch): void {
    assert.equal(after, this.seq, 'a batch stands right behind the last one')
    for (const line of lines) {
      const record = decodeLine<LogRecord>(line)
      const document = jsonpatch.applyPatch(this.document ?? null, toJson(record.ops as never[]), true, false)
      this.records.push(record)
      this.#documents.push(toJson(document.newDocument as unknown as RoomDocument))
    }
    if (!snapshot) return
    const { seq, state } = decodeLine<LogSnapshot>(snapshot)
    const { document } = state as { document: unknown }
    assert.deepEqual(document, this.#documents[seq - 1], `the document of the room at ${seq} is what its log comes to`)
  }

  /** The state document that `who` should hold at `seq`. */
  stateAt(seq: number, who: Principal): unknown {
    const key = `${seq} ${who.user} ${who.scopes}`
    if (!this.#seen.has(key)) this.#seen.set(key, this.#see(seq, who))
    return this.#seen.get(key)
  }

  #see(seq: number, who: Principal): unknown {
    const document = this.#documents[seq - 1]
    assert(document, `there is no seq ${seq}`)
    const state = this.#hosted.restore(toJson(document))
    try {
      return toJson(this.#machine.project(state, who))
    } catch {
      return null // A view that throws shows nothing.
    }
  }

  /** The record as `who` may see it, or `null`. */
  shown(seq: number, who: Principal): object | null {
    const record = this.records[seq - 1] as LogRecord
    const shown = this.#machine.showEvent(record, who)
    return shown && toJson({ seq, event: shown.event, from: shown.from, time: shown.time })
  }
}

/** A log that tells the truth what it wrote of the room, and fails when it is told to. */
export function witnessed(log: Log, truth: Truth): { log: Log; failNext(how: 'before' | 'after'): void } {
  let failure: 'before' | 'after' | undefined
  const commit = async (batches: readonly Batch[]): Promise<CommitResult[]> => {
    const how = failure
    failure = undefined
    if (how === 'before') throw new Error('the log failed before it wrote')
    const results = await log.commit(batches)
    batches.forEach((batch, i) => {
      if ('last' in (results[i] as object) && !batch.topic.startsWith('$')) truth.wrote(batch)
    })
    if (how === 'after') throw new Error('the log failed after it wrote')
    return results
  }
  const seen = new Proxy(log, {
    get: (of, name) => {
      if (name === 'commit') return commit
      const value = Reflect.get(of, name)
      return typeof value === 'function' ? value.bind(of) : value
    },
  })
  return {
    log: seen,
    failNext: (how) => {
      failure = how
    },
  }
}
