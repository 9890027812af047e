/**
 * The log on disk, in an LMDB environment (`lmdb-store.ts`).
 *
 * Always true: `commit` resolves after LMDB's own fdatasync, whatever was readable before (a commit is visible
 * before it is durable); it opens with what was synced, not with what `kill -9` left readable, so that nobody is told what
 * a power cut could still take away. One process per folder writes: the server holds the folder's lock before.
 */
import { statfsSync } from 'node:fs'
import {
  FORMAT,
  instantOf,
  lastKeyframeOf,
  MAX_INSTANT,
  newEpoch,
  openStore,
  readMeta,
  type Store,
  sealMeta,
  segmentKey,
  segmentsOf,
  seqOf,
  topicKey,
  wakeKey,
} from './lmdb-store.ts'
import { type Topic, Topics, UNBORN } from './lmdb-topics.ts'
import {
  type Batch,
  type CommitResult,
  DamagedLog,
  decodeLine,
  decodeSegment,
  encodeSegment,
  type Log,
  type LogRecord,
  type LogSnapshot,
  lengthOf,
  StorageRefused,
  standingOf,
  type Wake,
  withoutHole,
} from './log.ts'
import { place, seal, unseal } from './seal.ts'

/**
 * Opens (or begins) the log in `folder`.
 * @throws when the folder cannot be made or read, or holds a log of another format.
 */
export const openLmdbLog = (folder: string): Log => new LmdbLog(openStore(folder))

/** Opens the log in `folder` for reading, also while a server writes to it. @throws when there is none. */
export const openLmdbLogToRead = (folder: string): Log => new LmdbLog(openStore(folder, { readOnly: true }))

/** Bytes of the disk that are left alone. */
const SPACE = 1024 * 1024
/** How much more than its records a transaction may write: the pages on the way to them, copied. */
const SPREAD = 8

/** Milliseconds from one look for readers that died to the next. */
const READERS_EVERY = 1000

class LmdbLog implements Log {
  readonly #store: Store
  readonly #topics: Topics
  readonly #epoch: string
  #readersSeenAt = 0
  #underWay = 0

  constructor(store: Store) {
    this.#store = store
    this.#topics = new Topics(store)
    this.#epoch = this.#readOrBegin('epoch', newEpoch)
    const format = this.#readOrBegin('format', () => FORMAT)
    if (format !== FORMAT) throw new Error(`the log has the format ${format}, this version reads ${FORMAT}`)
  }

