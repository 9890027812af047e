/**
 * One in ten of those who are in a room stops reading: what that costs the others, and the server's memory; and whether
 * each is exactly right when it reads on, or was closed 4211 after `maxLag` and is right when it has come back (rule S7).
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Probe } from '../fixtures/probe.ts'
import { ServerProcess } from '../fixtures/server.ts'
import { type Frame, Tab } from '../fixtures/tab.ts'
import { ClientProcess } from './clients.ts'
import { quantile } from './figures.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

const ROOM = 'document/steady'
/** Only those are in it who will stop reading: what is written here fills the kernel's buffers. */
const HEAVY = 'document/heavy'
const FILLING = 100
const LARGE = 60_000
const READERS = 2

export interface Pace {
  /** Milliseconds of each phase, and between two events of the steady room. */
  readonly phase: number
  readonly every: number
  readonly maxLag: number
  readonly rounds: number
  /** p99 while some are stalled by p99 while all read, the median of the rounds: at most. */
  readonly most: number
}

interface ReadOn {
  readonly frames: number[]
  readonly faults: string[]
}

/** Latencies of events in ms, all reading and some stalled; the server's memory once they are, and after more events. */
interface Round {
  readonly quiet: number[]
  readonly during: number[]
  readonly begun: Probe
  readonly ended: Probe
}

const PACE: Pace = { phase: 8000, every: 200, maxLag: 20_000, rounds: 5, most: 1.2 }
/** Bytes of heap or resident memory that may come with more events to those who do not read, each. */
const GROWTH = 64 * 1024

export const torture: Torture = { size: 1000, unit: 'connections', run: (size, progress) => run(size, progress) }

export async function run(size: number, progress: Progress, pace = PACE): Promise<Outcome> {
  const env = { CHARTROOM_MAX_LAG: String(pace.maxLag), CHARTROOM_HEARTBEAT_INTERVAL: '120000' }
  const server = await new ServerProcess({ env, probed: true }).start()
  const stalled = Math.ceil(size / 10)
  const slow = new ClientProcess('./slow-members.ts')
  const readers = Array.from({ length: READERS }, () => new ClientProcess('./slow-members.ts'))
  let done = 0
  const step = async <T>(work: Promise<T>): Promise<T> => {
    const result = await work
    progress(++done, 4 + 2 * pace.rounds)
    return result
  }
  try {
    const writer = await Tab.open(server, 'writer')
    const users = Array.from({ length: size - stalled }, (_, i) => `reader${i}`)
    const share = Math.ceil(users.length / READERS)
    const open = (process: ClientProcess, users: string[], rooms: string[]) =>
      process.ask({ what: 'open', url: server.url, users, rooms })
    await write(writer, ROOM, '/at', 0)
    await Promise.all(readers.map((process, i) => open(process, users.slice(i * share, (i + 1) * share), [ROOM])))
    const slowUsers = Array.from({ length: stalled }, (_, i) => `slow${i}`)
    await step(open(slow, slowUsers, [ROOM, HEAVY]))
    const phase = () => measure(writer, readers, pace)
    await phase()
    const before = await step(server.probe())
    const rounds: Round[] = []
    for (let round = 0; round < pace.rounds; round++) {
      if (round > 0) await slow.ask<ReadOn>({ what: 'readOn', count: stalled })
      const quiet = await step(phase())
      await slow.ask({ what: 'stall' })
      await fill(writer)
      const begun = await server.probe()
      const during = await step(phase())
      rounds.push({ quiet, during, begun, ended: await server.probe() })
    }
    const half = Math.ceil(stalled / 2)
    const back = await step(slow.ask<ReadOn>({ what: 'readOn', count: half }))
    await pause(pace.maxLag)
    const closed = await slow.ask<{ codes: number[]; faults: string[] }>({ what: 'comeBack', after: half })
    const others = (await Promise.all(readers.map((process) => process.ask<string[]>({ what: 'judge' })))).flat()
    const after = await step(server.probe())
    const p99s = rounds.map(({ quiet, during }) => [quantile(quiet, 0.99), quantile(during, 0.99)] as const)
    const ratio = quantile(
      p99s.map(([quiet, during]) => during / quiet),
      0.5,
    )
    const tooSlow = await server.metric('chartroom_closes_total{code="4211"}')
    const told = closed.codes.filter((code) => code === 4211).length
    const growth = Math.max(...rounds.map(({ begun, ended }) => ended.heap - begun.heap), 0) / stalled
    const violations = [...back.faults, ...closed.faults, ...others]
    if (ratio > pace.most) violations.push(`p99 of the others is ${ratio.toFixed(2)} times what it was`)
    if (tooSlow !== stalled - half) violations.push(`${tooSlow} were closed 4211 of ${stalled - half}`)
    if (growth > GROWTH) violations.push(`${growth} bytes of heap more for each who does not read`)
    const last = rounds.at(-1) as Round
    const memory = [before, last.begun, last.ended, after]
    return {
      figures: {
        'readers / not reading': `${size - stalled} / ${stalled}`,
        'p99 all read / some stalled, ms, by rounds': p99s
          .map(([quiet, during]) => `${quiet.toFixed(1)} / ${during.toFixed(1)}`)
          .join(', '),
        'ratio of p99, the median of the rounds': ratio.toFixed(2),
        'heap: before, stalled, after more events, at the end, MB': memory
          .map(({ heap }) => megabytes(heap))
          .join(' / '),
        'resident memory, likewise, MB': memory.map(({ rss }) => megabytes(rss)).join(' / '),
        'right after reading on, frames each at most': `${half - back.faults.length} of ${half}, ${Math.max(...back.frames)}`,
        'closed 4211, could still read it, right after coming back': `${tooSlow}, ${told}, ${stalled - half - closed.faults.length} of ${stalled - half}`,
      },
      violations,
    }
  } finally {
    for (const process of [slow, ...readers]) process.end()
    await server.dispose()
  }
}

const write = async (tab: Tab, room: string, path: string, value: unknown): Promise<void> => {
  const ops = [{ op: 'add', path, value }]
  const reply: Frame = await tab.ask({ type: 'send', room, event: { type: 'document.patch', ops } })
  if (reply.type !== 'ok') throw new Error(JSON.stringify(reply))
}

async function fill(writer: Tab): Promise<void> {
  const large = 'x'.repeat(LARGE)
  for (let i = 0; i < FILLING; i++) await write(writer, HEAVY, '/large', `${i} ${large}`)
}

/** How long each event of a phase took to each reader. */
async function measure(writer: Tab, readers: readonly ClientProcess[], { phase, every }: Pace): Promise<number[]> {
  const end = Date.now() + phase
  await Promise.all(readers.map((process) => process.ask({ what: 'measured' })))
  while (Date.now() < end) {
    await write(writer, ROOM, '/at', performance.timeOrigin + performance.now())
    await pause(every)
  }
  return (await Promise.all(readers.map((process) => process.ask<number[]>({ what: 'measured' })))).flat()
}

const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
