/**
 * The command `replay`: a room's past, from a file that the inspector exported, step by step; and whether this machine's
 * file would make of each event what it made of it then.
 *
 * Always true: nothing is stored, and nothing of a machine runs but its own pure functions.
 */
import { readFileSync } from 'node:fs'
import { type Difference, Replay } from '../check/replay.ts'
import type { RoomDocument } from '../machine/document.ts'
import { Machine } from '../machine/machine.ts'
import { applyPatch } from '../patch.ts'
import { machineNamed } from './chart-command.ts'
import { stateName } from './configuration.ts'
import type { ExportedRecord, Heading } from './export.ts'

export const REPLAY_USAGE = `chartroom replay <file>            play back a room that the inspector exported, and compare it with the machine's file`

export interface ReplayOptions {
  readonly file: string | undefined
  /** Where the machine files are. */
  readonly folder: string
  readonly json: boolean
}

type Print = (line: string) => void

/** @returns whether everything that was compared came out as it was recorded. @throws with one line that says what is wrong. */
export async function replayCommand({ file, folder, json }: ReplayOptions, print: Print): Promise<boolean> {
  if (file === undefined) throw new Error('replay: which file? the inspector exports one of a room')
  const { heading, records } = readExport(file)
  const found = await machineNamed(heading.machine, folder).catch(() => undefined)
  const playback = new Playback(heading, found && new Machine(found.name, found.file))
  for (const record of records) {
    const difference = playback.next(record)
    const { value } = playback.document
    const { seq, time, from, event } = record
    if (json) print(JSON.stringify({ seq, time, from, event, value, ...(difference && { difference }) }))
    else for (const line of tell(record, value, difference)) print(line)
  }
  if (!json) print(playback.summary)
  return playback.different === 0
}

/** A room that is played back. */
class Playback {
  document: RoomDocument
  different = 0
  #played = 0
  #compared = 0
  #hidden = 0
  readonly #room: string
  readonly #machine: Machine | undefined
  #replay: Replay | undefined

  constructor({ room, start }: Heading, machine: Machine | undefined) {
    this.document = start?.document as RoomDocument
    this.#room = room
    this.#machine = machine
  }

  next(record: ExportedRecord): Difference | undefined {
    this.#played++
    const before = this.document
    this.document = applyPatch(before, record.ops)
    if (!this.#machine) return undefined
    if (record.hidden) {
      this.#hidden++
      this.#replay = undefined
      return undefined
    }
    this.#replay ??= new Replay(this.#room, this.#machine, before)
    const compared = this.#replay.compared
    const difference = this.#replay.next(record)
    this.#compared += this.#replay.compared - compared
    if (difference) this.different++
    return difference
  }

  get summary(): string {
    const played = `${this.#room}: ${this.#played} records`
    if (!this.#machine) return `${played}; there is no machine file to compare them with`
    const hidden = this.#hidden > 0 ? `; ${this.#hidden} have hidden parts and were not` : ''
    return `${played}, ${this.#compared} compared, ${this.different} come out otherwise now${hidden}`
  }
}

function readExport(file: string): { heading: Heading; records: ExportedRecord[] } {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  const [heading, ...records] = lines.map((line, i) => parsed(line, `${file}:${i + 1}`))
  const { chartroom, room, machine } = (heading ?? {}) as Partial<Heading>
  if (chartroom !== 1 || typeof room !== 'string' || typeof machine !== 'string')
    throw new Error(`${file}: its first line does not say what it is of; export it from the inspector`)
  return { heading: heading as Heading, records: records as ExportedRecord[] }
}

function parsed(line: string, place: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw new Error(`${place}: this is not JSON`)
  }
}

function tell(
  { seq, time, from, event }: ExportedRecord,
  value: unknown,
  difference: Difference | undefined,
): string[] {
  const at = new Date(time).toISOString()
  const line = `${`${seq}`.padStart(5)}  ${at}  ${(from ?? '·').padEnd(12)} ${JSON.stringify(event)}  → ${stateName(value) || '·'}`
  const changes = difference?.changes.map(
    ({ path, stored, now }) => `       ${path}: was ${JSON.stringify(stored)}, is now ${JSON.stringify(now)}`,
  )
  return [line, ...(difference?.why === undefined ? [] : [`       ${difference.why}`]), ...(changes ?? [])]
}
