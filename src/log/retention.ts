/**
 * How much of a room's log is kept: a snapshot every so many records, and behind it about as many records, and as old
 * ones, as the machine's policy says. So the disk that a busy room uses is bounded.
 *
 * Always true: no more is written of snapshots than of records, but for those that would be too many records apart
 * (docs/decisions/0012), and the copies that are kept; a log that was trimmed begins behind a keyframe, so that every record has its state
 * (docs/decisions/0015).
 */

/** The part of a machine's policy that is about its log. */
export interface RetentionPolicy {
  /** Records from one snapshot to the next; where the snapshot is larger than they are, up to `STRETCH` times as many. */
  readonly snapshotEvery: number
  /** Records that are kept for resume and history: up to a `PARTS`th more, or those from one snapshot to the next. */
  readonly history: number
  /** Milliseconds for which they are kept, likewise; 0 for ever. Looked at when a snapshot is due. */
  readonly historyAge: number
}

/** How many times `snapshotEvery` records there may be behind a large snapshot, all of them read at recovery. */
const STRETCH = 10
/** Keyframes within `history`, and within `historyAge`. */
const PARTS = 4

/** A snapshot that is kept for as long as any record behind it. */
interface Keyframe {
  readonly seq: number
  /** When it was taken; when it was read, if it was not taken here. */
  readonly time: number
}

export class Retention {
  readonly #policy: RetentionPolicy
  #lastSnapshot = 0
  /** Characters of the last snapshot, 0 where it was not taken here, and of the records behind it. */
  #snapshotSize = 0
  #recordsSize = 0
  /** Those that are held, in order. */
  #keyframes: Keyframe[] = []
  /** The last of them; without any the birth of the room, where every record is held. */
  #lastKeyframe: Keyframe = { seq: 0, time: 0 }

  constructor(policy: RetentionPolicy) {
    this.#policy = policy
  }

  /** The room was read from its log, which has a snapshot at `snapshot` and holds these keyframes. */
  begin(snapshot: number, keyframes: readonly number[], now: number): void {
    this.#lastSnapshot = snapshot
    this.#snapshotSize = 0
    this.#recordsSize = 0
    this.#keyframes = keyframes.map((seq) => ({ seq, time: now }))
    this.#lastKeyframe = this.#keyframes.at(-1) ?? { seq: 0, time: now }
  }

  /** Records up to `seq` are added, of so many characters. @returns whether a snapshot is to go down with them. */
  add(seq: number, size: number): boolean {
    this.#recordsSize += size
    const { snapshotEvery } = this.#policy
    const records = seq - this.#lastSnapshot
    const isWorthIt = this.#recordsSize >= this.#snapshotSize || records >= STRETCH * snapshotEvery
    return records >= snapshotEvery && isWorthIt
  }

  /**
   * A snapshot of so many characters is taken at `seq`.
   * @returns whether it is a keyframe, and the seq up to which records may be forgotten: that of an earlier one.
   */
  snapshotAt(seq: number, size: number, now: number): { keep?: true; trim: number } {
    this.#lastSnapshot = seq
    this.#snapshotSize = size
    this.#recordsSize = 0
    const trim = this.#begun(seq, now)
    if (!this.#isDue(seq, now)) return { trim }
    this.#lastKeyframe = { seq, time: now }
    this.#keyframes.push(this.#lastKeyframe)
    return { keep: true, trim }
  }

  #isDue(seq: number, now: number): boolean {
    const { history, historyAge } = this.#policy
    const last = this.#lastKeyframe
    return seq - last.seq >= history / PARTS || (historyAge > 0 && now - last.time >= historyAge / PARTS)
  }

  /** Where the log is to begin: at the newest keyframe behind which there are records enough, or that is old enough. */
  #begun(seq: number, now: number): number {
    const { history, historyAge } = this.#policy
    const isOld = (at: Keyframe) => at.seq <= seq - history || (historyAge > 0 && now - at.time >= historyAge)
    const begin = this.#keyframes.findLast(isOld)?.seq ?? 0
    this.#keyframes = this.#keyframes.filter((at) => at.seq >= begin)
    return begin
  }
}
