/**
 * The LMDB environment of a log: its five tables, and how their keys are made. The only importer of lmdb.
 *
 * `topics` name → a topic's own entry; `segments` (topic number, last seq) → the lines of one commit; `snapshots` topic
 * number → the newest one, and (topic number, seq) → those that are kept; `wakes` (instant, topic number) → the topic's name; `meta` the format and the epoch. Keys are big-endian, so a topic's segments lie in order.
 *
 * Always true: a value begins with the checksum of its place (`seal.ts`), since LMDB itself has no checksums.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { type Database, open, type RootDatabase } from 'lmdb'
import { decodeLine, encodeLine } from './log.ts'
import { place, seal, unseal } from './seal.ts'

export type { Database }

/** What `meta` says of the layout: a log of another one is not opened. */
export const FORMAT = '3'

/** Which life of the log it is: another one for each. */
export const newEpoch = (): string => randomUUID().slice(0, 8)

export const logFile = (folder: string): string => `${folder}/log.mdb`

/** A topic's own entry. */
export interface TopicEntry {
  /** The number under which its segments and its snapshot lie. */
  readonly id: number
  /** The seq up to which its records were forgotten. */
  readonly trimmed: number
  /** When it wants to be looked at (`Batch.wake`). */
  readonly wake: number | null
}

export interface Store {
  readonly folder: string
  readonly root: RootDatabase<Buffer, Buffer>
  readonly topics: Database<Buffer, string>
  readonly segments: Database<Buffer, Buffer>
  readonly snapshots: Database<Buffer, Buffer>
  readonly wakes: Database<Buffer, Buffer>
  readonly meta: Database<Buffer, string>
}

/**
 * Opens the environment in `folder`, and begins it unless it is only to be read.
 * @throws when the folder cannot be made or read, or holds nothing to be read.
 */
export function openStore(folder: string, { readOnly = false } = {}): Store {
  if (readOnly && !existsSync(logFile(folder))) throw new Error(`${folder} holds no log`)
  if (!readOnly) mkdirSync(folder, { recursive: true })
  const byNumber = { encoding: 'binary', keyEncoding: 'binary' } as const
  // Ours is one transaction a tick anyway, and the promise of theirs rejects unheard where a disk is full.
  const options = { ...byNumber, readOnly, safeRestore: true, eventTurnBatching: false }
  const root: Store['root'] = open({ path: logFile(folder), ...options })
  return {
    folder,
    root,
    topics: root.openDB('topics', { encoding: 'binary' }),
    segments: root.openDB('segments', byNumber),
    snapshots: root.openDB('snapshots', byNumber),
    wakes: root.openDB('wakes', byNumber),
    meta: root.openDB('meta', { encoding: 'binary' }),
  }
}

/** @throws {DamagedLog} */
export function readEntry(name: string, sealed: Buffer): TopicEntry {
  return decodeLine<TopicEntry>(unseal(place(name), sealed).toString())
}

export function sealEntry(name: string, { id, trimmed, wake }: TopicEntry): Buffer {
  return seal(place(name), Buffer.from(encodeLine({ id, trimmed, wake } satisfies TopicEntry)))
}

/** @throws {DamagedLog} */
export function readMeta(name: string, sealed: Buffer): string {
  return decodeLine<string>(unseal(place(name), sealed).toString())
}

export function sealMeta(name: string, value: string): Buffer {
  return seal(place(name), Buffer.from(encodeLine(value)))
}

export function topicKey(id: number): Buffer {
  const key = Buffer.allocUnsafe(4)
  key.writeUInt32BE(id)
  return key
}

export const topicOf = (key: Buffer): number => key.readUInt32BE()

/** 4 bytes topic number, 6 bytes seq: 2^48 records a topic. */
export function segmentKey(id: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(10)
  key.writeUInt32BE(id)
  key.writeUIntBE(seq, 4, 6)
  return key
}

/** Whether a key of `snapshots` is that of one that is kept: made as a segment's is. */
export const isKeyframe = (key: Buffer): boolean => key.length > 4

export const seqOf = (key: Buffer): number => key.readUIntBE(4, 6)

/** 6 bytes instant, 4 bytes topic number. */
export function wakeKey(instant: number, id: number): Buffer {
  const key = Buffer.allocUnsafe(10)
  key.writeUIntBE(instant, 0, 6)
  key.writeUInt32BE(id, 6)
  return key
}

export const wakingTopicOf = (key: Buffer): number => key.readUInt32BE(6)
export const instantOf = (key: Buffer): number => key.readUIntBE(0, 6)

/** The latest instant that a key can hold. */
export const MAX_INSTANT = 2 ** 48 - 1

/** The range of a topic's segments that end at `from` or later, up to `to`; of its keyframes in their table. */
export const segmentsOf = ({ id }: Pick<TopicEntry, 'id'>, from: number, to?: number) => ({
  start: segmentKey(id, from),
  end: to === undefined ? topicKey(id + 1) : segmentKey(id, to + 1),
})

/** The range that holds the last of a topic's keyframes up to `to` alone. */
export const lastKeyframeOf = ({ id }: Pick<TopicEntry, 'id'>, to: number) => ({
  start: segmentKey(id, to),
  end: segmentKey(id, 0),
  reverse: true,
  limit: 1,
})

/** The range that holds a topic's last segment alone. */
export const lastSegmentOf = ({ id }: Pick<TopicEntry, 'id'>) => ({
  start: segmentKey(id + 1, 0),
  end: segmentKey(id, 0),
  reverse: true,
  limit: 1,
})
