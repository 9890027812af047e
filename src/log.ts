/**
 * The event log: one ordered topic per room, and what an engine that keeps it promises. Engines: `log-lmdb.ts` on
 * disk, `log-memory.ts` for tests; both pass one contract suite.
 *
 * Always true: what a `commit` resolved survives `kill -9` and a power cut; records of a topic are read in order,
 * without a hole; a record whose CRC32 does not hold is never returned.
 */
import { crc32 } from 'node:zlib'
import type { Operation } from './patch.ts'
import type { RoomEvent } from './protocol.ts'

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
}

/** A topic's last place after the commit, or that somebody else was there first. */
export type CommitResult = { readonly last: number } | { readonly conflict: { readonly actual: number } }

export interface Log {
  /**
   * Appends to many topics at once. Atomic per topic; resolves when all of it is durable, with one result per batch.
   * @throws when the engine could not say that it is durable: the outcome is unknown then, never "failed".
   */
  commit(batches: readonly Batch[]): Promise<CommitResult[]>
  /** Records with a seq above `after`, in order, at most `limit`. @throws {DamagedLog} */
  read(topic: string, range: { after: number; limit: number }): Promise<LogRecord[]>
  /** The last seq of a topic, 0 when nothing was ever appended. */
  last(topic: string): Promise<number>
  /** The newest snapshot of a topic. @throws {DamagedLog} */
  getSnapshot(topic: string): Promise<LogSnapshot | undefined>
  /** Which life of the log a topic's seqs count in; changes when a log was lost, reset or restored from a backup. */
  epoch(topic: string): Promise<string>
  close(): Promise<void>
}

/** A record that is not what was written: its CRC32 does not hold, or its seq leaves a hole. */
export class DamagedLog extends Error {
  override readonly name = 'DamagedLog'
}

/**
 * A line of the log: the CRC32 of the JSON behind it as 8 hex digits, a space, the JSON. JSON holds no line feed.
 * @throws {TypeError} for what is no JSON: a BigInt, a value that holds itself.
 */
export function encodeLine(value: unknown): string {
  const json = JSON.stringify(value)
  return `${checksum(json)} ${json}`
}

const checksum = (json: string): string => crc32(json).toString(16).padStart(8, '0')

/** @throws {DamagedLog} */
export function decodeLine<T>(line: string): T {
  const json = line.slice(9)
  if (line[8] !== ' ' || checksum(json) !== line.slice(0, 8)) {
    throw new DamagedLog(`a line of ${line.length} characters does not hold its CRC32`)
  }
  return JSON.parse(json) as T
}

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

/** `records`, once it is sure that they go on from `after` without a hole. @throws {DamagedLog} */
export function withoutHole(records: LogRecord[], after: number): LogRecord[] {
  records.forEach((record, i) => {
    if (record.seq !== after + i + 1) throw new DamagedLog(`record ${after + i + 1} is missing, ${record.seq} is there`)
  })
  return records
}
