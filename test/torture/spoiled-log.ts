/**
 * What a real server makes of a spoiled log: it refuses to start and says what to do, or it quarantines a room, or
 * serves it as it was. Anything else is a violation: to hang, to die, to serve what never was, to forget without a word.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { Dice } from '../fixtures/dice.ts'
import { ServerProcess } from '../fixtures/server.ts'
import { type Frame, Tab } from '../fixtures/tab.ts'
import { LogReader, type Reading } from './log-reader.ts'
import { type Mutation, mutate } from './mutations.ts'
import type { Progress } from './torture.ts'

const FILE = 'log.mdb'
/** Servers at a time. */
const LANES = 3
/** Milliseconds for a server to start or refuse. */
const START = 30_000
/** Messages in a room: some rooms have snapshots, and values that need pages of their own. */
const MESSAGES = [20, 20, 20, 40, 130, 230]
const LENGTHS = [10, 60, 200, 1500]
/** Rooms that are written to side by side, and messages of one room that may share a commit. */
const AT_ONCE = 10

/** From best to worst; a log's class is that of its worst room. */
const CLASSES = [
  'served right',
  'room quarantined',
  'refused',
  'shorter',
  'wrong',
  'died',
  'hung',
  'no advice',
] as const
export type Class = (typeof CLASSES)[number]
const PROMISED: readonly Class[] = ['served right', 'room quarantined', 'refused']

export interface Verdict {
  readonly class: Class
  readonly why: string
}

/** A log in good health, and what is in it. */
export interface Healthy {
  readonly file: Buffer
  readonly rooms: ReadonlyMap<string, Frame>
  readonly reading: Reading & { kind: 'read' }
}

/** Lets a real server write a log with so many rooms. */
export async function writeHealthyLog(rooms: number, seed: number): Promise<Healthy> {
  const dice = new Dice(seed)
  const server = await new ServerProcess({}).start()
  const reader = new LogReader()
  try {
    const names = Array.from({ length: rooms }, (_, i) => `chat/${i}`)
    const tab = await Tab.open(server, 'ann')
    const states = new Map<string, Frame>()
    for (let at = 0; at < rooms; at += AT_ONCE) {
      const some = names.slice(at, at + AT_ONCE)
      const frames = await Promise.all(some.map((name) => chatIn(tab, name, dice)))
      for (const frame of frames) states.set(frame.room, frame)
    }
    await server.end('SIGTERM')
    const reading = await reader.read({ folder: server.data, topics: names })
    if (reading.kind !== 'read') throw new Error(`the healthy log was not read: ${reading.error}`)
    return { file: readFileSync(join(server.data, FILE)), rooms: states, reading }
  } finally {
    await reader.dispose()
    await server.dispose()
  }
}

/** Some messages, a few to each commit. @returns what the room has come to. */
async function chatIn(tab: Tab, room: string, dice: Dice): Promise<Frame> {
  for (let left = dice.pick(MESSAGES); left > 0; left -= AT_ONCE)
    await Promise.all(Array.from({ length: AT_ONCE }, () => tab.post('x'.repeat(dice.pick(LENGTHS)), room)))
  return get(tab, room)
}

const get = (tab: Tab, room: string): Promise<Frame> => tab.ask({ type: 'get', room })

export interface Spoiled {
  readonly server: Verdict
  /** What becomes of whoever opens the file without looking first. */
  readonly module: Verdict
  readonly mutation: Mutation
}

export interface SpoilOptions {
  readonly mutations: number
  readonly seed: number
  readonly progress?: Progress
}

