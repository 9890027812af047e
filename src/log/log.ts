/**
 * The event log: one ordered topic per room, and what an engine that keeps it promises. Engines: `log-lmdb.ts` on
 * disk, `log-memory.ts` for tests; both pass one contract suite.
 *
 * Always true: what a `commit` resolved survives `kill -9` and a power cut; records of a topic are read in order,
 * without a hole; a record whose CRC32 does not hold is never returned. Only the head of a topic is ever forgotten, and
 * only behind a snapshot.
 *
 * A snapshot that is kept is a keyframe: the records behind it give every later state, however much lies before it.
 */
import { crc32 } from 'node:zlib'
import type { Operation } from '../patch.ts'
import type { RoomEvent } from '../protocol.ts'

/** An event that a machine accepted: who, when (Unix epoch ms), its place, and what it changed in the room's document. */
export interface LogRecord {
  readonly seq: number
  readonly event: RoomEvent
  /** The user that sent it; `null` for what the server itself caused. */
  readonly from: string | null
  readonly time: number
  /** The idempotency key that came with it (rule L3). */
  readonly key?: string
  /** RFC 6902, on the room's whole document. */
  readonly ops: readonly Operation[]
}

/** A record as somebody may see it; `null` where it is not for them. */
export type Shown = (record: LogRecord) => LogRecord | null

/** A topic's state at `seq`, from which later records go on; opaque to the log. */
export interface LogSnapshot {
  readonly seq: number
  readonly state: unknown
}

/** What one topic adds in one commit: the records behind the place `after`, and now and then a snapshot at their end. */
export interface Batch {
  readonly topic: string
  readonly after: number
  /** The records' lines (`encodeLine`); the first is of the record `after + 1`. */
  readonly lines: readonly string[]
  /** The line of a `LogSnapshot`. */
  readonly snapshot?: string
  /** The snapshot is a keyframe: it is held until records behind it are forgotten, whatever newer ones come. */
  readonly keep?: true
  /** Records up to this seq may be forgotten, and the keyframes before it: a snapshot stands at or behind it. */
  readonly trim?: number
  /**
   * When the topic wants to be looked at, until another commit says otherwise: Unix epoch milliseconds, 0 for the next
   * start, `null` for never.
   */
  readonly wake?: number | null
}

/** A topic that wants to be looked at. */
export interface Wake {
  readonly topic: string
  readonly at: number
}

/** A topic's last place after the commit, that somebody else was there first, or why what is stored cannot be gone on from. */
export type CommitResult =
  | { readonly last: number }
  | { readonly conflict: { readonly actual: number } }
  | { readonly damaged: string }

export interface Log {
  /**
   * Appends to many topics at once. Atomic per topic; resolves when all of it is durable, with one result per batch.
   * @throws {StorageRefused} where the disk is full or takes no writes; anything else where the engine could not say that
   * it is durable. The outcome is unknown in either case, never "failed".
   */
  commit(batches: readonly Batch[]): Promise<CommitResult[]>
  /** Resolves when the storage takes writes. @throws as `commit` */
  probe(): Promise<void>
  /**
   * Records with a seq above `after`, in order, at most `limit`, and no more commits once those read have `bytes`; where those
   * right behind `after` were trimmed, from the first that is still held. @throws {DamagedLog}
   */
  read(topic: string, range: { after: number; limit: number; bytes?: number }): Promise<LogRecord[]>
  /** The last seq of a topic, 0 when nothing was ever appended. */
  last(topic: string): Promise<number>
  /** The newest snapshot of a topic, or the newest at or before a seq that is still held. @throws {DamagedLog} */
  getSnapshot(topic: string, atOrBefore?: number): Promise<LogSnapshot | undefined>
  /** The seqs of a topic's keyframes, in order; they are not read. */
  keyframes(topic: string): Promise<number[]>
  /** Which life of the log a topic's seqs count in; changes when a log was lost, reset or restored from a backup. */
  epoch(topic: string): Promise<string>
  /** Topics that want to be looked at between two instants, both included, the earliest first. */
  wakes(range: { from: number; to: number; limit: number }): Promise<Wake[]>
  /** The names of the topics that begin with `prefix`, in the order of their bytes: all, or at most `limit` behind `after`. */
  topics(prefix: string, page?: { after?: string; limit: number }): Promise<string[]>
  /** Refuses a topic from now on, for reading and writing, since what is stored of it cannot be trusted. */
  quarantine(topic: string, why: string): void
  close(): Promise<void>
}

