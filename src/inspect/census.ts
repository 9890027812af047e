/**
 * Which rooms there are: the names of those that are stored and of those in memory, and of each machine how many.
 *
 * Always true: nothing is read unless somebody looks, and then once for all who do; names are gone through some at a time,
 * and the rest of the server has its turn in between. Of 100,000 rooms that is a few milliseconds at a time.
 */
import { setImmediate } from 'node:timers/promises'
import type { Log } from '../log/log.ts'
import type { Machine } from '../machine/machine.ts'
import type { Rooms } from '../room/rooms.ts'
import type { Tally } from './told.ts'

export interface CensusSurroundings {
  readonly machines: ReadonlyMap<string, Machine>
  readonly rooms: Rooms
  readonly log: Log
}

/** Milliseconds for which the names of the stored rooms are known, and those for which a count holds. */
const NAMES_KNOWN = 2000
const COUNTS_HOLD = 1000
/** Milliseconds after which names that nobody asks for are let go. */
const FORGOTTEN = 60_000
/** Names that are read, and rooms in memory that are gone through, in one go. */
const PAGE = 1000
const AT_ONCE = 100

/** The names of each machine's rooms, sorted, and all of them. */
interface Known {
  readonly names: Map<string, readonly string[]>
  readonly all: Set<string>
}

export class Census {
  readonly #around: CensusSurroundings
  #known = nothing()
  #knownUntil = 0
  #forgetting: NodeJS.Timeout | undefined
  #reading: Promise<void> | undefined
  #tallied: Promise<readonly Tally[]> = Promise.resolve([])
  #talliedUntil = 0

  constructor(around: CensusSurroundings) {
    this.#around = around
  }

  /** The names of each machine's rooms, sorted: those stored as they were up to two seconds ago, and those in memory. */
  async names(): Promise<ReadonlyMap<string, readonly string[]>> {
    this.#forgetting ??= setTimeout(() => this.#forget(), FORGOTTEN).unref()
    this.#forgetting.refresh()
    if (Date.now() >= this.#knownUntil) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined
      })
      await this.#reading
    }
    await this.#addYoung()
    return this.#known.names
  }

  #forget(): void {
    this.#known = nothing()
    this.#knownUntil = 0
  }

  /** How many rooms each machine has, as it was up to a second ago. */
  tallies(): Promise<readonly Tally[]> {
    if (Date.now() >= this.#talliedUntil) {
      this.#talliedUntil = Date.now() + COUNTS_HOLD
      this.#tallied = this.#count()
    }
    return this.#tallied
  }

  async #read(): Promise<void> {
    const known = nothing()
    for (const machine of [...this.#around.machines.keys()].sort()) {
      const names: string[] = []
      for await (const page of this.#stored(machine)) {
        names.push(...page)
        for (const name of page) known.all.add(name)
      }
      known.names.set(machine, names)
    }
    this.#known = known
    this.#knownUntil = Date.now() + NAMES_KNOWN
  }

  async *#stored(machine: string): AsyncGenerator<string[]> {
    for (let page: string[] = [], after = ''; ; after = page.at(-1) ?? '') {
      page = await this.#around.log.topics(`${machine}/`, { after, limit: PAGE })
      yield page
      if (page.length < PAGE) return
      await setImmediate()
    }
  }

  /** Those that were born since the names were read. */
  async #addYoung(): Promise<void> {
    for await (const rooms of this.#resident()) {
      const { names, all } = this.#known
      const young = rooms.filter((name) => !all.has(name))
      for (const name of young) all.add(name)
      for (const machine of counted(young).keys())
        names.set(
          machine,
          withAmong(
            names.get(machine) ?? [],
            young.filter((name) => machineOf(name) === machine),
          ),
        )
    }
  }

  async #count(): Promise<Tally[]> {
    const names = await this.names()
    const { rooms, machines } = this.#around
    const failed = counted([...rooms.failures.keys()])
    const awake = new Map<string, number>()
    for await (const some of this.#resident()) {
      const sound = some.filter((name) => !rooms.hasFailed(name))
      counted(sound, awake)
    }
    return [...machines.keys()].sort().map((machine) => {
      const all = names.get(machine)?.length ?? 0
      const lost = failed.get(machine) ?? 0
      return { machine, rooms: all, asleep: Math.max(0, all - lost - (awake.get(machine) ?? 0)), failed: lost }
    })
  }

  /** The names of the rooms in memory, some at a time; one of which nothing was ever stored is none, unless it failed. */
  async *#resident(): AsyncGenerator<string[]> {
    const { rooms } = this.#around
    const all = [...rooms.all()]
    for (let from = 0; from < all.length; from += AT_ONCE) {
      if (from > 0) await setImmediate()
      const some = all.slice(from, from + AT_ONCE)
      yield some.filter(({ name, place }) => place.document || rooms.hasFailed(name)).map(({ name }) => name)
    }
  }
}

const nothing = (): Known => ({ names: new Map(), all: new Set() })

/** `chat/lobby` is one of `chat`. */
const machineOf = (room: string): string => room.slice(0, room.indexOf('/'))

/** How many of the rooms are of which machine, added to what was counted before. */
function counted(rooms: readonly string[], counts = new Map<string, number>()): Map<string, number> {
  for (const room of rooms) counts.set(machineOf(room), (counts.get(machineOf(room)) ?? 0) + 1)
  return counts
}

/** Sorted names with a few more among them; whoever goes through the old ones is not disturbed. */
function withAmong(names: readonly string[], few: readonly string[]): string[] {
  const all = names.slice()
  for (const name of few) all.splice(placeOf(name, all), 0, name)
  return all
}

/** By halves: sorting them all again would take longer. */
function placeOf(name: string, sorted: readonly string[]): number {
  let [from, to] = [0, sorted.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if ((sorted[middle] as string) < name) from = middle + 1
    else to = middle
  }
  return from
}
