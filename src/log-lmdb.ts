/**
 * The log on disk. The only importer of lmdb.
 *
 * Layout: `topics` name → number; `segments` (topic number, last seq) → the lines of one commit; `snapshots` topic
 * number → the newest one; `meta` the epoch. Keys are big-endian, so a topic's segments lie in order.
 *
 * Always true: `commit` resolves after LMDB's own fdatasync, whatever was readable before (a commit is visible
 * before it is durable). One process per folder: the server holds the folder's lock before it opens this.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { type Database, open, type RootDatabase } from 'lmdb'
import {
  type Batch,
  type CommitResult,
  decodeLine,
  decodeSegment,
  encodeSegment,
  type Log,
  type LogRecord,
  type LogSnapshot,
  withoutHole,
} from './log.ts'

/** Opens (or begins) the log in `folder`. @throws when the folder cannot be made or written. */
export function openLmdbLog(folder: string): Log {
  mkdirSync(folder, { recursive: true })
  return new LmdbLog(open({ path: `${folder}/log.mdb`, encoding: 'binary', keyEncoding: 'binary' }))
}

class LmdbLog implements Log {
  readonly #root: RootDatabase<Buffer, Buffer>
  readonly #topics: Database<Buffer, string>
  readonly #segments: Database<Buffer, Buffer>
  readonly #snapshots: Database<Buffer, Buffer>
  readonly #meta: Database<Buffer, string>
  readonly #places = new Map<string, Place>()
  readonly #epoch: Promise<string>
  #nextTopic: number

  constructor(root: RootDatabase<Buffer, Buffer>) {
    this.#root = root
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
    this.#topics = root.openDB('topics', { encoding: 'binary' })
    this.#segments = root.openDB('segments', binary)
    this.#snapshots = root.openDB('snapshots', binary)
    this.#meta = root.openDB('meta', { encoding: 'binary' })
    this.#nextTopic = this.#topics.getCount() + 1
    this.#epoch = this.#readOrBeginEpoch()
  }

  async commit(batches: readonly Batch[]): Promise<CommitResult[]> {
    const results: CommitResult[] = []
    try {
      await this.#root.batch(() => {
        for (const batch of batches) results.push(this.#append(batch))
      })
    } catch (error) {
      for (const { topic } of batches) this.#places.delete(topic)
      throw error
    }
    return results
  }

  #append({ topic, after, lines, snapshot }: Batch): CommitResult {
    const place = this.#place(topic) ?? this.#createTopic(topic)
    if (place.last !== after) return { conflict: { actual: place.last } }
    const last = after + lines.length
    if (lines.length > 0) this.#segments.put(segmentKey(place.id, last), encodeSegment(lines))
    if (snapshot) this.#snapshots.put(topicKey(place.id), Buffer.from(snapshot))
    place.last = last
    return { last }
  }

  async read(topic: string, { after, limit }: { after: number; limit: number }): Promise<LogRecord[]> {
    const place = this.#place(topic)
    if (!place) return []
    const records: LogRecord[] = []
    const range = { start: segmentKey(place.id, after + 1), end: segmentKey(place.id + 1, 0) }
    for (const { value } of this.#segments.getRange(range)) {
      records.push(...decodeSegment(value, after))
      if (records.length >= limit) break
    }
    return withoutHole(records.slice(0, limit), after)
  }

  async last(topic: string): Promise<number> {
    return this.#place(topic)?.last ?? 0
  }

  async getSnapshot(topic: string): Promise<LogSnapshot | undefined> {
    const place = this.#place(topic)
    const line = place && this.#snapshots.get(topicKey(place.id))
    return line && decodeLine<LogSnapshot>(line.toString())
  }

  epoch(): Promise<string> {
    return this.#epoch
  }

  async close(): Promise<void> {
    await this.#root.close()
  }

  async #readOrBeginEpoch(): Promise<string> {
    const known = this.#meta.get('epoch')
    if (known) return known.toString()
    const epoch = randomUUID().slice(0, 8)
    await this.#meta.put('epoch', Buffer.from(epoch))
    return epoch
  }

  /** Where a topic stands: its number and last seq, read from the file once. */
  #place(topic: string): Place | undefined {
    const known = this.#places.get(topic)
    if (known) return known
    const stored = this.#topics.get(topic)
    if (!stored) return undefined
    const id = stored.readUInt32BE()
    const range = { start: segmentKey(id + 1, 0), end: segmentKey(id, 0), reverse: true, limit: 1 }
    const [lastKey] = this.#segments.getKeys(range)
    return this.#remember(topic, { id, last: lastKey ? seqOf(lastKey) : 0 })
  }

  #createTopic(topic: string): Place {
    const id = this.#nextTopic++
    this.#topics.put(topic, topicKey(id))
    return this.#remember(topic, { id, last: 0 })
  }

  #remember(topic: string, place: Place): Place {
    this.#places.set(topic, place)
    return place
  }
}

interface Place {
  readonly id: number
  last: number
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
