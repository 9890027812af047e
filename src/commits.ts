/**
 * Group commit: all rooms that have mail take their turn in one tick of the event loop, and what they append goes
 * down as one transaction.
 *
 * Always true: one transaction is under way at a time, and whatever arrives meanwhile shares the next; a promise per
 * tick, none per event.
 */
import type { Batch, CommitResult, Log } from './log.ts'

/** One that takes part: `commit` takes its turn, and calls `append` before it first awaits, or not at all. */
export interface Participant {
  commit(): Promise<void>
}

export class Commits {
  readonly #log: Log
  readonly #due = new Set<Participant>()
  #group = new Group()
  #scheduled = false
  #underWay = false

  constructor(log: Log) {
    this.#log = log
  }

  /** Lets `participant` take a turn in the next tick. */
  enlist(participant: Participant): void {
    this.#due.add(participant)
    this.#schedule()
  }

  /** Adds to the transaction of this tick. @throws what the log throws: the outcome is unknown then. */
  async append(batch: Batch): Promise<CommitResult> {
    const { batches, written } = this.#group
    const place = batches.push(batch) - 1
    return (await written)[place] as CommitResult
  }

  /** Resolves when nothing waits and nothing is under way. */
  async settled(): Promise<void> {
    while (this.#scheduled || this.#underWay) await new Promise((resolve) => setImmediate(resolve))
  }

  #schedule(): void {
    if (this.#scheduled || this.#underWay) return
    this.#scheduled = true
    setImmediate(() => this.#turn())
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
    await this.#log.commit(group.batches).then(group.resolve, group.reject)
    this.#underWay = false
    if (this.#due.size > 0) this.#schedule()
  }
}

/** The batches of one tick, and the promise that all of them share. */
class Group {
  readonly batches: Batch[] = []
  resolve!: (results: CommitResult[]) => void
  reject!: (error: unknown) => void
  readonly written = new Promise<CommitResult[]>((resolve, reject) => {
    this.resolve = resolve
    this.reject = reject
  })
}
