/**
 * SIGTERM under load (rule X1): nobody new gets in, everybody is told when to come back, the log is flushed, and what
 * was acknowledged is on disk. Then a drain that cannot end, because the log cannot be written, and a second signal.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { openLmdbLog } from '../../src/log/log-lmdb.ts'
import { ROOT, ServerProcess } from '../fixtures/server.ts'
import { Crowd, type Story } from './crowd.ts'
import { spread } from './figures.ts'
import { Peer } from './peer.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

const ROOMS = 40
/** Acknowledged events of each connection, on average, before the signal. */
const ROUNDS = 20
/** Milliseconds: the server's own `drainTimeout`. */
const DRAIN_TIMEOUT = 10_000
/** Milliseconds: a second signal is heeded when it comes later than a second after the first. */
const SECOND_AFTER = 1200

export const torture: Torture = { size: 2000, unit: 'connections', run }

export async function run(size: number, progress: Progress): Promise<Outcome> {
  const under = await underLoad(size, progress)
  const held = await heldUp()
  return { figures: { ...under.figures, ...held.figures }, violations: [...under.violations, ...held.violations] }
}

async function underLoad(size: number, progress: Progress): Promise<Outcome> {
  const server = await new ServerProcess({}).start()
  const crowd = new Crowd(size)
  try {
    await crowd.open(server.url, progress)
    await crowd.talk(ROOMS)
    while ((await crowd.acknowledged()) < size * ROUNDS) await new Promise((resolve) => setTimeout(resolve, 20))
    const began = performance.now()
    const exit = server.end('SIGTERM')
    const lateComers = knock(server.port, exit)
    const code = await exit
    const took = performance.now() - began
    const stories = await crowd.stories()
    const log = await onDisk(server.data, stories)
    const lost = missing(stories, log)
    const away = await afterRestart(server, log)
    const { admitted, refused } = await lateComers
    const told = stories.filter(({ closing, closed }) => closing?.code === 1001 && closed === 1001)
    const retries = stories.flatMap(({ closing }) => closing?.retryAfter ?? [])
    const violations: string[] = []
    if (code !== 0) violations.push(`the server ended with ${code}`)
    if (took > DRAIN_TIMEOUT) violations.push(`the drain took ${took.toFixed(0)} ms, allowed are ${DRAIN_TIMEOUT}`)
    if (admitted > 0) violations.push(`${admitted} newcomers were let in after the signal`)
    if (told.length < size) violations.push(`${size - told.length} were not told closing and 1001`)
    if (!isSpread(retries)) violations.push(`retryAfter is not spread: ${spread(retries)}`)
    violations.push(...lost, ...away)
    const acknowledged = stories.reduce((sum, story) => sum + story.acknowledged.length, 0)
    return {
      figures: {
        'told closing and 1001': `${told.length} of ${size}`,
        'retryAfter: least / median / most': spread(retries),
        'from the signal to exit 0': `${took.toFixed(0)} ms`,
        'newcomers let in / refused meanwhile': `${admitted} / ${refused}`,
        'acknowledged records, of them on disk': `${acknowledged} / ${acknowledged - lost.length}`,
      },
      violations,
    }
  } finally {
    crowd.end()
    await server.dispose()
  }
}

/** Tries to get in again and again until the server is gone. The first knock may have come before the signal. */
async function knock(port: number, exit: Promise<unknown>): Promise<{ admitted: number; refused: number }> {
  const tally = { admitted: 0, refused: 0 }
  let isOver = false
  void exit.then(() => {
    isOver = true
  })
  while (!isOver) {
    const isIn = await getsIn(port)
    // Until the first refusal the signal may not have been heard.
    if (!isIn) tally.refused++
    else if (tally.refused > 0) tally.admitted++
  }
  return tally
}

