/**
 * A machine's rooms all at once: how many are in which state, and how often each edge was taken in the last minute.
 *
 * Always true: rooms are counted only while somebody looks at their machine, from the first look on; those in memory at
 * once, those that sleep little by little, of which no more than 10,000 are read, and none is woken. The answer says of how
 * many it tells.
 */
import { setImmediate, setTimeout } from 'node:timers/promises'
import { DamagedLog, type Log } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import type { RoomDocument } from '../machine/document.ts'
import type { Rooms } from '../room/rooms.ts'
import type { Census } from './census.ts'
import type { ChartIndex } from './configuration.ts'
import type { Lookout } from './lookout.ts'
import type { Moments } from './moments.ts'
import type { Overview } from './told.ts'
import { Traffic } from './traffic.ts'

export interface OverviewSurroundings {
  readonly rooms: Rooms
  readonly log: Log
  readonly moments: Moments
  readonly census: Census
  readonly lookout: Lookout
  readonly logger: Logger
}

/** Milliseconds without a look after which nobody looks any more. */
const PATIENCE = 10_000
/** Sleeping rooms of a machine that are read. */
const MOST_READ = 10_000
/** They are read for some milliseconds at a time, with others in between: a sixth of the server's time. */
const SHARE = 2
const PAUSE = 10
/** Rooms in memory that are gone through in one go. */
const AT_ONCE = 300

/** A machine that somebody looks at. */
interface Look {
  readonly machine: string
  readonly index: ChartIndex
  readonly traffic: Traffic
  /** Sleeping rooms that were read. */
  read: number
  isReading: boolean
  at: number
}

export class Overviews {
  readonly #around: OverviewSurroundings
  readonly #looks = new Map<string, Look>()
  #isOver = false

  constructor(around: OverviewSurroundings) {
    this.#around = around
  }

  async of(machine: string, index: ChartIndex): Promise<Overview> {
    const known = this.#looks.get(machine)
    const look = known?.index === index ? known : this.#begin(machine, index)
    look.at = Date.now()
    await this.#countResident(look)
    void this.#readOn(look)
    const tallies = await this.#around.census.tallies()
    const { rooms, asleep, failed } = tallies.find((tally) => tally.machine === machine) ?? NO_ROOM
    const { size: read, states, edges } = look.traffic
    return { machine, rooms: Math.max(rooms, read), asleep, failed, read, states, edges }
  }

  /** Nothing is read any more. */
  stop(): void {
    this.#isOver = true
  }

  #begin(machine: string, index: ChartIndex): Look {
    const traffic = new Traffic(index)
    const look: Look = { machine, index, traffic, read: 0, isReading: false, at: Date.now() }
    const end = this.#around.lookout.rooms((room, records, before) => {
      if (!this.#isOpen(look)) {
        end()
        if (this.#looks.get(machine) === look) this.#looks.delete(machine)
      } else if (room.startsWith(`${machine}/`)) traffic.hear(room, records, before)
    })
    this.#looks.set(machine, look)
    return look
  }

  #isOpen(look: Look): boolean {
    return this.#looks.get(look.machine) === look && Date.now() - look.at <= PATIENCE && !this.#isOver
  }

  async #countResident({ machine, traffic }: Look): Promise<void> {
    for (const [i, { name, place }] of [...this.#around.rooms.all()].entries()) {
      if (i % AT_ONCE === AT_ONCE - 1) await setImmediate()
      const isNew = name.startsWith(`${machine}/`) && !traffic.has(name)
      if (isNew && place.document) traffic.put(name, place.document)
    }
  }

  /** Goes on with the rooms that sleep, until all of them are counted, or as many as may be, or nobody looks. */
  async #readOn(look: Look): Promise<void> {
    if (look.isReading) return
    look.isReading = true
    try {
      await this.#read(look)
    } catch (error) {
      if (!this.#isOver) this.#around.logger.error({ err: error }, 'the inspector could not read the rooms that sleep')
    } finally {
      look.isReading = false
    }
  }

  async #read(look: Look): Promise<void> {
    const names = (await this.#around.census.names()).get(look.machine) ?? []
    let until = performance.now() + SHARE
    for (const name of names) {
      if (look.traffic.has(name)) continue
      if (look.read >= MOST_READ || !this.#isOpen(look)) return
      look.read++
      const document = await this.#stored(name)
      if (!look.traffic.has(name)) look.traffic.put(name, document)
      if (performance.now() < until) continue
      await setTimeout(PAUSE, undefined, { ref: false })
      until = performance.now() + SHARE
    }
  }

  /** One that is damaged is in no state; the list says what is wrong with it. */
  async #stored(name: string): Promise<RoomDocument | undefined> {
    try {
      const { log, moments } = this.#around
      return (await moments.at(name, await log.last(name)))?.document
    } catch (error) {
      if (error instanceof DamagedLog) return undefined
      throw error
    }
  }
}

const NO_ROOM = { rooms: 0, asleep: 0, failed: 0 }
