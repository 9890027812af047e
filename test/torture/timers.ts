/**
 * Very many rooms that sleep, each with a delay far away: what they cost a server that starts, and whether the one that is
 * due soon among them is noticed. The rooms are written into the log before, as a server writes them.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { CleanStop } from '../../src/log/inspection.ts'
import { type Batch, encodeLine, type LogRecord } from '../../src/log/log.ts'
import { openLmdbLog, openLmdbLogToRead } from '../../src/log/log-lmdb.ts'
import { wakeOf } from '../../src/machine/document.ts'
import { Machine } from '../../src/machine/machine.ts'
import type { MachineFile } from '../../src/machine/machine-file.ts'
import { NO_DOWNTIME } from '../../src/machine/uptime.ts'
import { diff, type Operation, sealJson } from '../../src/patch.ts'
import type { Probe } from '../fixtures/probe.ts'
import { ROOT, ServerProcess } from '../fixtures/server.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

/** Milliseconds in which a server is to be ready. */
const READY = 2000
/** Milliseconds for which the far delays wait. */
const FAR = 365 * 24 * 3600 * 1000
/** Milliseconds that are left of the near one when its server begins to start. */
const SOON = 6000
/** Milliseconds that the near one may be late. */
const LATE = 1000
/** Rooms that are written at once. */
const AT_ONCE = 1000
/** Bytes of heap that a sleeping timer may take. */
const MOST = 16

export const torture: Torture = {
  size: 100_000,
  unit: 'sleeping timers',
  run: (size, progress) => run(size, progress, { ready: READY, late: LATE, heap: MOST }),
}

/** What is allowed: milliseconds to be ready, milliseconds to be late, bytes of heap each. */
export interface Allowed {
  readonly ready: number
  readonly late: number
  readonly heap: number
}

export async function run(size: number, progress: Progress, allowed: Allowed): Promise<Outcome> {
  const env = { CHARTROOM_MACHINES: `${ROOT}/test/fixtures/machines` }
  const empty = new ServerProcess({ env, probed: true })
  const full = new ServerProcess({ env, probed: true })
  try {
    await fill(full.data, 0, size, FAR, progress)
    const none = await restart(empty, 'SIGTERM')
    const clean = await restart(full, 'SIGTERM')
    const killed = await restart(full, 'SIGKILL')
    await full.end('SIGTERM')
    await fill(full.data, size, 1, SOON, () => {})
    const dueAt = Date.now() + SOON
    await full.start()
    const late = (await firedAt(full.data, nameOf(size))) - dueAt
    const heap = (clean.probe.heap - none.probe.heap) / size
    const objects = [none, clean].map(({ probe }) => timersOf(probe))
    const violations: string[] = []
    if (clean.ready > allowed.ready) violations.push(`ready after ${clean.ready} ms, allowed are ${allowed.ready}`)
    if (heap > allowed.heap) violations.push(`${heap.toFixed(1)} bytes of heap each, allowed are ${allowed.heap}`)
    if (objects[0] !== objects[1]) violations.push(`${objects[1]} timer objects, and ${objects[0]} without any delay`)
    if (clean.deadlines > none.deadlines + 1) violations.push(`${clean.deadlines} deadlines wait`)
    if (late > allowed.late) violations.push(`the near one fired ${late} ms late`)
    return {
      figures: {
        'ready after a clean stop / a kill, ms': `${clean.ready} / ${killed.ready}`,
        'ready with an empty log, ms': none.ready,
        'heap of each, bytes': heap.toFixed(1),
        'timer objects, without any delay / with all': objects.join(' / '),
        'deadlines on the wheel, without any / with all': `${none.deadlines} / ${clean.deadlines}`,
        'the one due soon: late, ms': late,
      },
      violations,
    }
  } finally {
    await empty.dispose()
    await full.dispose()
  }
}

const nameOf = (i: number): string => `alarm/sleeper${i}`

/** Writes `count` rooms, from number `from` on, that wait for `delay` milliseconds. */
async function fill(data: string, from: number, count: number, delay: number, progress: Progress): Promise<void> {
  const file = (await import('../fixtures/machines/alarm.ts')) as MachineFile
  const machine = new Machine('alarm', { ...file, path: 'test/fixtures/machines/alarm.ts' })
  const log = openLmdbLog(data)
  for (let done = 0; done < count; done += AT_ONCE) {
    const share = Math.min(AT_ONCE, count - done)
    const results = await log.commit(Array.from({ length: share }, (_, i) => sleeper(machine, from + done + i, delay)))
    if (results.some((result) => !('last' in result))) throw new Error('the log refused a room')
    progress(done + share, count)
  }
  await log.close()
  new CleanStop(data).set()
}

/** What a server appends for a room that is told to wait. */
function sleeper(machine: Machine, i: number, ms: number): Batch {
  const [room, now] = [nameOf(i), Date.now()]
  const hosted = machine.host(() => {}, NO_DOWNTIME)
  const born = hosted.initial({ room, key: `sleeper${i}` }, { now, seq: 1 }).state
  const event = { type: 'set', ms }
  const set = hosted.transition(born, { ...event, from: 'ann', time: now, seq: 2 }, { now, seq: 2 })
  if (!set) throw new Error('the machine did not take the event')
  const record = (seq: number, event: LogRecord['event'], ops: readonly Operation[]): string =>
    encodeLine({ seq, event, from: 'ann', time: now, ops } satisfies LogRecord)
  const lines = [
    record(1, { type: 'room.created' }, [{ op: 'add', path: '', value: sealJson(born.document) }]),
    record(2, event, diff(born.document, set.state.document)),
  ]
  return { topic: room, after: 0, lines, wake: wakeOf(set.state) }
}

/** Starts a server, ends it, starts it again, and measures that. */
async function restart(server: ServerProcess, how: 'SIGTERM' | 'SIGKILL') {
  await server.start()
  await server.end(how)
  server.stdout = ''
  const began = Date.now()
  await server.start()
  const ready = Date.now() - began
  const deadlines = await server.metric('chartroom_deadlines')
  const probe = await server.probe()
  await server.end('SIGTERM')
  server.stdout = ''
  return { ready, deadlines, probe }
}

const timersOf = ({ resources }: Probe): number => (resources.Timeout ?? 0) + (resources.Immediate ?? 0)

/** When a room's delay was recorded as fired; read from the file, so that nothing wakes the room but itself. */
async function firedAt(data: string, room: string): Promise<number> {
  const log = openLmdbLogToRead(data)
  try {
    for (const deadline = Date.now() + 4 * SOON; Date.now() < deadline; await pause(50)) {
      const fired = (await log.read(room, { after: 2, limit: 1 }))[0]
      if (fired) return fired.time
    }
    return Number.POSITIVE_INFINITY
  } finally {
    await log.close()
  }
}