function getsIn(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Whether the instants fill the time over which they are to be spread: no quarter of it is left out. */
function isSpread(retries: readonly number[]): boolean {
  const quarters = [0, 1, 2, 3].map((n) => retries.filter((ms) => Math.floor((ms * 4) / (DRAIN_TIMEOUT + 1)) === n))
  return quarters.every((quarter) => quarter.length >= retries.length / 20)
}

/** What the file holds: each room's marks, by seq. */
type Marks = Map<string, Map<number, unknown>>

/** Reads the log as the server left it. */
async function onDisk(folder: string, stories: readonly Story[]): Promise<Marks> {
  const log = openLmdbLog(folder)
  const marks: Marks = new Map()
  for (const room of new Set(stories.map(({ room }) => room))) {
    const records = await log.read(room, { after: 0, limit: Number.POSITIVE_INFINITY })
    marks.set(room, new Map(records.map(({ seq, event }) => [seq, event.mark])))
  }
  await log.close()
  return marks
}

/** A line for each record that was acknowledged and is not at its place. */
function missing(stories: readonly Story[], marks: Marks): string[] {
  return stories.flatMap(({ user, room, acknowledged }) =>
    acknowledged.flatMap((seq, n) =>
      marks.get(room)?.get(seq) === `${user} ${n}` ? [] : [`${user}'s event ${n} is not at ${seq} of ${room}`],
    ),
  )
}

/** Whether the server, started again, stands where its log does. */
async function afterRestart(server: ServerProcess, marks: Marks): Promise<string[]> {
  server.stdout = ''
  await server.start()
  const peer = await Peer.open(server.url, 'observer')
  const wrong: string[] = []
  for (const [room, { size: last }] of marks) {
    const { seq } = await peer.ask({ type: 'get', room })
    if (seq !== last) wrong.push(`${room} is at ${seq} after the restart, its log at ${last}`)
  }
  return wrong
}

/** A drain that cannot end: another process holds the log's write lock, so that the last commit never returns. */
async function heldUp(): Promise<Outcome> {
  const server = await new ServerProcess({}).start()
  const holder = spawn(
    process.execPath,
    ['--import', 'tsx', fileURLToPath(new URL('hold-log.ts', import.meta.url)), server.data],
    { cwd: ROOT },
  )
  try {
    const peers = await Promise.all(Array.from({ length: 10 }, (_, i) => Peer.open(server.url, `held${i}`)))
    const send = { type: 'send', room: 'counter/held', event: { type: 'increment' } }
    const seqs = (await Promise.all(peers.map((peer) => peer.ask(send)))).map(({ seq }) => seq as number)
    await once(holder.stdout as Readable, 'data')
    const unanswered = peers.map((peer) =>
      peer.ask(send).then(
        () => true,
        () => false,
      ),
    )
    await peers[0]?.ask({ type: 'ping' })
    const began = performance.now()
    const exit = server.end('SIGTERM')
    const isHeldUp = await Promise.race([exit.then(() => false), pause(SECOND_AFTER).then(() => true)])
    const second = performance.now()
    process.kill(server.pid, 'SIGTERM')
    const code = await exit
    const [whole, took] = [performance.now() - began, performance.now() - second]
    holder.kill('SIGKILL')
    const answered = (await Promise.all(unanswered)).filter(Boolean).length
    await server.start()
    const { seq } = await (await Peer.open(server.url, 'observer')).ask({ type: 'get', room: 'counter/held' })
    const violations: string[] = []
    if (!isHeldUp) violations.push('the drain was not held up')
    if (took > 1000) violations.push(`the second signal ended the server only after ${took.toFixed(0)} ms`)
    if (answered > 0) violations.push(`${answered} were told ok for what could not be written`)
    if (seq < Math.max(...seqs))
      violations.push(`after the restart the room is at ${seq}, acknowledged was ${Math.max(...seqs)}`)
    return {
      figures: {
        'a drain that is held up, the second signal after': `${(whole - took).toFixed(0)} ms`,
        'from the second signal to the end': `${took.toFixed(0)} ms, ${code === null ? 'by SIGKILL' : `exit ${code}`}`,
      },
      violations,
    }
  } finally {
    holder.kill('SIGKILL')
    await server.dispose()
  }
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))
