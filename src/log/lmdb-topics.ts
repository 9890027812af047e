/**
 * Where the topics of a log in LMDB stand: read from the file when somebody asks, and known from then on.
 *
 * Always true: a topic that has been written to within a transaction is known until that is over, since the file does not
 * say before where it stands; one that is damaged, or set aside, throws for whoever asks.
 */
import { lastSegmentOf, readEntry, type Store, sealEntry, seqOf, type TopicEntry } from './lmdb-store.ts'
import { DamagedLog } from './log.ts'

/** Topics of which it is kept in memory where they stand. */
const KNOWN = 20_000

/** Where a topic stands. */
export interface Topic extends TopicEntry {
  readonly name: string
  trimmed: number
  wake: number | null
  last: number
}

/** Where a topic stands to which nobody has ever written. */
export const UNBORN: Topic = { id: 0, trimmed: 0, wake: null, name: '', last: 0 }

export class Topics {
  readonly #store: Store
  readonly #known = new Map<string, Topic>()
  readonly #quarantine = new Map<string, string>()
  #next: number

  constructor(store: Store) {
    this.#store = store
    this.#next = this.#count()
  }

  /** @throws {DamagedLog} */
  of(name: string): Topic | undefined {
    const known = this.#known.get(name)
    if (known) return known
    const why = this.#quarantine.get(name)
    if (why !== undefined) throw new DamagedLog(`${name} is set aside: ${why}`)
    const stored = this.#store.topics.get(name)
    if (!stored) return undefined
    const entry = readEntry(name, stored)
    const [lastKey] = this.#store.segments.getKeys(lastSegmentOf(entry))
    return this.#remember({ ...entry, name, last: lastKey ? seqOf(lastKey) : 0 })
  }

  create(name: string): Topic {
    const topic = this.#remember({ id: this.#next++, trimmed: 0, wake: null, name, last: 0 })
    this.write(topic)
    return topic
  }

  /** Its own entry, as it is now. */
  write(topic: Topic): void {
    this.#store.topics.put(topic.name, sealEntry(topic.name, topic))
  }

  /** Nothing came of what was written to these. */
  takeBack(names: readonly string[]): void {
    for (const name of names) this.#known.delete(name)
    this.#next = this.#count()
  }

  quarantine(name: string, why: string): void {
    this.#known.delete(name)
    this.#quarantine.set(name, why)
  }

  /** Forgets the oldest beyond so many; only while no transaction is under way. */
  trim(): void {
    for (const name of this.#known.keys()) {
      if (this.#known.size <= KNOWN) return
      this.#known.delete(name)
    }
  }

  /** The number of the next that is created. */
  #count(): number {
    return this.#store.topics.getCount() + 1
  }

  #remember(topic: Topic): Topic {
    this.#known.set(topic.name, topic)
    return topic
  }
}
