/**
 * How much of a room's log is kept: a snapshot every so many records, and behind it no more records, and none older,
 * than the machine's policy says. So the disk that a busy room uses is bounded.
 */

/** The part of a machine's policy that is about its log. */
export interface RetentionPolicy {
  /** Records from one snapshot to the next. */
  readonly snapshotEvery: number
  /** Records that are kept for resume and history. */
  readonly history: number
  /** Milliseconds for which they are kept; 0 for ever. Looked at when a snapshot is due. */
  readonly historyAge: number
}

export class Retention {
  readonly #policy: RetentionPolicy
  #lastSnapshot = 0
  /** Snapshots that are not yet older than `historyAge`. */
  #marks: { readonly seq: number; readonly time: number }[] = []

  constructor(policy: RetentionPolicy) {
    this.#policy = policy
  }

  /** The room was read from its log, and stands at `seq`. */
  begin(seq: number, snapshot: number, now: number): void {
    this.#lastSnapshot = snapshot
    this.#marks = [{ seq, time: now }]
  }

  isSnapshotDue(seq: number): boolean {
    return seq - this.#lastSnapshot >= this.#policy.snapshotEvery
  }

  /** A snapshot is taken at `seq`. @returns the seq up to which records may be forgotten. */
  snapshotAt(seq: number, now: number): number {
    const { history, historyAge } = this.#policy
    this.#lastSnapshot = seq
    if (historyAge === 0) return Math.max(0, seq - history)
    const old = this.#marks.filter(({ time }) => now - time >= historyAge)
    this.#marks = [...this.#marks.slice(old.length), { seq, time: now }]
    return Math.max(0, seq - history, old.at(-1)?.seq ?? 0)
  }
}
