/**
 * What the list on the left holds, as the feed is asked for it.
 *
 * Always true: every machine is in it, unless it is narrowed down, and says how many rooms it has; where there are many
 * rooms, those of each machine are asked for by themselves, so that a machine with thousands hides no other.
 */
import type { Actor, Actors, Replies, Tally } from '../told.ts'

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
/** How many rooms of a machine, also of one that is called `constructor`, are wanted. */
export const wantedOf = ({ listed }: Query, machine: string): number =>
  Object.hasOwn(listed, machine) ? (listed[machine] as number) : FEW
/** As many rooms are asked for without regard to their machines. */
const TOGETHER = 200
/** More of one machine than are shown at first: the server's order is by letters, the list's by numbers as well. */
const READ = 500
/** What the feed gives at most. */
export const MOST = 1000

export interface Group {
  readonly machine: string
  readonly actors: readonly Actor[]
  /** Of those that fit. */
  readonly total: number
  /** Of all its rooms, where the list is not narrowed down. */
  readonly tally?: Tally
}

export interface Sections {
  readonly groups: readonly Group[]
  /** Of all rooms that fit. */
  readonly rooms: number
  readonly sessions: Actors
  readonly connections: Actors
}

type Narrowed = Readonly<Record<string, unknown>>
type Ask = <T extends 'actors' | 'machines'>(type: T, fields?: object) => Promise<Replies[T]>

export const isNarrowing = ({ search, state, failed }: Query): boolean => search !== '' || state !== '' || failed

export class Listing {
  readonly #ask: Ask

  constructor(ask: Ask) {
    this.#ask = ask
  }

  async read(query: Query): Promise<Sections> {
    const { search, state, failed } = query
    const narrowed = { ...(search && { search }), ...(state && { state }), ...(failed && { failed }) }
    const [rooms, sessions, connections, { machines }] = await Promise.all([
      this.#rooms(narrowed, TOGETHER),
      this.#ask('actors', { kind: 'session', ...narrowed }),
      this.#ask('actors', { kind: 'connection', ...narrowed }),
      this.#ask('machines'),
    ])
    const groups = rooms.more ? await this.#apart(narrowed, machines, query) : grouped(rooms.actors, machines)
    return { groups: isNarrowing(query) ? fitting(groups) : groups, rooms: rooms.total, sessions, connections }
  }

  #rooms(narrowed: Narrowed, limit: number): Promise<Actors> {
    return this.#ask('actors', { kind: 'room', ...narrowed, limit })
  }

  /** One machine after the other: the feed lets few requests wait. */
  async #apart(narrowed: Narrowed, machines: readonly Tally[], query: Query): Promise<Group[]> {
    const groups: Group[] = []
    for (const tally of machines) {
      const { machine, rooms } = tally
      const wanted = wantedOf(query, machine)
      const isCounted = rooms === 0 || (wanted === 0 && !isNarrowing(query))
      const limit = wanted === 0 ? 1 : Math.min(MOST, Math.max(READ, wanted))
      const { actors, total } = isCounted
        ? { actors: [], total: rooms }
        : await this.#rooms({ ...narrowed, machine }, limit)
      groups.push({ machine, total, actors: sorted(actors), tally })
    }
    return groups
  }
}

/** The rooms of each machine, of a list that has all of them. */
function grouped(actors: readonly Actor[], machines: readonly Tally[]): Group[] {
  return machines.map((tally) => {
    const own = sorted(actors.filter(({ machine }) => machine === tally.machine))
    return { machine: tally.machine, actors: own, total: own.length, tally }
  })
}

/** How many rooms there are in all would only be in the way of how many fit. */
const fitting = (groups: readonly Group[]): Group[] =>
  groups.filter(({ total }) => total > 0).map(({ machine, actors, total }) => ({ machine, actors, total }))

/** p1, p2, p10. */
const inOrder = new Intl.Collator('en', { numeric: true }).compare

const sorted = (actors: readonly Actor[]): Actor[] => [...actors].sort((one, other) => inOrder(one.name, other.name))
