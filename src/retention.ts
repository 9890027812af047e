/**
 * How much of a room's log is kept: a snapshot every so many records, and behind it no more records, and none older,
 * than the machine's policy says. So the disk that a busy room uses is bounded.
 *
 * Always true: no more is written of snapshots than of records, but for those that would be too many records apart
 * (docs/decisions/0012).
 */

/** The part of a machine's policy that is about its log. */
export interface RetentionPolicy {
  /** Records from one snapshot to the next; where the snapshot is larger than they are, up to `STRETCH` times as many. */
  readonly snapshotEvery: number
  /** Records that are kept for resume and history. */
  readonly history: number
  /** Milliseconds for which they are kept; 0 for ever. Looked at when a snapshot is due. */
  readonly historyAge: number
}

/** How many times `snapshotEvery` records there may be behind a large snapshot, all of them read at recovery. */
const STRETCH = 10

export class Retention {
  readonly #policy: RetentionPolicy
  #lastSnapshot = 0
  /** Characters of the last snapshot, 0 where it was not taken here, and of the records behind it. */
  #snapshotSize = 0
  #recordsSize = 0
  /** Snapshots that are not yet older than `historyAge`. */
  #marks: { readonly seq: number; readonly time: number }[] = []

  constructor(policy: RetentionPolicy) {
    this.#policy = policy
  }

  /** The room was read from its log, and stands at `seq`. */
  begin(seq: number, snapshot: number, now: number): void {
    this.#lastSnapshot = snapshot
    this.#snapshotSize = 0
    this.#recordsSize = 0
    this.#marks = [{ seq, time: now }]
  }

  /** Records up to `seq` are added, of so many characters. @returns whether a snapshot is to go down with them. */
  add(seq: number, size: number): boolean {
    this.#recordsSize += size
    const { snapshotEvery } = this.#policy
    const records = seq - this.#lastSnapshot
    const isWorthIt = this.#recordsSize >= this.#snapshotSize || records >= STRETCH * snapshotEvery
    return records >= snapshotEvery && isWorthIt
  }

  /** A snapshot of so many characters is taken at `seq`. @returns the seq up to which records may be forgotten. */
  snapshotAt(seq: number, size: number, now: number): number {
    const { history, historyAge } = this.#policy
    this.#lastSnapshot = seq
    this.#snapshotSize = size
    this.#recordsSize = 0
    if (historyAge === 0) return Math.max(0, seq - history)
    const old = this.#marks.filter(({ time }) => now - time >= historyAge)
    this.#marks = [...this.#marks.slice(old.length), { seq, time: now }]
    return Math.max(0, seq - history, old.at(-1)?.seq ?? 0)
  }
}
