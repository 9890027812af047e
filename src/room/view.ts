/**
 * What those who watch a room see at one seq.
 *
 * Always true: a view never changes; a frame that many get is encoded once.
 */
import { diff, type Operation } from '../patch.ts'
import { encode } from '../protocol.ts'

export class View {
  readonly room: string
  readonly epoch: string
  readonly seq: number
  readonly state: unknown
  #snapshot: Buffer | undefined
  #missed: Map<number, Promise<Buffer | undefined>> | undefined

  constructor(room: string, epoch: string, seq: number, state: unknown) {
    this.room = room
    this.epoch = epoch
    this.seq = seq
    this.state = state
  }

  /** The `snapshot` frame, encoded once for all who join here. */
  get snapshot(): Buffer {
    this.#snapshot ??= Buffer.from(
      encode({ type: 'snapshot', room: this.room, epoch: this.epoch, seq: this.seq, state: this.state }),
    )
    return this.#snapshot
  }

  differsFrom(other: View): boolean {
    return diff(other.state, this.state).length > 0
  }

  /** The `patch` frame from an earlier view to this one. */
  patchFrom(base: View): Buffer {
    return this.patch(base.seq, diff(base.state, this.state))
  }

  /** The `patch` frame that carries `ops` from the seq `base` to this view. */
  patch(base: number, ops: readonly Operation[]): Buffer {
    const { room, epoch, seq } = this
    return Buffer.from(encode({ type: 'patch', room, epoch, base, seq, ops }))
  }

  /** What `read` makes of the way from `seq` to this view: asked once for all who resume from there. */
  missedSince(seq: number, read: () => Promise<Buffer | undefined>): Promise<Buffer | undefined> {
    this.#missed ??= new Map()
    const known = this.#missed.get(seq)
    if (known) return known
    const missed = read()
    this.#missed.set(seq, missed)
    return missed
  }
}
