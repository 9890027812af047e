/**
 * A room's past as a file (JSON Lines): what it is of in the first line, then one record a line as the log has them. The
 * command `chartroom replay` plays it back on any machine.
 *
 * Always true: what `policy.redact` names is hidden, and the lines of which that is so say it.
 */

import { type Failure, failure } from '../errors.ts'
import type { LogRecord } from '../log/log.ts'
import type { RoomDocument } from '../machine/document.ts'
import type { Moments } from './moments.ts'
import type { Lens } from './room-sight.ts'

/** The first line. */
export interface Heading {
  readonly chartroom: 1
  readonly room: string
  readonly machine: string
  readonly version: string
  readonly epoch: string
  /** Where the head of the log was trimmed: the room as the records that follow find it. */
  readonly start?: { readonly seq: number; readonly document: RoomDocument }
}

/** A record, and whether something of it is hidden. */
export type ExportedRecord = LogRecord & { readonly hidden?: true }

/** Bytes of a file, about. */
const MOST = 64 * 1024 * 1024

export async function exported(
  room: string,
  { machine, redactor }: Lens,
  version: string,
  moments: Moments,
): Promise<string | Failure> {
  const { epoch, last } = await moments.extentOf(room)
  if (last === 0) return failure('unknown_seq', `nothing is stored of ${room}`)
  const start = await moments.oldest(room)
  const shown = start && { seq: start.seq, document: redactor.document(start.document) }
  const heading: Heading = { chartroom: 1, room, machine, version, epoch, ...(shown && { start: shown }) }
  const lines = [JSON.stringify(heading)]
  let size = 0
  for await (const { record } of moments.passages(room, start?.seq ?? 0, last, start?.document)) {
    const event = redactor.event(record.event)
    const ops = redactor.ops(record.ops)
    const isHidden = redactor.isNeeded && JSON.stringify([event, ops]) !== JSON.stringify([record.event, record.ops])
    const line = JSON.stringify({ ...record, event, ops, ...(isHidden && { hidden: true }) } satisfies ExportedRecord)
    size += line.length
    if (size > MOST)
      return failure('too_large', `${room} has more than ${MOST} characters; "chartroom log cat" prints them`)
    lines.push(line)
  }
  return `${lines.join('\n')}\n`
}
