/**
 * What the log says of a room: its last state, the keys that were used, and what somebody missed.
 *
 * Always true: recovery applies the ops that the records carry and runs no code of the machine, so neither a
 * `Math.random()` in somebody's `assign` nor yesterday's deploy can rewrite history.
 */
import { DedupeWindow, type UsedKey } from '../dedupe.ts'
import {
  DamagedLog,
  encodeLine,
  type Log,
  type LogRecord,
  type LogSnapshot,
  recordsAfter,
  type Shown,
} from '../log/log.ts'
import type { RoomDocument } from '../machine/document.ts'
import { applyPatch, type Operation, sealJson } from '../patch.ts'
import type { JoinMode, ServerFrames } from '../protocol.ts'
import type { View } from './view.ts'

/** Characters of events in one `history` frame. */
const HISTORY_SIZE = 512 * 1024

/** A room as its log has it; `document` is missing while the room is unborn. */
export interface Recovered {
  readonly epoch: string
  readonly seq: number
  /** The seq of its newest snapshot, 0 where there is none. */
  readonly snapshot: number
  /** The seqs of its keyframes. */
  readonly keyframes: readonly number[]
  readonly document: RoomDocument | undefined
  readonly keys: DedupeWindow
}

interface StoredState {
  readonly document: RoomDocument
  readonly keys: readonly UsedKey[]
}

/** The snapshot of a room, from which `recover` goes on, as a line of the log. @throws {TypeError} */
export function snapshotLine(seq: number, document: RoomDocument, keys: DedupeWindow, now: number): string {
  return encodeLine({ seq, state: { document, keys: keys.entries(now) } satisfies StoredState } satisfies LogSnapshot)
}

/**
 * Reads a room back: its newest snapshot, then the ops of every record behind it. The document is frozen, as that of a
 * room that lives is: a machine that changed it in place would be ahead of its log. @throws {DamagedLog}
 */
export async function recover(log: Log, room: string): Promise<Recovered> {
  const snapshot = await log.getSnapshot(room)
  const stored = snapshot?.state as StoredState | undefined
  const keys = new DedupeWindow(stored?.keys)
  let document = stored?.document
  let seq = snapshot?.seq ?? 0
  for await (const record of recordsAfter(log, room, seq)) {
    document = applyPatch(document as RoomDocument, record.ops)
    if (record.key !== undefined && record.from !== null) keys.use(record.from, record.key, record.seq, record.time)
    seq = record.seq
  }
  const [epoch, keyframes] = [await log.epoch(room), await log.keyframes(room)]
  return { epoch, seq, snapshot: snapshot?.seq ?? 0, keyframes, document: sealJson(document), keys }
}

/**
 * The oldest state of a room to which the log holds every record that followed: before its birth, its first
 * keyframe, or its newest snapshot. `missed` are records that are held, and lie before it, as in a log that was trimmed
 * before there were keyframes. @throws {DamagedLog}
 */
export async function oldestOf(
  log: Log,
  room: string,
): Promise<{ seq: number; document: RoomDocument | undefined; missed: number }> {
  const [first] = await log.read(room, { after: 0, limit: 1 })
  if (first?.seq === 1) return { seq: 0, document: undefined, missed: 0 }
  const [keyframe] = await log.keyframes(room)
  const snapshot = await log.getSnapshot(room, keyframe)
  if (!snapshot) throw new DamagedLog(`there is no snapshot before record ${first?.seq}`)
  const missed = Math.max(0, snapshot.seq + 1 - (first?.seq ?? snapshot.seq + 1))
  return { seq: snapshot.seq, document: (snapshot.state as StoredState).document, missed }
}

/** A place in one life of a room's log. */
export interface Position {
  readonly epoch: string
  readonly seq: number
}

/**
 * The one frame of state that leads from `since` to `view` (rule S3): empty where nothing was missed, or only events are
 * wanted.
 * @returns `undefined` where only a snapshot will do: another epoch, beyond the end, trimmed, or smaller so.
 */
export async function resume(
  log: Log,
  { since, mode, view, can }: { since: Position; mode: JoinMode; view: View; can: readonly string[] },
): Promise<Buffer | undefined> {
  if (since.epoch !== view.epoch || since.seq > view.seq) return undefined
  if (since.seq === view.seq) return NOTHING
  if (mode === 'events') return (await isHeld(log, view.room, since.seq)) ? NOTHING : undefined
  return view.missedSince(since.seq, () => missedFrame(log, since.seq, view, can))
}

export const NOTHING = Buffer.alloc(0)

/** Whether the record behind `after` is still there. */
async function isHeld(log: Log, room: string, after: number): Promise<boolean> {
  const [next] = await log.read(room, { after, limit: 1 })
  return next?.seq === after + 1
}

async function missedFrame(log: Log, after: number, view: View, can: readonly string[]): Promise<Buffer | undefined> {
  const ops = await opsBetween(log, after, view)
  if (ops?.some((op) => op.path.startsWith('/value'))) ops.push({ op: 'replace', path: '/can', value: can })
  const frame = ops && view.patch(after, ops)
  return frame && frame.length < view.snapshot.length ? frame : undefined
}

/** No operation on a `state` document has fewer characters. */
const LEAST_OP = '{"op":"remove","path":"/value"}'.length

/**
 * The ops on a room's `state` document from a seq to a view, as the records carry them; `undefined` when they cannot tell,
 * or are so many that the snapshot is smaller.
 */
async function opsBetween(
  log: Log,
  after: number,
  { room, seq: upTo, snapshot }: View,
): Promise<Operation[] | undefined> {
  if (after < 1) return undefined
  const ops: Operation[] = []
  let place = after
  for await (const record of recordsAfter(log, room, after)) {
    if (record.seq > upTo) break
    if (record.seq !== place + 1 || isMigration(record) || record.ops.some((op) => op.path === '')) return undefined
    for (const op of record.ops) if (VISIBLE.test(op.path)) ops.push(op)
    if (ops.length * LEAST_OP > snapshot.length) return undefined
    place = record.seq
  }
  return place === upTo ? ops : undefined
}

const isMigration = ({ event }: LogRecord): boolean => event.type === 'room.migrated'

/** The parts of the stored document that stand in the `state` document under the same path. */
const VISIBLE = /^\/(value|context|status|timers)(\/|$)/

export interface HistoryRange {
  readonly since?: number | undefined
  readonly limit?: number | undefined
  /** What of each record may be seen. */
  readonly show?: Shown
}

/** A page of a room's past up to `view`; it names the first seq where what was asked for was trimmed (rule L6). */
export async function historyOf(
  log: Log,
  { room, epoch, seq: last }: View,
  { since = 0, limit = 100, show = (record) => record }: HistoryRange,
): Promise<ServerFrames['history']> {
  const held = since < last ? await log.read(room, { after: since, limit: Math.min(limit, last - since) }) : []
  const records = fitting(held.filter(({ seq }) => seq <= last))
  const shown = records.map(show).filter((record) => record !== null)
  const events = shown.map(({ seq, event, from, time }) => ({ seq, event, from, time }))
  const first = records[0]?.seq
  const trimmed = first !== undefined && first > since + 1 && { first }
  return { type: 'history', room, epoch, events, more: (records.at(-1)?.seq ?? last) < last, ...trimmed }
}

/** As many as one frame should hold, one at least. */
function fitting(records: LogRecord[]): LogRecord[] {
  let size = 0
  const end = records.findIndex(({ event }, i) => {
    size += JSON.stringify(event).length
    return i > 0 && size > HISTORY_SIZE
  })
  return end === -1 ? records : records.slice(0, end)
}
