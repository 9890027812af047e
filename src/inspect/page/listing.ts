/**
 * What the list on the left holds, as the feed is asked for it.
 *
 * Always true: where there are many rooms, those of each machine are asked for by themselves, so that a machine with
 * thousands hides no other.
 */
import type { Actor, Actors } from '../told.ts'

export interface Query {
  readonly search: string
  /** Any state where it is empty. */
  readonly state: string
  readonly failed: boolean
  /** How many rooms of a machine are listed: a few where it is missing, none where it is folded. */
  readonly listed: Readonly<Record<string, number>>
}

export const NO_QUERY: Query = { search: '', state: '', failed: false, listed: {} }

/** Of each machine, until somebody wants more. */
export const FEW = 30
/** As many rooms are asked for without regard to their machines. */
const TOGETHER = 200
/** More of one machine than are shown at first: the server's order is by letters, the list's by numbers as well. */
const READ = 500
/** What the feed gives at most. */
export const MOST = 1000

export interface Group {
  readonly machine: string
  readonly actors: readonly Actor[]
  readonly total: number
}

export interface Sections {
  readonly groups: readonly Group[]
  /** Of all rooms that fit. */
  readonly rooms: number
  readonly sessions: Actors
  readonly connections: Actors
}

type Asked = Readonly<Record<string, unknown>>

export class Listing {
  readonly #ask: (wish: Asked) => Promise<Actors>
  readonly #machines = new Set<string>()
  /** For what, and for how many rooms, machines have been looked for. */
  #looked = ''

  constructor(ask: (wish: Asked) => Promise<Actors>) {
    this.#ask = ask
  }

  async read({ search, state, failed, listed }: Query): Promise<Sections> {
    const narrowed = { ...(search && { search }), ...(state && { state }), ...(failed && { failed }) }
    const [rooms, sessions, connections] = await Promise.all([
      this.#rooms(narrowed, TOGETHER),
      this.#ask({ kind: 'session', ...narrowed }),
      this.#ask({ kind: 'connection', ...narrowed }),
    ])
    const groups = rooms.more ? await this.#apart(narrowed, rooms.total, listed) : grouped(rooms.actors)
    return { groups, rooms: rooms.total, sessions, connections }
  }

  #rooms(narrowed: Asked, limit: number): Promise<Actors> {
    return this.#ask({ kind: 'room', ...narrowed, limit })
  }

  /** One machine after the other: the feed lets few requests wait. */
  async #apart(narrowed: Asked, rooms: number, listed: Query['listed']): Promise<Group[]> {
    await this.#lookForMachines(narrowed, rooms)
    const groups: Group[] = []
    for (const machine of [...this.#machines].sort(inOrder)) {
      const wanted = listed[machine] ?? FEW
      const limit = wanted === 0 ? 1 : Math.min(MOST, Math.max(READ, wanted))
      const { actors, total } = await this.#rooms({ ...narrowed, machine }, limit)
      if (total > 0) groups.push({ machine, total, actors: sorted(actors) })
    }
    return groups
  }

  async #lookForMachines(narrowed: Asked, rooms: number): Promise<void> {
    const asked = JSON.stringify([narrowed, rooms])
    if (asked === this.#looked) return
    const { actors } = await this.#rooms(narrowed, MOST)
    for (const { machine } of actors) this.#machines.add(machine)
    this.#looked = asked
  }
}

/** The rooms of each machine, of a list that has all of them. */
export function grouped(actors: readonly Actor[]): Group[] {
  const machines = [...new Set(actors.map(({ machine }) => machine))].sort(inOrder)
  return machines.map((machine) => {
    const own = sorted(actors.filter((actor) => actor.machine === machine))
    return { machine, actors: own, total: own.length }
  })
}

/** p1, p2, p10. */
const inOrder = new Intl.Collator('en', { numeric: true }).compare

const sorted = (actors: readonly Actor[]): Actor[] => [...actors].sort((one, other) => inOrder(one.name, other.name))
