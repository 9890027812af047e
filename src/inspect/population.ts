/**
 * Every actor of the server, as a list: rooms in memory, asleep and failed, connections, also those that have ended, and
 * sessions.
 *
 * Always true: nothing is activated; what is asleep is read a few at a time, so that a list costs little, however often it
 * is asked for.
 */
import type { Connections } from '../connections.ts'
import type { Journal } from '../journal.ts'
import type { Log } from '../log.ts'
import type { Room } from '../room.ts'
import type { Rooms } from '../rooms.ts'
import type { Sessions } from '../sessions.ts'
import { stateName } from './configuration.ts'
import type { Actor, Kind, Wish } from './frames.ts'
import { userOf } from './life-sight.ts'
import type { Moments } from './moments.ts'

export interface PopulationSurroundings {
  readonly rooms: Rooms
  readonly log: Log
  readonly moments: Moments
  readonly connections: Connections
  readonly sessions: Sessions
  readonly journal: Journal
}

/** Milliseconds for which the names of the stored rooms are known. */
const NAMES_KNOWN = 2000
/** Sleeping rooms that are read for one list, and of which the state is remembered. */
const READ_AT_ONCE = 50
const REMEMBERED = 5000

/** An actor of which the state is looked up if somebody wants it. */
interface Sighted {
  readonly kind: Kind
  readonly machine: string
  readonly name: string
  readonly user?: string | undefined
  readonly failed?: string | undefined
  look(): Promise<Pick<Actor, 'state' | 'seq' | 'asleep' | 'present' | 'failed'>>
}

export class Population {
  readonly #around: PopulationSurroundings
  #names: { readonly until: number; readonly rooms: readonly string[] } = { until: 0, rooms: [] }
  /** The states of sleeping rooms. */
  readonly #asleep = new Map<string, { readonly seq: number; readonly state: string }>()
  #reads = 0

  constructor(around: PopulationSurroundings) {
    this.#around = around
  }

  async list(wish: Wish): Promise<{ actors: Actor[]; total: number; more: boolean }> {
    this.#reads = 0
    const actors: Actor[] = []
    let total = 0
    for (const sighted of await this.#all(wish)) {
      if (!fits(sighted, wish)) continue
      const actor = wish.state !== undefined || actors.length < wish.limit ? await shown(sighted) : undefined
      if (wish.state !== undefined && !isIn(actor?.state ?? '', wish.state)) continue
      total++
      if (actor && actors.length < wish.limit) actors.push(actor)
    }
    return { actors, total, more: total > actors.length }
  }

  async #all({ kind }: Wish): Promise<Sighted[]> {
    const wants = (one: Kind): boolean => kind === undefined || kind === one
    return [
      ...(wants('session') ? [...this.#around.sessions.all()].map(({ user }) => this.#session(user)) : []),
      ...(wants('connection') ? this.#connections() : []),
      ...(wants('room') ? await this.#rooms() : []),
    ]
  }

  #session(user: string): Sighted {
    const look = async () => {
      const session = this.#around.sessions.resident(user)
      return { ...this.#lifeState('session', user, session?.life.snapshot.value), present: session?.connections ?? 0 }
    }
    return { kind: 'session', machine: 'session', name: user, user, look }
  }

  /** Those that are there, and those of which something is remembered. */
  #connections(): Sighted[] {
    const { connections, journal } = this.#around
    const ids = new Set([...connections.all()].map(({ id }) => id))
    for (const id of journal.names('connection')) ids.add(id)
    return [...ids].map((name) => {
      const connection = connections.get(name)
      const steps = journal.lifeOf('connection', name)
      const user = connection?.user ?? steps?.map(userOf).findLast((user) => user !== undefined)
      const failed =
        journal.storyOf(name)?.transitions.some(({ event }) => event === 'xstate.error') && 'its actor crashed'
      const look = async () => this.#lifeState('connection', name, connection?.life.snapshot.value)
      return { kind: 'connection', machine: 'connection', name, user, failed: failed || undefined, look }
    })
  }

  #lifeState(kind: 'connection' | 'session', name: string, value: unknown): Pick<Actor, 'state' | 'seq'> {
    const last = this.#around.journal.lifeOf(kind, name)?.at(-1)
    return { state: stateName(value ?? last?.value), ...(last && { seq: last.seq }) }
  }

  async #rooms(): Promise<Sighted[]> {
    const { rooms } = this.#around
    const names = new Set(await this.#stored())
    for (const { name } of rooms.all()) names.add(name)
    return [...names].sort().map((name) => ({
      kind: 'room',
      machine: name.slice(0, name.indexOf('/')),
      name,
      failed: rooms.failures.get(name),
      look: async () => this.#resident(rooms.resident(name)) ?? (await this.#sleeping(name)),
    }))
  }

  #resident(room: Room | undefined): Pick<Actor, 'state' | 'seq' | 'present'> | undefined {
    if (!room?.place.document) return undefined
    const { seq, document } = room.place
    return { state: stateName(document.value), seq, present: room.subscriptions }
  }

  /** What cannot be read says so. */
  async #sleeping(name: string): Promise<Pick<Actor, 'state' | 'seq' | 'asleep' | 'failed'>> {
    const asleep = !this.#around.rooms.resident(name)
    try {
      return { ...(await this.#stateOf(name)), asleep }
    } catch (error) {
      return { state: '', asleep, failed: (error as Error).message }
    }
  }

  /** @throws {DamagedLog} */
  async #stateOf(name: string): Promise<{ state: string; seq: number }> {
    const seq = await this.#around.log.last(name)
    const known = this.#asleep.get(name)
    if (known?.seq === seq || seq === 0 || this.#reads >= READ_AT_ONCE) return { state: known?.state ?? '', seq }
    this.#reads++
    const moment = await this.#around.moments.at(name, seq)
    const state = stateName(moment?.document.value)
    this.#asleep.set(name, { seq, state })
    const [oldest] = this.#asleep.keys()
    if (this.#asleep.size > REMEMBERED && oldest !== undefined) this.#asleep.delete(oldest)
    return { state, seq }
  }

  async #stored(): Promise<readonly string[]> {
    if (Date.now() < this.#names.until) return this.#names.rooms
    const topics = await this.#around.log.topics('')
    const rooms = topics.filter((topic) => this.#around.rooms.isName(topic))
    this.#names = { until: Date.now() + NAMES_KNOWN, rooms }
    return rooms
  }
}

async function shown({ kind, machine, name, user, failed, look }: Sighted): Promise<Actor> {
  const seen = await look()
  return {
    actor: `${kind}:${name}`,
    kind,
    machine,
    name,
    ...seen,
    ...(user !== undefined && { user }),
    ...(failed !== undefined && { failed }),
  }
}

function fits({ machine, name, user, failed }: Sighted, wish: Wish): boolean {
  if (wish.machine !== undefined && machine !== wish.machine) return false
  if (wish.user !== undefined && user !== wish.user) return false
  if (wish.failed !== undefined && (failed !== undefined) !== wish.failed) return false
  const search = wish.search?.toLowerCase() ?? ''
  return `${name} ${user ?? ''}`.toLowerCase().includes(search)
}

/** Whether a state in words is the wished one, or within it. */
const isIn = (state: string, wished: string): boolean =>
  state === wished || state.split(' | ').some((part) => part === wished || part.startsWith(`${wished}.`))
