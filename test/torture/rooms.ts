/**
 * Many more rooms than may be in memory: each gets an event in every round, so that all of them go to sleep and come
 * back, again and again. Memory stays as it is, and no event is lost or counted twice.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { ServerProcess } from '../fixtures/server.ts'
import { askAll } from './stream.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

const ROUNDS = 4
const BOUND = 10_000
/** Milliseconds from one look at the server to the next. */
const LOOK_EVERY = 200
/** Rooms more than the bound that may be seen: those that have requests under way are in use. */
const IN_USE = 8 * 64
/** By how much the heap may grow from the end of the first round to that of the last. */
const MOST_GROWTH = 1.2

export const torture: Torture = { size: 100_000, unit: 'rooms', run: (size, progress) => run(size, progress) }

/** @param bound rooms that may be in memory. @param growth of the heap that is allowed, as a ratio. */
export async function run(size: number, progress: Progress, bound = BOUND, growth = MOST_GROWTH): Promise<Outcome> {
  const server = new ServerProcess({ env: { CHARTROOM_MAX_RESIDENT_ROOMS: String(bound) } })
  try {
    await server.start()
    const refused: string[] = []
    const rounds: Seen[] = []
    let answered = 0
    const began = Date.now()
    while (rounds.length < ROUNDS) {
      const watch = new Watch(server)
      await askAll(server, size, increment, (reply) => {
        if (reply.type !== 'ok') refused.push(JSON.stringify(reply))
        progress(++answered, (ROUNDS + 1) * size)
      })
      rounds.push(await watch.end())
    }
    const perSecond = Math.round((ROUNDS * size * 1000) / (Date.now() - began))
    const passivated = await server.metric('chartroom_passivations_total{why="bound"}')
    const wrong: string[] = []
    await askAll(server, size, look, ({ state }, i) => {
      if (state?.context.count !== ROUNDS) wrong.push(`${nameOf(i)} counts ${state?.context.count}, not ${ROUNDS}`)
      progress(++answered, (ROUNDS + 1) * size)
    })
    const resident = await server.metric('chartroom_rooms')
    const mostResident = Math.max(...rounds.map(({ rooms }) => rooms))
    const ratio = (rounds.at(-1)?.heap ?? 0) / (rounds[0]?.heap ?? 1)
    const violations = [...refused.slice(0, 3), ...wrong.slice(0, 3)]
    if (resident > bound) violations.push(`${resident} rooms are in memory, the bound is ${bound}`)
    if (mostResident > bound + IN_USE) violations.push(`${mostResident} rooms were in memory, the bound is ${bound}`)
    if (passivated === 0 || Number.isNaN(passivated)) violations.push('no room was put to sleep by the bound')
    if (ratio > growth) violations.push(`the heap grew by ${ratio.toFixed(2)} from the first round to the last`)
    return {
      figures: {
        'events, over rounds': `${ROUNDS * size}, ${ROUNDS}`,
        'events a second': perSecond,
        'rooms with a wrong count': wrong.length,
        'events refused': refused.length,
        'rooms in memory: most seen / at the end / bound': `${mostResident} / ${resident} / ${bound}`,
        'rooms put to sleep by the bound': passivated,
        'least heap in each round, MB': rounds.map(({ heap }) => megabytes(heap)).join(' '),
        'resident memory after each round, without the file, MB': rounds.map(({ rss }) => megabytes(rss)).join(' '),
      },
      violations,
    }
  } finally {
    await server.dispose()
  }
}

/** What was seen of a server in one round; memory in bytes. */
interface Seen {
  /** Rooms in memory at most. */
  readonly rooms: number
  /** The least that was in use since half of the round: what lives, without its garbage. */
  readonly heap: number
  /** At the end. */
  readonly rss: number
}

/** Looks at a server again and again. */
class Watch {
  readonly #server: ServerProcess
  readonly #rooms: number[] = []
  readonly #heaps: number[] = []
  #isOver = false
  readonly #looking: Promise<void>

  constructor(server: ServerProcess) {
    this.#server = server
    this.#looking = this.#look()
  }

  async end(): Promise<Seen> {
    this.#isOver = true
    await this.#looking
    const heap = Math.min(...this.#heaps.slice(Math.floor(this.#heaps.length / 2)))
    return { rooms: Math.max(...this.#rooms), heap, rss: anonymousMemory(this.#server.pid) }
  }

  async #look(): Promise<void> {
    do {
      this.#rooms.push(await this.#server.metric('chartroom_rooms'))
      this.#heaps.push(await this.#server.metric('chartroom_nodejs_heap_size_used_bytes'))
      await pause(LOOK_EVERY)
    } while (!this.#isOver)
  }
}

/** Resident memory of a process in bytes, without the pages of the log that it maps. */
function anonymousMemory(pid: number): number {
  const [, kilobytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1024
}

const nameOf = (i: number): string => `counter/room${i}`
const increment = (i: number) => ({ type: 'send', room: nameOf(i), event: { type: 'increment' } })
const look = (i: number) => ({ type: 'get', room: nameOf(i) })
const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0)
