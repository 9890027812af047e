/**
 * Looks at everything that a log holds: each value in its place, each record whole, no seq missing, as many entries as the
 * tables say that they have (LMDB loses a page without a word).
 *
 * Always true: damage is told by topic where it is one topic's, and without a name where the environment is not sound.
 */
import {
  instantOf,
  isKeyframe,
  readEntry,
  readMeta,
  type Store,
  seqOf,
  type TopicEntry,
  topicOf,
  wakingTopicOf,
} from './lmdb-store.ts'
import { DamagedLog, decodeLine, decodeSegment, type LogSnapshot, withoutHole } from './log.ts'
import { place, unseal } from './seal.ts'

export interface Damage {
  /** `null`: not one topic's, so that nothing in the environment can be trusted. */
  readonly topic: string | null
  readonly why: string
  /** A keyframe alone: the topic is whole but for the states behind that one. */
  readonly isPast?: true
}

/** What a damage is of. */
type Whose = Omit<Damage, 'why'>

/** A topic on the way through its segments. */
interface Walked extends TopicEntry {
  readonly name: string
  last: number
}

/** Values between two signs of life. */
const STEP = 256

/**
 * Walks through everything; gives a damage as it is found, and `undefined` now and then as a sign of life. To be taken in
 * one turn of the event loop: all of it is one read transaction then, whatever a server writes meanwhile.
 */
export function* verify(store: Store): Generator<Damage | undefined> {
  yield* verifyMeta(store)
  const byId = new Map<number, Walked>()
  const ownerOf = (id: number): Whose => ({ topic: byId.get(id)?.name ?? null })
  yield* each(
    store.topics,
    'topics',
    (name, value) => {
      const entry = readEntry(name, value)
      if (byId.has(entry.id)) throw new DamagedLog(`its number is that of ${byId.get(entry.id)?.name} as well`)
      byId.set(entry.id, { ...entry, name, last: entry.trimmed })
    },
    (name) => ({ topic: name }),
  )
  yield* each(
    store.segments,
    'segments',
    (key, value) => {
      const topic = byId.get(topicOf(key))
      if (!topic) throw new DamagedLog(`a segment belongs to no topic (number ${topicOf(key)})`)
      verifySegment(topic, key, value)
    },
    (key) => ownerOf(topicOf(key)),
  )
  yield* each(
    store.snapshots,
    'snapshots',
    (key, value) => {
      const topic = byId.get(topicOf(key))
      if (!topic) throw new DamagedLog(`a snapshot belongs to no topic (number ${topicOf(key)})`)
      verifySnapshot(topic, key, value)
    },
    (key) => ({ ...ownerOf(topicOf(key)), ...(isKeyframe(key) && byId.has(topicOf(key)) && { isPast: true }) }),
  )
  yield* each(
    store.wakes,
    'wakes',
    (key, value) => {
      const topic = byId.get(wakingTopicOf(key))
      if (!topic) throw new DamagedLog(`a wake belongs to no topic (number ${wakingTopicOf(key)})`)
      if (unseal(place(topic.name, key), value).toString() !== topic.name || instantOf(key) !== topic.wake)
        throw new DamagedLog(`it is to be looked at at ${topic.wake}, and is listed otherwise`)
    },
    (key) => ownerOf(wakingTopicOf(key)),
  )
}

function* verifyMeta({ meta }: Store): Generator<Damage> {
  for (const name of ['format', 'epoch']) {
    const why = faultOf(() => {
      const value = meta.get(name)
      if (!value) throw new DamagedLog(`${name} is missing`)
      readMeta(name, value)
    })
    if (why !== undefined) yield { topic: null, why: `${name}: ${why}` }
  }
}

function verifySegment(topic: Walked, key: Buffer, value: Buffer): void {
  const seq = seqOf(key)
  const after = topic.last
  topic.last = seq
  const records = decodeSegment(unseal(place(topic.name, key), value), 0)
  withoutHole(records, after)
  if (records.at(-1)?.seq !== seq) throw new DamagedLog(`a segment that should end at ${seq} does not`)
}

function verifySnapshot({ name, trimmed, last }: Walked, key: Buffer, value: Buffer): void {
  const { seq } = decodeLine<LogSnapshot>(unseal(place(name, key), value).toString())
  if (seq > last || seq < trimmed)
    throw new DamagedLog(`its snapshot is at ${seq}, its records go from ${trimmed + 1} to ${last}`)
  if (isKeyframe(key) && seq !== seqOf(key)) throw new DamagedLog(`its keyframe of ${seqOf(key)} is at ${seq}`)
}

interface Table<K> {
  getRange(): Iterable<{ key: K; value: Buffer }>
  getStats(): object
}

/** Looks at each entry of a table, and counts them against what the table says of itself. */
function* each<K>(
  table: Table<K>,
  what: string,
  look: (key: K, value: Buffer) => void,
  whose: (key: K) => Whose,
): Generator<Damage | undefined> {
  let count = 0
  for (const { key, value } of table.getRange()) {
    const why = faultOf(() => look(key, value))
    if (why !== undefined) yield { ...whose(key), why }
    else if (count % STEP === 0) yield undefined
    count++
  }
  const { entryCount } = table.getStats() as { entryCount: number }
  if (count !== entryCount) yield { topic: null, why: `${what} should hold ${entryCount} entries, and holds ${count}` }
}

/** What `look` found wrong, in words. */
function faultOf(look: () => void): string | undefined {
  try {
    look()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