/** Spoils the log in many ways, a few servers at a time. */
export async function spoil(healthy: Healthy, options: SpoilOptions): Promise<Spoiled[]> {
  const { mutations, seed, progress = () => {} } = options
  const spoiled: Spoiled[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    const reader = new LogReader()
    while (next < mutations) {
      const number = next++
      spoiled[number] = await spoilOnce(healthy, mutate(healthy.file, number, new Dice(seed + number)), reader)
      progress(Object.keys(spoiled).length, mutations)
    }
    await reader.dispose()
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return spoiled
}

async function spoilOnce(healthy: Healthy, mutation: Mutation, reader: LogReader): Promise<Spoiled> {
  const module = await inFolder(mutation.bytes, (data) => judgeModule(healthy, data, reader))
  return { mutation, module, server: await judge(healthy, mutation.bytes) }
}

/** What a server makes of such a file. */
export const judge = (healthy: Healthy, file: Buffer): Promise<Verdict> =>
  inFolder(file, (data) => judgeServer(healthy, data))

async function inFolder(file: Buffer, judge: (data: string) => Promise<Verdict>): Promise<Verdict> {
  const data = mkdtempSync(join(tmpdir(), 'chartroom-spoiled-'))
  try {
    writeFileSync(join(data, FILE), file)
    return await judge(data)
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

async function judgeModule({ rooms, reading: whole }: Healthy, folder: string, reader: LogReader): Promise<Verdict> {
  const reading = await reader.read({ folder, topics: [...rooms.keys()] })
  if (reading.kind !== 'read') return { class: reading.kind, why: reading.error }
  return worst(
    Object.entries(whole.topics).map(([room, before]) => {
      const now = reading.topics[room]
      if (!now || 'error' in now) return { class: 'room quarantined', why: `${room}: ${now?.error}` }
      if (isDeepStrictEqual(now, before)) return RIGHT
      const isShorter = 'records' in before && now.last < before.last
      return { class: isShorter ? 'shorter' : 'wrong', why: `${room} ends at ${now.last}` }
    }),
  )
}

const RIGHT: Verdict = { class: 'served right', why: '' }

const worst = (verdicts: readonly Verdict[]): Verdict =>
  verdicts.reduce((worst, next) => (CLASSES.indexOf(next.class) > CLASSES.indexOf(worst.class) ? next : worst), RIGHT)

async function judgeServer({ rooms }: Healthy, data: string): Promise<Verdict> {
  const server = new ServerProcess({ env: { CHARTROOM_DATA: data } })
  try {
    return (await begin(server, data)) ?? (await judgeRooms(server, rooms))
  } finally {
    await server.dispose()
  }
}

/** @returns nothing where the server has started. */
export async function begin(server: ServerProcess, data: string): Promise<Verdict | undefined> {
  let patience: NodeJS.Timeout | undefined
  const late = new Promise<Verdict>((resolve) => {
    patience = setTimeout(() => resolve({ class: 'hung', why: `not started within ${START} ms` }), START)
  })
  const started = server.start().then(
    () => undefined,
    (error: Error) => refusal(error.message, server.stderr, data),
  )
  const verdict = await Promise.race([started, late])
  clearTimeout(patience)
  return verdict
}

/** A refusal ends with 1, and all on stderr but the log's lines is our own words, which say where; else it is a death, or no advice. */
function refusal(message: string, stderr: string, data: string): Verdict {
  if (!message.startsWith('the server ended with 1:')) return { class: 'died', why: message.slice(0, 120) }
  const lines = stderr
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('{'))
  const isAdvice = lines.every((line) => line.startsWith('chartroom: ')) && stderr.includes(data)
  return { class: isAdvice ? 'refused' : 'no advice', why: lines.at(-1) ?? '' }
}

async function judgeRooms(server: ServerProcess, rooms: ReadonlyMap<string, Frame>): Promise<Verdict> {
  try {
    const tab = await Tab.open(server, 'ann')
    const verdicts: Verdict[] = []
    for (const [room, before] of rooms) verdicts.push(judgeRoom(room, before, await get(tab, room)))
    return worst(verdicts)
  } catch (error) {
    const why = (error as Error).message.slice(0, 120)
    return { class: /within \d+ ms/.test(why) ? 'hung' : 'died', why }
  }
}

function judgeRoom(room: string, before: Frame, now: Frame): Verdict {
  if (now.type === 'error') {
    return { class: now.code === 'room_failed' ? 'room quarantined' : 'wrong', why: `${room}: ${now.code}` }
  }
  const [seq, state] = [isDeepStrictEqual(now.seq, before.seq), isDeepStrictEqual(now.state, before.state)]
  if (seq && state) return RIGHT
  const epoch = now.epoch === before.epoch ? '' : ', and the epoch is another'
  return {
    class: now.seq < before.seq ? 'shorter' : 'wrong',
    why: `${room} is at ${now.seq}, was at ${before.seq}${epoch}`,
  }
}

/** How many of each class, in a line; by the way in which the log was spoiled, or for all. */
export function countClasses(verdicts: readonly Verdict[]): string {
  const counts = CLASSES.map((name) => [name, verdicts.filter((verdict) => verdict.class === name).length] as const)
  return counts.flatMap(([name, count]) => (count > 0 ? [`${name} ${count}`] : [])).join(', ')
}

export const isPromised = ({ class: name }: Verdict): boolean => PROMISED.includes(name)
