/**
 * Connections that come, join, send and end in a way chosen at random, a bounded number at once. Afterwards the server
 * is as it was: rule X2, and the heap.
 */

import type { Probe } from '../fixtures/probe.ts'
import { atRest, isEmpty, type Population, population } from '../fixtures/remains.ts'
import { ServerProcess } from '../fixtures/server.ts'
import { pool } from './clients.ts'
import { Peer } from './peer.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

const AT_ONCE = 200
const USERS = 1000
const ROOMS = 20
/** Cycles before the baseline is taken: what the server keeps on purpose (the newest stories, code) is there then. */
const WARM_UP = 3000
/** Bytes by which one collection finds more or less than another. */
const HEAP_TOLERANCE = 1024 * 1024
/** The baseline is the least of a few; what is above its limit afterwards gets a few chances more, which a leak does not take. */
const COLLECTIONS = { before: 3, after: 10 }
/** Rule X2. */
const GONE_WITHIN = 1000

const ENV = {
  CHARTROOM_SESSION_LINGER: '100',
  CHARTROOM_HEARTBEAT_INTERVAL: '500',
  CHARTROOM_HEARTBEAT_TIMEOUT: '500',
}

const ENDINGS: Record<string, (peer: Peer) => void> = {
  'a close frame': (peer) => peer.socket.close(1000),
  'a FIN without one': (peer) => peer.socket.terminate(),
  'a TCP reset': (peer) => peer.tcp.resetAndDestroy(),
  'a TCP reset in the middle of a frame': (peer) => {
    peer.tcp.write(Buffer.from([0x81, 0xfe, 0x10]), () => peer.tcp.resetAndDestroy())
  },
  'silence, until the server gives it up': (peer) => {
    peer.isSilent = true
  },
}
const WAYS = Object.keys(ENDINGS)

export const torture: Torture = { size: 100_000, unit: 'connections', run: (size, progress) => run(size, progress) }

/** @param warmUp connections before the baseline is taken. */
export async function run(size: number, progress: Progress, warmUp = WARM_UP): Promise<Outcome> {
  const server = await new ServerProcess({ env: ENV, probed: true }).start()
  try {
    const violations: string[] = []
    await cycles(server, warmUp, () => {}, violations)
    await empty(server)
    const before = await remains(server, COLLECTIONS.before)
    const ended = await cycles(server, size, progress, violations)
    const goneAfter = await empty(server)
    const after = await remains(server, COLLECTIONS.after, before.probe.heap + HEAP_TOLERANCE)
    if (goneAfter > GONE_WITHIN) violations.push(`somebody was still counted ${goneAfter} ms after the last end`)
    violations.push(...differences(before, after))
    return { figures: { ...ended, ...compare(before, after, goneAfter) }, violations }
  } finally {
    await server.dispose()
  }
}

/** @returns how many ended in which way. */
async function cycles(
  server: ServerProcess,
  size: number,
  progress: Progress,
  violations: string[],
): Promise<Record<string, number>> {
  const ended = Object.fromEntries(WAYS.map((way) => [`ended by ${way}`, 0]))
  let done = 0
  await pool(size, AT_ONCE, async (i) => {
    const way = WAYS[Math.floor(Math.random() * WAYS.length)] as string
    const code = await cycle(server.url, i, way)
    if (way.startsWith('silence') && code !== 4208) violations.push(`a silent peer was closed with ${code}`)
    ended[`ended by ${way}`] = (ended[`ended by ${way}`] ?? 0) + 1
    progress(++done, size)
  })
  return ended
}

/** One connection's life. @returns the code with which it was closed. */
async function cycle(url: string, i: number, way: string): Promise<number | undefined> {
  const peer = await Peer.open(url, `user${i % USERS}`)
  await peer.ask({ type: 'join', room: `chat/cycle${i % ROOMS}` })
  await peer.ask({ type: 'send', room: `counter/cycle${i % ROOMS}`, event: { type: 'increment' } })
  ENDINGS[way]?.(peer)
  await peer.gone
  return peer.closed
}

/** Waits until the server counts nobody. @returns milliseconds. */
async function empty(server: ServerProcess): Promise<number> {
  const began = Date.now()
  while (!(await isEmpty(server))) if (Date.now() - began > 10 * GONE_WITHIN) break
  return Date.now() - began
}

interface Remains {
  readonly probe: Probe
  readonly counted: Population
  /** Rooms in memory, nobody in them: each waits for one deadline, when it is put away. */
  readonly rooms: number
  /** Who is still listed as present in a room. */
  readonly online: number
}

/** @param limit bytes: the garbage is collected again while the heap is above. */
async function remains(server: ServerProcess, collections: number, limit = 0): Promise<Remains> {
  const online = await present(server)
  await empty(server)
  let probe = await atRest(server)
  for (let i = 1; i < collections && probe.heap > limit; i++) {
    const again = await server.probe()
    if (again.heap < probe.heap) probe = again
  }
  const rooms = await server.metric('chartroom_rooms')
  return { probe, counted: await population(server), rooms, online }
}

async function present(server: ServerProcess): Promise<number> {
  const peer = await Peer.open(server.url, 'observer')
  let online = 0
  for (let room = 0; room < ROOMS; room++) {
    const { state } = await peer.ask({ type: 'get', room: `chat/cycle${room}` })
    online += state.context.online.length
  }
  peer.socket.close(1000)
  await peer.gone
  return online
}

function differences(before: Remains, after: Remains): string[] {
  const { deadlines, ...living } = after.counted
  const wrong = Object.entries(living).filter(([, count]) => count !== 0)
  const found = wrong.map(([name, count]) => `${count} ${name} left`)
  if (deadlines > after.rooms) found.push(`${deadlines} deadlines left, of them ${after.rooms} of rooms that are idle`)
  if (after.online > 0) found.push(`${after.online} are listed as present in rooms that they have left`)
  if (after.probe.fds !== before.probe.fds) found.push(`${after.probe.fds} descriptors, were ${before.probe.fds}`)
  const [timers, were] = [after, before].map(({ probe }) => JSON.stringify(probe.resources))
  if (timers !== were) found.push(`what keeps the event loop alive is ${timers}, was ${were}`)
  const growth = after.probe.heap - before.probe.heap
  if (growth > HEAP_TOLERANCE) found.push(`the heap grew by ${growth} bytes`)
  return found
}

function compare(before: Remains, after: Remains, goneAfter: number): Record<string, string | number> {
  const { probe, counted, online } = after
  const growth = probe.heap - before.probe.heap
  return {
    'heap before / after / growth, bytes': `${before.probe.heap} / ${probe.heap} / ${growth}`,
    'file descriptors before / after': `${before.probe.fds} / ${probe.fds}`,
    'timers and handles before / after': `${JSON.stringify(before.probe.resources)} / ${JSON.stringify(probe.resources)}`,
    'deadlines left, of them of idle rooms': `${counted.deadlines}, ${after.rooms}`,
    'connection actors left': counted['connections{state="open"}'] + counted['connections{state="closing"}'],
    'session actors left': counted.sessions,
    'subscriptions left': counted.subscriptions,
    'listed as present in a room': online,
    'counted as gone after the last end': `${goneAfter} ms`,
  }
}