/** Records that are read at once. */
const PAGE = 1000

/** Every record behind `after` that is still held, in order, read a page at a time. @throws {DamagedLog} */
export async function* recordsAfter(log: Log, topic: string, after: number): AsyncGenerator<LogRecord> {
  for (let place = after; ; ) {
    const page = await log.read(topic, { after: place, limit: PAGE })
    yield* page
    if (page.length < PAGE) return
    place = page.at(-1)?.seq ?? place
  }
}

/** A record that is not what was written: its CRC32 does not hold, or its seq leaves a hole. */
export class DamagedLog extends Error {
  override readonly name = 'DamagedLog'
}

/** Where a topic stands as `find` says, or why nothing can be added to it. */
export function standingOf<T>(find: () => T): T | { readonly damaged: string } {
  try {
    return find()
  } catch (error) {
    if (error instanceof DamagedLog) return { damaged: error.message }
    throw error
  }
}

/** The storage takes no writes: it is full, read-only, or failed. */
export class StorageRefused extends Error {
  override readonly name = 'StorageRefused'
}

/**
 * A line of the log: the CRC32 of the JSON behind it as 8 hex digits, a space, the JSON. JSON holds no line feed.
 * @throws {TypeError} for what is no JSON: a BigInt, a value that holds itself.
 */
export function encodeLine(value: unknown): string {
  const json = JSON.stringify(value)
  return `${checksum(json)} ${json}`
}

/** Two hex digits for each byte. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

function checksum(json: string): string {
  const sum = crc32(json)
  return `${HEX[sum >>> 24]}${HEX[(sum >>> 16) & 0xff]}${HEX[(sum >>> 8) & 0xff]}${HEX[sum & 0xff]}`
}

/** @throws {DamagedLog} */
export function decodeLine<T>(line: string): T {
  const json = line.slice(9)
  if (line[8] !== ' ' || checksum(json) !== line.slice(0, 8)) {
    throw new DamagedLog(`a line of ${line.length} characters does not hold its CRC32`)
  }
  return JSON.parse(json) as T
}

/** Characters of lines. */
export const lengthOf = (lines: readonly string[]): number => lines.reduce((sum, { length }) => sum + length, 0)

/** One value per topic and commit: the lines of its records. */
export const encodeSegment = (lines: readonly string[]): Buffer => Buffer.from(lines.join('\n'))

/** The records of a segment that lie above `after`. @throws {DamagedLog} */
export function decodeSegment(segment: Uint8Array, after: number): LogRecord[] {
  const text = Buffer.from(segment.buffer, segment.byteOffset, segment.byteLength).toString('utf8')
  return text
    .split('\n')
    .map((line) => decodeLine<LogRecord>(line))
    .filter((record) => record.seq > after)
}

/**
 * `records`, once it is sure that there is no hole among them, nor between `after` and the first of them, but for what
 * was trimmed: everything up to `trimmed`, some of which may still be there while the commit that trims is under way.
 * @throws {DamagedLog}
 */
export function withoutHole(records: LogRecord[], after: number, trimmed = 0): LogRecord[] {
  const first = Math.min(Math.max(records[0]?.seq ?? 0, after + 1), Math.max(after, trimmed) + 1)
  records.forEach(({ seq }, i) => {
    if (seq !== first + i) throw new DamagedLog(`record ${first + i} is missing, ${seq} is there`)
  })
  return records
}
