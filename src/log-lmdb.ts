/**
 * The log on disk. The only importer of lmdb.
 *
 * Layout: `topics` name → number and what was trimmed; `segments` (topic number, last seq) → the lines of one commit;
 * `snapshots` topic number → the newest one; `meta` the format and the epoch. Keys are big-endian, so a topic's segments
 * lie in order.
 *
 * Always true: `commit` resolves after LMDB's own fdatasync, whatever was readable before (a commit is visible
 * before it is durable). LMDB has no checksums, so each value is sealed to its place (`seal.ts`). One process per folder
 * writes: the server holds the folder's lock before it opens this.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { type Database, open, type RootDatabase } from 'lmdb'
import {
  type Batch,
  type CommitResult,
  DamagedLog,
  decodeLine,
  decodeSegment,
  encodeLine,
  encodeSegment,
  type Log,
  type LogRecord,
  type LogSnapshot,
  StorageRefused,
  withoutHole,
} from './log.ts'
import { place, seal, unseal } from './seal.ts'

/** What `meta` says of the layout: a log of another one is not opened. */
const FORMAT = '2'

export const logFile = (folder: string): string => `${folder}/log.mdb`

/**
 * Opens (or begins) the log in `folder`.
 * @throws when the folder cannot be made or read, or holds a log of another format.
 */
export function openLmdbLog(folder: string): LmdbLog {
  mkdirSync(folder, { recursive: true })
  return new LmdbLog(open({ path: logFile(folder), encoding: 'binary', keyEncoding: 'binary' }))
}

/** Opens the log in `folder` for reading, also while a server writes to it. @throws when there is none. */
export function openLmdbLogToRead(folder: string): LmdbLog {
  return new LmdbLog(open({ path: logFile(folder), encoding: 'binary', keyEncoding: 'binary', readOnly: true }))
}

/** A topic's own entry. */
interface Entry {
  readonly id: number
  /** The seq up to which its records were forgotten. */
  readonly trimmed: number
}

/** Where a topic stands. */
interface Topic extends Entry {
  readonly name: string
  trimmed: number
  last: number
}

export class LmdbLog implements Log {
  readonly #root: RootDatabase<Buffer, Buffer>
  readonly #topics: Database<Buffer, string>
  readonly #segments: Database<Buffer, Buffer>
  readonly #snapshots: Database<Buffer, Buffer>
  readonly #meta: Database<Buffer, string>
  readonly #known = new Map<string, Topic>()
  readonly #quarantine = new Map<string, string>()
  #epoch: string
  #nextTopic: number

  constructor(root: RootDatabase<Buffer, Buffer>) {
    this.#root = root
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
    this.#topics = root.openDB('topics', { encoding: 'binary' })
    this.#segments = root.openDB('segments', binary)
    this.#snapshots = root.openDB('snapshots', binary)
    this.#meta = root.openDB('meta', { encoding: 'binary' })
    this.#nextTopic = this.#topics.getCount() + 1
    this.#epoch = this.#readOrBegin('epoch', () => randomUUID().slice(0, 8))
    const format = this.#readOrBegin('format', () => FORMAT)
    if (format !== FORMAT) throw new Error(`the log has the format ${format}, this version reads ${FORMAT}`)
  }

