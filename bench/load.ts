/**
 * The load generator, a process of its own: opens connections, drives traffic over them in a window or at a rate, and
 * counts what came back. `generator.ts` talks to it.
 *
 * Always true: at a rate, latency counts from when a frame was to be sent, however late it was; what a server gets wrong
 * ends the run with what was wrong.
 */
import { performance } from 'node:perf_hooks'
import hdr from 'hdr-histogram-js'
import type { DialectName } from './dialects.ts'
import { broadcastFlow, type Events, echoFlow, eventFlow, type Flow, fanoutFlow, inboxFlow } from './flows.ts'
import { Look, type Looking } from './look.ts'
import { type Opening, opened } from './opening.ts'
import type { Sender } from './sender.ts'
import { ask, type Json, join } from './talk.ts'
import type { Watch } from './watch.ts'
import type { Wire } from './wire.ts'

/** What was counted so far, and at what cost. */
export interface Count {
  readonly answers: number
  /** Milliseconds of the machine's monotonic clock. */
  readonly at: number
  /** Microseconds of the generator's own CPU. */
  readonly cpu: number
}

/** Milliseconds. */
export interface Latency {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly most: number
}

export interface Rated {
  readonly answers: number
  readonly latency: Latency
  /** How late the generator itself was, at p99. */
  readonly lateness: number
}

export type FlowSpec =
  | { readonly kind: 'echo'; readonly dialect: DialectName; readonly ring: number }
  | { readonly kind: 'broadcast'; readonly dialect: DialectName; readonly size: number }
  | { readonly kind: 'fanout' }
  | { readonly kind: 'inbox' }
  | ({ readonly kind: 'event' } & Events)

/** Without an answer for this many milliseconds something is lost. */
const PATIENCE = 20_000

let wires: Wire[] = []
let users: string[] = []
let watches = new Map<Wire, Watch>()
const looks: Look[] = []
let flow: Flow | undefined
let failure: Error | undefined
let onFailure = (_error: Error): void => {}
let answers = 0
let isWindowOpen = false
let latencies: ReturnType<typeof histogram> | undefined

const fail = (error: Error): void => {
  failure ??= error
  onFailure(failure)
}

const clock = (): number => Number(process.hrtime.bigint()) / 1e6

function histogram() {
  return hdr.build({ lowestDiscernibleValue: 1, highestTrackableValue: 120_000_000, numberOfSignificantValueDigits: 3 })
}

function answered(sender: Sender, id: number, count: number): void {
  const intended = sender.answered(id)
  answers += count
  if (isWindowOpen) sender.due++
  else latencies?.recordValue(Math.max(1, Math.round((performance.now() - intended) * 1000)))
}

function refill(sender: Sender): void {
  if (sender.due === 0 || !isWindowOpen) return
  const { due } = sender
  sender.due = 0
  sender.send(due)
}

function build(spec: FlowSpec): Flow {
  if (spec.kind === 'echo') return echoFlow(wires, spec.dialect, spec.ring, answered)
  if (spec.kind === 'broadcast') return broadcastFlow(wires, spec.dialect, spec.size, answered)
  if (spec.kind === 'fanout') return fanoutFlow(wires, watches, answered)
  if (spec.kind === 'inbox') return inboxFlow(wires, users, answered)
  return eventFlow(wires, watches, spec, answered)
}

const running = (): Flow => {
  if (!flow) throw new Error('no flow was chosen')
  return flow
}

/** All frames have their answer, and all that follows from them has arrived. */
async function drained(): Promise<void> {
  const { senders, isComplete } = running()
  const missing = (): number => senders.reduce((sum, { inFlight }) => sum + inFlight, 0)
  for (const deadline = clock() + PATIENCE; missing() > 0 || !isComplete(); await turn()) {
    if (failure) throw failure
    if (clock() > deadline) throw new Error(`${missing()} answers are missing, and what follows from them`)
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1))

const watcherOf = (wire: Wire): Watch => {
  const watch = watches.get(wire)
  if (!watch) throw new Error('nobody watches here')
  return watch
}

/** Nothing is lost, doubled or out of order, and who kept everything has what the room has. */
async function check(): Promise<void> {
  if (failure) throw failure
  running().check()
  for (const look of looks) look.check()
  const rooms = new Set<string>()
  for (const [wire, { room }] of watches) {
    if (rooms.has(room) || rooms.size > 100) continue
    rooms.add(room)
    watcherOf(wire).compare(await ask(wire, { type: 'get', room }))
  }
}

function summary(found: ReturnType<typeof histogram>): Latency {
  const at = (percentile: number): number => found.getValueAtPercentile(percentile) / 1000
  return { p50: at(50), p99: at(99), p999: at(99.9), most: found.maxValue / 1000 }
}

