/**
 * Group commit: all rooms and inboxes that have mail take their turn in one tick of the event loop, and what they append
 * goes down as one transaction.
 *
 * Always true: one transaction is under way at a time, and whatever arrives meanwhile shares the next; a promise per
 * tick, none per event. While the storage refuses writes, turns only read, and the storage is asked again and again.
 */

import type { Logger } from '../logger.ts'
import { type Batch, type CommitResult, DamagedLog, type Log, StorageRefused } from './log.ts'

/** Milliseconds between two questions whether the storage takes writes again. */
const PROBE_EVERY = 250

/** Milliseconds that the log may take to say that a transaction is durable. */
const PATIENCE = 10_000

/** Behind a commit of so many records the next one waits for so many milliseconds: fewer and larger ones cost less. */
const BUSY = 8
const PAUSE = 1

/** One that takes part: `commit` takes its turn, and calls `append` before it first awaits, or not at all. */
export interface Participant {
  commit(): Promise<void>
}

export class Commits {
  readonly #log: Log
  readonly #logger: Logger
  readonly #due = new Set<Participant>()
  readonly #deferred = new Set<Participant>()
  #group = new Group()
  #scheduled = false
  #underWay = false
  #probing: NodeJS.Timeout | undefined
  #tellStuck = (_error: Error): void => {}
  /** Resolves when the log does not answer any more: what is under way has no known end, and nothing comes after it. */
  readonly stuck = new Promise<Error>((resolve) => {
    this.#tellStuck = resolve
  })

  constructor(log: Log, logger: Logger) {
    this.#log = log
    this.#logger = logger
  }

  /** Whether the storage takes writes, as far as is known. */
  get isWritable(): boolean {
    return this.#probing === undefined
  }

  /** Lets `participant` take a turn in the next tick. */
  enlist(participant: Participant): void {
    this.#due.add(participant)
    this.#schedule()
  }

  /** Lets `participant` take a turn as soon as the storage takes writes. */
  enlistToWrite(participant: Participant): void {
    if (this.isWritable) this.enlist(participant)
    else this.#deferred.add(participant)
  }

  /**
   * Adds to the transaction of this tick.
   * @throws {DamagedLog} where nothing can be added to the topic; else what the log throws: the outcome is unknown then.
   */
  async append(batch: Batch): Promise<Exclude<CommitResult, { damaged: string }>> {
    const { batches, written } = this.#group
    const place = batches.push(batch) - 1
    this.#group.size += batch.lines.length
    const result = (await written)[place] as CommitResult
    if ('damaged' in result) throw new DamagedLog(result.damaged)
    return result
  }

  /** Resolves when nothing waits and nothing is under way. */
  async settled(): Promise<void> {
    while (this.#scheduled || this.#underWay) await new Promise((resolve) => setImmediate(resolve))
  }

  /** Resolves when all is written; the storage is asked no more. */
  async stop(): Promise<void> {
    await this.settled()
    clearTimeout(this.#probing)
  }

  /** In the next tick; behind a commit of many records a little later, so that those who were told can be part of it. */
  #schedule(): void {
    if (this.#scheduled || this.#underWay) return
    this.#scheduled = true
    if (this.#group.size < BUSY) setImmediate(() => this.#turn())
    else setTimeout(() => this.#turn(), PAUSE)
  }

  #turn(): void {
    this.#scheduled = false
    const due = [...this.#due]
    this.#due.clear()
    const group = new Group()
    this.#group = group
    for (const participant of due) void participant.commit()
    if (group.batches.length > 0) void this.#write(group)
  }

  async #write(group: Group): Promise<void> {
    this.#underWay = true
    const watchdog = setTimeout(() => this.#timedOut(group), PATIENCE)
    try {
      group.resolve(await this.#log.commit(group.batches))
    } catch (error) {
      if (error instanceof StorageRefused) this.#refused(error)
      group.reject(error)
    }
    clearTimeout(watchdog)
    this.#underWay = false
    if (this.#due.size > 0) this.#schedule()
  }

  /** Those who wait may ask again (rule R3); a log that is stuck stays so until the process is another one. */
  #timedOut(group: Group): void {
    const error = new Error(`the log did not say within ${PATIENCE} ms that it has written`)
    group.reject(error)
    this.#underWay = false
    this.#tellStuck(error)
  }

  #refused(error: StorageRefused): void {
    if (this.isWritable) this.#logger.error({ err: error }, 'the storage refuses writes; rooms can only be read')
    this.#probeLater()
  }

  #probeLater(): void {
    clearTimeout(this.#probing)
    this.#probing = setTimeout(() => void this.#probe(), PROBE_EVERY)
  }

  async #probe(): Promise<void> {
    try {
      await this.#log.probe()
    } catch (error) {
      this.#logger.debug({ err: error }, 'the storage still refuses writes')
      return this.#probeLater()
    }
    this.#probing = undefined
    this.#logger.info('the storage takes writes again')
    for (const participant of this.#deferred) this.enlist(participant)
    this.#deferred.clear()
  }
}

/** The batches of one tick, and the promise that all of them share. */
class Group {
  readonly batches: Batch[] = []
  /** Records in it. */
  size = 0
  resolve!: (results: CommitResult[]) => void
  reject!: (error: unknown) => void
  readonly written = new Promise<CommitResult[]>((resolve, reject) => {
    this.resolve = resolve
    this.reject = reject
  })
}