  async commit(batches: readonly Batch[]): Promise<CommitResult[]> {
    const results: CommitResult[] = []
    try {
      await this.#write(() => {
        for (const batch of batches) results.push(this.#append(batch))
      })
    } catch (error) {
      for (const { topic } of batches) this.#known.delete(topic)
      this.#nextTopic = this.#topics.getCount() + 1
      throw error
    }
    return results
  }

  async probe(): Promise<void> {
    await this.#write(() => this.#putMeta('probe', `${Date.now()}`))
  }

  #append({ topic: name, after, lines, snapshot, trim }: Batch): CommitResult {
    const topic = this.#topic(name) ?? this.#createTopic(name)
    if (topic.last !== after) return { conflict: { actual: topic.last } }
    const last = after + lines.length
    if (lines.length > 0) this.#put(this.#segments, name, segmentKey(topic.id, last), encodeSegment(lines))
    if (snapshot) this.#put(this.#snapshots, name, topicKey(topic.id), Buffer.from(snapshot))
    if (trim !== undefined && trim > topic.trimmed) this.#trim(topic, trim)
    topic.last = last
    return { last }
  }

  /** Forgets whole segments only, and never the last one: it says where the topic stands. */
  #trim(topic: Topic, upTo: number): void {
    const keys = [...this.#segments.getKeys(segmentsOf(topic, topic.trimmed + 1, Math.min(upTo, topic.last - 1)))]
    for (const key of keys) this.#segments.remove(key)
    const lastKey = keys.at(-1)
    if (!lastKey) return
    topic.trimmed = seqOf(lastKey)
    this.#putEntry(topic)
  }

  async read(name: string, { after, limit }: { after: number; limit: number }): Promise<LogRecord[]> {
    const topic = this.#topic(name)
    if (!topic) return []
    const records: LogRecord[] = []
    for (const { key, value } of this.#segments.getRange(segmentsOf(topic, after + 1))) {
      records.push(...decodeSegment(unseal(place(name, key), value), after))
      if (records.at(-1)?.seq !== seqOf(key)) throw new DamagedLog(`a segment of ${name} does not end at ${seqOf(key)}`)
      if (records.length >= limit) break
    }
    return withoutHole(records.slice(0, limit), after, topic.trimmed)
  }

  async last(name: string): Promise<number> {
    return this.#topic(name)?.last ?? 0
  }

  async getSnapshot(name: string): Promise<LogSnapshot | undefined> {
    const topic = this.#topic(name)
    const key = topic && topicKey(topic.id)
    const value = key && this.#snapshots.get(key)
    return value && decodeLine<LogSnapshot>(unseal(place(name, key), value).toString())
  }

  async epoch(_topic: string): Promise<string> {
    return this.#epoch
  }

  async topics(prefix: string): Promise<string[]> {
    const names = [...this.#topics.getKeys({ start: prefix })]
    const end = names.findIndex((name) => !name.startsWith(prefix))
    return end === -1 ? names : names.slice(0, end)
  }

  quarantine(name: string, why: string): void {
    this.#quarantine.set(name, why)
  }

  async close(): Promise<void> {
    await this.#root.close()
  }

  /** Begins another life of the log, as after a restore: every client starts from a snapshot. */
  async beginEpoch(): Promise<string> {
    this.#epoch = randomUUID().slice(0, 8)
    await this.#write(() => this.#putMeta('epoch', this.#epoch))
    return this.#epoch
  }

  /** One transaction; resolves when it is durable. @throws {StorageRefused} */
  async #write(changes: () => void): Promise<void> {
    try {
      await this.#root.batch(changes)
    } catch (error) {
      throw await refusalOf(error as Error)
    }
  }

  #put(db: Database<Buffer, Buffer>, name: string, key: Buffer, body: Buffer): void {
    db.put(key, seal(place(name, key), body))
  }

  #putEntry({ name, id, trimmed }: Topic): void {
    const line = Buffer.from(encodeLine({ id, trimmed } satisfies Entry))
    this.#topics.put(name, seal(place(name), line))
  }

  #putMeta(name: string, value: string): void {
    this.#meta.put(name, seal(place(name), Buffer.from(value)))
  }

  #readOrBegin(name: string, begin: () => string): string {
    const known = this.#meta.get(name)
    if (known) return unseal(place(name), known).toString()
    const value = begin()
    this.#meta.putSync(name, seal(place(name), Buffer.from(value)))
    return value
  }

  /** Where a topic stands, read from the file once. @throws {DamagedLog} */
  #topic(name: string): Topic | undefined {
    const known = this.#known.get(name)
    if (known) return known
    const why = this.#quarantine.get(name)
    if (why !== undefined) throw new DamagedLog(`${name} is set aside: ${why}`)
    const stored = this.#topics.get(name)
    if (!stored) return undefined
    const entry = decodeLine<Entry>(unseal(place(name), stored).toString())
    const [lastKey] = this.#segments.getKeys(backwards(entry))
    return this.#remember({ ...entry, name, last: lastKey ? seqOf(lastKey) : 0 })
  }

  #createTopic(name: string): Topic {
    const topic = this.#remember({ id: this.#nextTopic++, trimmed: 0, name, last: 0 })
    this.#putEntry(topic)
    return topic
  }

  #remember(topic: Topic): Topic {
    this.#known.set(topic.name, topic)
    return topic
  }
}

/** What LMDB refused, by the cause that it hands out in a promise of its own. */
async function refusalOf(error: Error & { commitError?: Promise<never> }): Promise<Error> {
  if (!error.commitError) return error
  const nextTurn = new Promise<Error>((resolve) => setImmediate(resolve, error))
  const cause = await Promise.race([error.commitError.catch((cause: Error) => cause), nextTurn])
  return new StorageRefused(`the log takes no writes: ${cause.message}`, { cause })
}

function topicKey(id: number): Buffer {
  const key = Buffer.allocUnsafe(4)
  key.writeUInt32BE(id)
  return key
}

/** 4 bytes topic number, 6 bytes seq: 2^48 records a topic. */
function segmentKey(id: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(10)
  key.writeUInt32BE(id)
  key.writeUIntBE(seq, 4, 6)
  return key
}

const seqOf = (key: Buffer): number => key.readUIntBE(4, 6)

/** The segments of a topic that end at `from` or later, up to `to`. */
const segmentsOf = ({ id }: Entry, from: number, to?: number) => ({
  start: segmentKey(id, from),
  end: to === undefined ? segmentKey(id + 1, 0) : segmentKey(id, to + 1),
})

const backwards = ({ id }: Entry) => ({
  start: segmentKey(id + 1, 0),
  end: segmentKey(id, 0),
  reverse: true,
  limit: 1,
})