  async commit(batches: readonly Batch[]): Promise<CommitResult[]> {
    const results: CommitResult[] = []
    const size = batches.reduce((sum, batch) => sum + sizeOf(batch), 0)
    try {
      await this.#write(size, () => {
        for (const batch of batches) results.push(this.#append(batch))
      })
    } catch (error) {
      this.#topics.takeBack(batches.map(({ topic }) => topic))
      throw error
    }
    return results
  }

  async probe(): Promise<void> {
    await this.#write(0, () => void this.#store.meta.put('probe', sealMeta('probe', `${Date.now()}`)))
  }

  #append({ topic: name, after, lines, snapshot, keep, trim, wake }: Batch): CommitResult {
    const { segments } = this.#store
    const known = standingOf(() => this.#topics.of(name) ?? UNBORN)
    if ('damaged' in known) return known
    if (known.last !== after) return { conflict: { actual: known.last } }
    const topic = known === UNBORN ? this.#topics.create(name) : known
    const last = after + lines.length
    if (lines.length > 0) {
      const key = segmentKey(topic.id, last)
      segments.put(key, seal(place(name, key), encodeSegment(lines)))
    }
    if (snapshot) this.#putSnapshot(topic, topicKey(topic.id), snapshot)
    if (snapshot && keep) this.#putSnapshot(topic, segmentKey(topic.id, last), snapshot)
    topic.last = last
    if (trim !== undefined && trim > topic.trimmed) this.#trim(topic, trim)
    if (wake !== undefined && wake !== topic.wake) this.#wakeAt(topic, wake)
    return { last }
  }

  #putSnapshot({ name }: Topic, key: Buffer, line: string): void {
    this.#store.snapshots.put(key, seal(place(name, key), Buffer.from(line)))
  }

  #wakeAt(topic: Topic, instant: number | null): void {
    const { wakes } = this.#store
    if (topic.wake !== null) wakes.remove(wakeKey(topic.wake, topic.id))
    topic.wake = instant === null ? null : Math.min(instant, MAX_INSTANT)
    if (topic.wake !== null) {
      const key = wakeKey(topic.wake, topic.id)
      wakes.put(key, seal(place(topic.name, key), Buffer.from(topic.name)))
    }
    this.#topics.write(topic)
  }

  /**
   * Forgets whole segments only, and never the last one: it says where the topic stands. A keyframe at the end of what is
   * forgotten stays.
   */
  #trim(topic: Topic, upTo: number): void {
    const { segments, snapshots } = this.#store
    const keys = [...segments.getKeys(segmentsOf(topic, topic.trimmed + 1, Math.min(upTo, topic.last - 1)))]
    for (const key of keys) segments.remove(key)
    const lastKey = keys.at(-1)
    if (!lastKey) return
    topic.trimmed = seqOf(lastKey)
    for (const key of [...snapshots.getKeys(segmentsOf(topic, 0, topic.trimmed - 1))]) snapshots.remove(key)
    this.#topics.write(topic)
  }

  async read(name: string, { after, limit, bytes = Number.POSITIVE_INFINITY }: Range): Promise<LogRecord[]> {
    const topic = this.#topics.of(name)
    if (!topic) return []
    const records: LogRecord[] = []
    let read = 0
    for (const { key, value } of this.#store.segments.getRange(segmentsOf(topic, after + 1))) {
      records.push(...decodeSegment(unseal(place(name, key), value), after))
      if (records.at(-1)?.seq !== seqOf(key)) throw new DamagedLog(`a segment of ${name} does not end at ${seqOf(key)}`)
      read += value.length
      if (records.length >= limit || read >= bytes) break
    }
    return withoutHole(records.slice(0, limit), after, topic.trimmed)
  }

  async last(name: string): Promise<number> {
    return this.#topics.of(name)?.last ?? 0
  }

  async getSnapshot(name: string, atOrBefore = Number.POSITIVE_INFINITY): Promise<LogSnapshot | undefined> {
    const topic = this.#topics.of(name)
    const newest = topic && this.#snapshotIn(topic, topicKey(topic.id))
    if (!newest || newest.seq <= atOrBefore) return newest
    const [key] = this.#store.snapshots.getKeys(lastKeyframeOf(topic, atOrBefore))
    return key && this.#snapshotIn(topic, key)
  }

  #snapshotIn({ name }: Topic, key: Buffer): LogSnapshot | undefined {
    const value = this.#store.snapshots.get(key)
    return value && decodeLine<LogSnapshot>(unseal(place(name, key), value).toString())
  }

  async keyframes(name: string): Promise<number[]> {
    const topic = this.#topics.of(name)
    return topic ? [...this.#store.snapshots.getKeys(segmentsOf(topic, 0))].map(seqOf) : []
  }

  async epoch(_topic: string): Promise<string> {
    return this.#epoch
  }

  async wakes({ from, to, limit }: { from: number; to: number; limit: number }): Promise<Wake[]> {
    const range = { start: wakeKey(from, 0), end: wakeKey(Math.min(to, MAX_INSTANT), 0xffffffff), limit }
    return [...this.#store.wakes.getRange(range)].map(({ key, value }) => {
      const topic = value.subarray(4).toString()
      unseal(place(topic, key), value)
      return { topic, at: instantOf(key) }
    })
  }

  async topics(prefix: string, { after = '', limit = Number.POSITIVE_INFINITY } = {}): Promise<string[]> {
    const names: string[] = []
    for (const name of this.#store.topics.getKeys({ start: after || prefix })) {
      if (names.length >= limit || !name.startsWith(prefix)) break
      if (name !== after) names.push(name)
    }
    return names
  }

  quarantine(name: string, why: string): void {
    this.#topics.quarantine(name, why)
  }

  async close(): Promise<void> {
    await this.#store.root.close()
  }

  /** One transaction of about `size` bytes; resolves when it is durable. @throws {StorageRefused} */
  async #write(size: number, changes: () => void): Promise<void> {
    this.#checkSpace(size)
    this.#forgetDeadReaders()
    this.#underWay++
    try {
      await this.#store.root.batch(changes)
    } catch (error) {
      throw await refusalOf(error as Error)
    } finally {
      this.#underWay--
    }
    if (this.#underWay === 0) this.#topics.trim()
  }

  /** LMDB must not see a full disk: when a page cannot be written it formats an error beyond its buffer (mdb.c). */
  #checkSpace(size: number): void {
    const { bavail, bsize } = statfsSync(this.#store.folder)
    const free = bavail * bsize
    const needed = SPACE + SPREAD * size
    if (free < needed) throw new StorageRefused(`the disk has ${free} bytes left, and ${needed} are kept free`)
  }

  /** Whoever was killed while it read (a `verify`, a backup) keeps every page that is freed from then on: the file grows. */
  #forgetDeadReaders(): void {
    const now = Date.now()
    if (now - this.#readersSeenAt < READERS_EVERY) return
    this.#readersSeenAt = now
    this.#store.root.readerCheck()
  }

  #readOrBegin(name: string, begin: () => string): string {
    const known = this.#store.meta.get(name)
    if (known) return readMeta(name, known)
    const value = begin()
    this.#store.meta.putSync(name, sealMeta(name, value))
    return value
  }
}

type Range = Parameters<Log['read']>[1]

/** Characters that are written; a keyframe goes down as the newest snapshot as well. */
const sizeOf = ({ lines, snapshot = '', keep }: Batch): number => lengthOf(lines) + snapshot.length * (keep ? 2 : 1)

/** What LMDB refused, by the cause that it hands out in a promise of its own. */
async function refusalOf(error: Error & { commitError?: Promise<never> }): Promise<Error> {
  if (!error.commitError) return error
  const nextTurn = new Promise<Error>((resolve) => setImmediate(resolve, error))
  const cause = await Promise.race([error.commitError.catch((cause: Error) => cause), nextTurn])
  return new StorageRefused(`the log takes no writes: ${cause.message}`, { cause })
}
