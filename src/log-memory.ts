/**
 * The log's twin in memory, for tests: the same promises but the disk's. It keeps encoded segments, so that what
 * comes back was serialized, as it would be from a file.
 */
import { randomUUID } from 'node:crypto'
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

interface Topic {
  last: number
  segments: Buffer[]
  snapshot?: string
}

export class MemoryLog implements Log {
  readonly #epoch = randomUUID().slice(0, 8)
  readonly #topics = new Map<string, Topic>()

  async commit(batches: readonly Batch[]): Promise<CommitResult[]> {
    return batches.map((batch) => this.#append(batch))
  }

  #append({ topic: name, after, lines, snapshot }: Batch): CommitResult {
    const topic = this.#topics.get(name) ?? { last: 0, segments: [] }
    if (topic.last !== after) return { conflict: { actual: topic.last } }
    if (lines.length > 0) topic.segments.push(encodeSegment(lines))
    if (snapshot) topic.snapshot = snapshot
    topic.last = after + lines.length
    this.#topics.set(name, topic)
    return { last: topic.last }
  }

  async read(topic: string, { after, limit }: { after: number; limit: number }): Promise<LogRecord[]> {
    const segments = this.#topics.get(topic)?.segments ?? []
    return withoutHole(segments.flatMap((segment) => decodeSegment(segment, after)).slice(0, limit), after)
  }

  async last(topic: string): Promise<number> {
    return this.#topics.get(topic)?.last ?? 0
  }

  async getSnapshot(topic: string): Promise<LogSnapshot | undefined> {
    const line = this.#topics.get(topic)?.snapshot
    return line === undefined ? undefined : decodeLine<LogSnapshot>(line)
  }

  async epoch(): Promise<string> {
    return this.#epoch
  }

  async close(): Promise<void> {}
}