export const commands = {
  /** Opens connections, beside those that are there. */
  open: async (opening: Opening): Promise<void> => {
    const more = await opened(opening, fail)
    wires.push(...more)
    users.push(...more.map((_, n) => `${opening.user}${n}`))
  },

  /** Connection `n` joins `rooms[n]`. */
  join: async ({ rooms }: { rooms: readonly string[] }): Promise<void> => {
    const kept = new Set<string>()
    for (const [n, room] of rooms.entries()) {
      const wire = wires[n] as Wire
      watches.set(wire, await join(wire, room, !kept.has(room)))
      kept.add(room)
    }
  },

  /** One frame of a connection, and what answers it. */
  ask: ({ from = 0, frame }: { from?: number; frame: object }): Promise<Json> => ask(wires[from] as Wire, frame),

  /** Somebody watches a room by the inspector's feed, until the generator ends. */
  look: async (looking: Looking): Promise<void> => {
    looks.push(await Look.open(looking, fail))
  },

  flow: (spec: FlowSpec): void => {
    flow = build(spec)
    for (const sender of flow.senders) sender.wire.afterRead = () => refill(sender)
  },

  /** From now on each connection has so many frames in flight. */
  start: ({ inFlight }: { inFlight: number }): void => {
    isWindowOpen = true
    for (const sender of running().senders) sender.send(inFlight)
  },

  count: (): Count => {
    const { user, system } = process.cpuUsage()
    return { answers, at: clock(), cpu: user + system }
  },

  stop: async (): Promise<void> => {
    isWindowOpen = false
    for (const sender of running().senders) sender.due = 0
    await drained()
    await check()
  },

  /** So many frames a second, over all connections by turns, each at its time. */
  rate: async ({ perSecond, seconds }: { perSecond: number; seconds: number }): Promise<Rated> => {
    latencies = histogram()
    const late = histogram()
    const before = answers
    await paced(perSecond, seconds, (lateness) => late.recordValue(Math.max(1, Math.round(lateness * 1000))))
    await drained()
    await check()
    return { answers: answers - before, latency: summary(latencies), lateness: summary(late).p99 }
  },

  /** Opens connections and says how many were welcome; they stay until `close`. */
  connect: async (opening: Opening): Promise<number> => {
    const more = await opened(opening, fail)
    wires.push(...more)
    return more.length
  },

  /** Each connection, one after the other, comes back to a room and gets what it missed. */
  resume: async ({ room, since, to, mode }: Resuming): Promise<Latency> => {
    const found = histogram()
    for (const wire of wires) {
      const began = performance.now()
      await comeBack(wire, { room, since, to, mode })
      found.recordValue(Math.max(1, Math.round((performance.now() - began) * 1000)))
      await ask(wire, { type: 'leave', room })
    }
    return summary(found)
  },

  /** Ends all connections. */
  close: (): void => {
    for (const wire of wires) wire.cut()
    wires = []
    users = []
    watches = new Map()
    flow = undefined
    answers = 0
    isWindowOpen = false
  },
}

export type Commands = typeof commands

export interface Resuming {
  readonly room: string
  readonly since: { readonly epoch: string; readonly seq: number }
  /** The seq that is reached then. */
  readonly to: number
  readonly mode: 'state' | 'events'
}

/** Resolves when the seq `to` is there; without a hole, and recovered. */
async function comeBack(wire: Wire, { room, since, to, mode }: Resuming): Promise<void> {
  let seq = since.seq
  await ask(wire, { type: 'join', room, since, mode }, (frame) => {
    if (frame.type === 'ok' && frame.recovered !== true) throw new Error(`not recovered: ${JSON.stringify(frame)}`)
    if (frame.type === 'snapshot' || frame.type === 'error') throw new Error(`not resumed: ${JSON.stringify(frame)}`)
    if (frame.type === 'patch' && frame.base !== seq) throw new Error(`a patch from ${frame.base}, held is ${seq}`)
    if (frame.type === 'event' && frame.seq !== seq + 1) throw new Error(`event ${frame.seq} behind ${seq}`)
    if (frame.type === 'patch' || frame.type === 'event') seq = frame.seq
    return seq === to
  })
}

/** Spins, since a timer would be up to a millisecond late; the core is the generator's own. */
function paced(perSecond: number, seconds: number, onLate: (milliseconds: number) => void): Promise<void> {
  const { senders } = running()
  const total = Math.round(perSecond * seconds)
  const began = performance.now() + 5
  let sent = 0
  return new Promise((resolve, reject) => {
    onFailure = reject
    const pace = (): void => {
      try {
        for (const now = performance.now(); sent < total; sent++) {
          const intended = began + (sent * 1000) / perSecond
          if (intended > now) break
          ;(senders[sent % senders.length] as Sender).sendAt(intended)
          onLate(now - intended)
        }
      } catch (error) {
        return reject(error as Error)
      }
      if (sent < total) setImmediate(pace)
      else resolve()
    }
    pace()
  })
}

async function obey(what: keyof Commands, given: unknown): Promise<unknown> {
  if (failure) throw failure
  const command = commands[what] as (given: unknown) => unknown
  return await Promise.race([
    command(given),
    new Promise((_, reject) => {
      onFailure = reject
    }),
  ])
}

process.on('message', ({ id, what, given }: { id: number; what: keyof Commands; given: unknown }) => {
  obey(what, given).then(
    (answer) => process.send?.({ id, answer }),
    (error: Error) => process.send?.({ id, failed: error.message }),
  )
})
process.on('disconnect', () => process.exit(0))
