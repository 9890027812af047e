/**
 * The log's twin in memory, for tests: the same promises but the disk's. It keeps encoded segments, so that what
 * comes back was serialized, as it would be from a file.
 */
import { randomUUID } from 'node:crypto'
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
  standingOf,
  type Wake,
  withoutHole,
} from './log.ts'

interface Topic {
  last: number
  trimmed: number
  segments: { readonly last: number; readonly bytes: Buffer }[]
  snapshot?: string
  keyframes: { readonly seq: number; readonly line: string }[]
  wake: number | null
}

type Range = Parameters<Log['read']>[1]

const byBytes = (one: string, other: string): number => Buffer.compare(Buffer.from(one), Buffer.from(other))

const unborn = (): Topic => ({ last: 0, trimmed: 0, segments: [], keyframes: [], wake: null })

export class MemoryLog implements Log {
  readonly #epoch = randomUUID().slice(0, 8)
  readonly #topics = new Map<string, Topic>()
  readonly #quarantine = new Map<string, string>()

  async commit(batches: readonly Batch[]): Promise<CommitResult[]> {
    return batches.map((batch) => this.#append(batch))
  }

  async probe(): Promise<void> {}

  #append({ topic: name, after, lines, snapshot, keep, trim, wake }: Batch): CommitResult {
    const topic = standingOf((): Topic => this.#topic(name) ?? unborn())
    if ('damaged' in topic) return topic
    if (topic.last !== after) return { conflict: { actual: topic.last } }
    const last = after + lines.length
    if (lines.length > 0) topic.segments.push({ last, bytes: encodeSegment(lines) })
    if (snapshot) topic.snapshot = snapshot
    if (snapshot && keep)
      topic.keyframes = [...topic.keyframes.filter(({ seq }) => seq < last), { seq: last, line: snapshot }]
    if (trim !== undefined) this.#trim(topic, trim)
    topic.last = last
    if (wake !== undefined) topic.wake = wake
    this.#topics.set(name, topic)
    return { last }
  }

  #trim(topic: Topic, upTo: number): void {
    while (topic.segments.length > 1 && (topic.segments[0]?.last ?? Number.POSITIVE_INFINITY) <= upTo)
      topic.trimmed = topic.segments.shift()?.last ?? topic.trimmed
    topic.keyframes = topic.keyframes.filter(({ seq }) => seq >= topic.trimmed)
  }

  async read(name: string, { after, limit, bytes = Number.POSITIVE_INFINITY }: Range): Promise<LogRecord[]> {
    const { segments, trimmed } = this.#topic(name) ?? unborn()
    const records: LogRecord[] = []
    let read = 0
    for (const segment of segments.filter(({ last }) => last > after)) {
      records.push(...decodeSegment(segment.bytes, after))
      read += segment.bytes.length
      if (records.length >= limit || read >= bytes) break
    }
    return withoutHole(records.slice(0, limit), after, trimmed)
  }

  async last(name: string): Promise<number> {
    return this.#topic(name)?.last ?? 0
  }

  async getSnapshot(name: string, atOrBefore = Number.POSITIVE_INFINITY): Promise<LogSnapshot | undefined> {
    const { snapshot, keyframes } = this.#topic(name) ?? unborn()
    const newest = snapshot === undefined ? undefined : decodeLine<LogSnapshot>(snapshot)
    if (!newest || newest.seq <= atOrBefore) return newest
    const keyframe = keyframes.findLast(({ seq }) => seq <= atOrBefore)
    return keyframe && decodeLine<LogSnapshot>(keyframe.line)
  }

  async keyframes(name: string): Promise<number[]> {
    return (this.#topic(name) ?? unborn()).keyframes.map(({ seq }) => seq)
  }

  async epoch(): Promise<string> {
    return this.#epoch
  }

  async wakes({ from, to, limit }: { from: number; to: number; limit: number }): Promise<Wake[]> {
    const wakes = [...this.#topics].map(([topic, { wake }]) => ({ topic, at: wake ?? Number.POSITIVE_INFINITY }))
    const due = wakes.filter(({ at }) => at >= from && at <= to && Number.isFinite(at))
    return due.sort((a, b) => a.at - b.at).slice(0, limit)
  }

  async topics(prefix: string, { after = '', limit = Number.POSITIVE_INFINITY } = {}): Promise<string[]> {
    const names = [...this.#topics.keys()].filter((name) => name.startsWith(prefix)).sort(byBytes)
    return names.filter((name) => byBytes(name, after) > 0).slice(0, limit)
  }

  quarantine(name: string, why: string): void {
    this.#quarantine.set(name, why)
  }

  #topic(name: string): Topic | undefined {
    const why = this.#quarantine.get(name)
    if (why !== undefined) throw new DamagedLog(`${name} is set aside: ${why}`)
    return this.#topics.get(name)
  }

  async close(): Promise<void> {}
}
