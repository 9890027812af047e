/**
 * The command `check --deploy`: every stored room under the machine files as they are now, event by event, before a server
 * meets them. Beside a running server or without one.
 *
 * Always true: the data folder is only read; a room that is damaged, or whose machine is gone, does not keep the others
 * from being looked at; of each room the first event that would behave differently is told.
 */
import { existsSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { Inspection } from '../log/inspection.ts'
import { logFile } from '../log/lmdb-store.ts'
import { DamagedLog, type Log, recordsAfter } from '../log/log.ts'
import { openLmdbLogToRead } from '../log/log-lmdb.ts'
import { Machine } from '../machine/machine.ts'
import type { LoadedFile } from '../machine/machine-file.ts'
import { PatchError } from '../patch.ts'
import { oldestOf } from '../room/recovery.ts'
import { type Change, type Difference, Replay } from './replay.ts'

/** What became of one room. */
export interface Verdict {
  readonly room: string
  readonly machine: string
  /** Records that were compared; and not: of an older version, not held whole, before any state that is held. */
  readonly compared: number
  readonly outdated: number
  readonly unseen: number
  readonly missed: number
  readonly difference?: Difference
  /** Why the room could not be looked at, or cannot go on. */
  readonly trouble?: string
  /** There is no machine of its name, so that nothing could be compared. */
  readonly isOrphan?: true
}

export interface Deployment {
  readonly files: ReadonlyMap<string, LoadedFile>
  readonly data: string
  /** One room alone, or the rooms of one machine. */
  readonly room: string | undefined
  readonly machine: string | undefined
  /** Is told now and then how far it has come. */
  onProgress(line: string): void
}

/** What becomes of a room without a machine. */
const OTHERWISE = 'leave it: it answers unknown_machine, and what is stored of it stays'

/** Milliseconds from one word of progress to the next. */
const PROGRESS = 3000

/** @throws where there is no log, or all of it is damaged. */
export async function checkDeployment(deployment: Deployment): Promise<Verdict[]> {
  const { data, files, room: only, machine } = deployment
  const damages = await damagesOf(data)
  const log = openLmdbLogToRead(data)
  try {
    const prefix = machine === undefined ? '' : `${machine}/`
    const rooms = (await log.topics(prefix)).filter((name) => !name.startsWith('$') && (only ?? name) === name)
    if (only !== undefined && rooms.length === 0)
      throw new Error(`nothing is stored of ${only}; "chartroom log ls" lists what is`)
    const machines = new Map([...files].map(([name, file]) => [name, new Machine(name, file)]))
    return await verdictsOn(rooms, (room) => verdictOn(log, room, machines, damages.get(room)), deployment.onProgress)
  } finally {
    await log.close()
  }
}

async function verdictsOn(
  rooms: readonly string[],
  look: (room: string) => Promise<Verdict>,
  onProgress: (line: string) => void,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = []
  let toldAt = Date.now()
  for (const room of rooms) {
    verdicts.push(await look(room))
    // The read transaction ends here: one room is read as of one moment, and a server that runs frees its pages.
    await setImmediate()
    if (Date.now() - toldAt < PROGRESS) continue
    toldAt = Date.now()
    onProgress(`${verdicts.length} of ${rooms.length} rooms looked at`)
  }
  return verdicts
}

async function verdictOn(
  log: Log,
  room: string,
  machines: ReadonlyMap<string, Machine>,
  damage: string | undefined,
): Promise<Verdict> {
  const name = room.slice(0, room.indexOf('/'))
  const nothing = { room, machine: name, compared: 0, outdated: 0, unseen: 0, missed: 0 }
  const machine = machines.get(name)
  if (!machine)
    return {
      ...nothing,
      trouble: `could not be compared: there is no machine of that name; put ${name}.ts back, or ${OTHERWISE}`,
      isOrphan: true,
    }
  if (damage !== undefined) return { ...nothing, trouble: `it is damaged: ${damage}` }
  try {
    return { ...nothing, ...(await replayed(log, room, machine)) }
  } catch (error) {
    if (!(error instanceof DamagedLog || error instanceof PatchError)) throw error
    return { ...nothing, trouble: `it is damaged: ${error.message}` }
  }
}

async function replayed(log: Log, room: string, machine: Machine): Promise<Omit<Verdict, 'room' | 'machine'>> {
  const { seq, document, missed } = await oldestOf(log, room)
  const replay = new Replay(room, machine, document)
  let difference: Difference | undefined
  for await (const record of recordsAfter(log, room, seq)) {
    if (difference) replay.skip(record)
    else difference = replay.next(record)
  }
  const { compared, outdated, unseen, obstacle } = replay
  const trouble = obstacle === undefined ? {} : { trouble: `it cannot go on from where it is: ${obstacle}` }
  return { compared, outdated, unseen, missed, ...(difference && { difference }), ...trouble }
}

/** By topic. In a child process, which a damaged file may end. @throws where there is nothing to be read */
async function damagesOf(data: string): Promise<Map<string, string>> {
  if (!existsSync(logFile(data))) throw new Error(`${data} holds no log; name its folder with --data`)
  const damages = new Map<string, string>()
  const whole: string[] = []
  await new Inspection(data, ({ topic, why, isPast }) => {
    if (topic === null) whole.push(why)
    else if (!isPast) damages.set(topic, why)
  }).done
  if (whole[0] !== undefined) throw new Error(`the log in ${data} is damaged: ${whole[0]}; see "chartroom log verify"`)
  return damages
}

/** Changes that are told of one event. */
const TOLD = 3
/** Characters of a value that are told. */
const WIDTH = 60

const HINT = `the event that it stopped at is the first, what follows in that room was not compared;
a machine that asks Math.random() or the clock differs from itself: use the event's time and seq`

/** The lines that tell what came of it: the first event of each machine in full, and the counts. */
export function tellVerdicts(verdicts: readonly Verdict[]): string[] {
  const machines = [...new Set(verdicts.map(({ machine }) => machine))]
  const lines = machines.flatMap((machine) => tellMachine(verdicts.filter((verdict) => verdict.machine === machine)))
  const events = sum(verdicts, 'compared')
  const bad = verdicts.filter(isBad)
  const total = `${counted(verdicts.length, 'room')}, ${counted(events, 'event')}`
  if (bad.length === 0) return [...lines, `${total}: all as before`]
  const hint = bad.some(({ difference }) => difference) ? HINT.split('\n') : []
  return [...lines, ...hint, `${total}: ${tellBad(bad)}`]
}

/** Each room counts once. */
function tellBad(bad: readonly Verdict[]): string {
  const kinds = [
    [bad.filter(({ difference }) => difference), 'would behave differently'],
    [bad.filter(({ difference, isOrphan }) => !difference && !isOrphan), 'could not be served'],
    [bad.filter(({ isOrphan }) => isOrphan), 'could not be compared'],
  ] as const
  const told = kinds.filter(([rooms]) => rooms.length > 0)
  return told.map(([rooms, what]) => `${counted(rooms.length, 'room')} ${what}`).join(', ')
}

export const isBad = ({ difference, trouble }: Verdict): boolean => difference !== undefined || trouble !== undefined

function tellMachine(verdicts: readonly Verdict[]): string[] {
  const [first] = verdicts.filter(({ difference }) => difference)
  const troubled = verdicts.filter(({ trouble }) => trouble !== undefined)
  const others = verdicts.filter(({ difference }) => difference).length - 1
  return [
    ...(first?.difference ? tellDifference(first.room, first.difference) : []),
    ...(others > 0 ? [`  and ${counted(others, 'other room')} of ${first?.machine}`] : []),
    ...troubled.slice(0, TOLD).map(({ room, trouble }) => `${room}  ${trouble}`),
    ...(troubled.length > TOLD ? [`  and ${counted(troubled.length - TOLD, 'other room')} alike`] : []),
    tellCounts(verdicts),
  ]
}

function tellCounts(verdicts: readonly Verdict[]): string {
  const bad = verdicts.filter(isBad).length
  const how = verdicts.some(({ isOrphan }) => isOrphan) ? 'could not be compared' : 'not as before'
  const notCompared = [
    [sum(verdicts, 'outdated'), 'of an older version not compared'],
    [sum(verdicts, 'unseen'), 'with what is no JSON not compared'],
    [sum(verdicts, 'missed'), 'before the first state that is held'],
  ] as const
  return [
    `${verdicts[0]?.machine}  ${counted(verdicts.length, 'room')}, ${counted(sum(verdicts, 'compared'), 'event')}`,
    bad === 0 ? 'as before' : `${bad} ${how}`,
    ...notCompared.filter(([count]) => count > 0).map(([count, why]) => `${counted(count, 'event')} ${why}`),
  ].join(', ')
}

function tellDifference(room: string, { seq, type, from, why, changes }: Difference): string[] {
  const more = changes.length - TOLD
  return [
    `${room}  seq ${seq}, ${type}${from === null ? '' : ` from ${from}`}: would behave differently`,
    ...(why === undefined ? [] : [`  ${why}`]),
    ...changes.slice(0, TOLD).map(tellChange),
    ...(more > 0 ? [`  and in ${counted(more, 'other place')}`] : []),
  ]
}

const tellChange = ({ path, stored, now }: Change): string =>
  `  ${path || '(all)'}: ${short(stored)} then, ${short(now)} now`

function short(value: unknown): string {
  const json = JSON.stringify(value) ?? 'nothing'
  return json.length > WIDTH ? `${json.slice(0, WIDTH)}...` : json
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

function sum(verdicts: readonly Verdict[], what: 'compared' | 'outdated' | 'unseen' | 'missed'): number {
  return verdicts.reduce((total, verdict) => total + verdict[what], 0)
}
