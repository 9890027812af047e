/**
 * Every actor of the server, as a list: rooms in memory, asleep and failed, connections, also those that have ended, and
 * sessions.
 *
 * Always true: nothing is activated; what is asleep is read a few at a time, so that a list costs little, however often it
 * is asked for; a long one gives the rest of the server its turn.
 */
import { setImmediate } from 'node:timers/promises'
import type { Connections } from '../connection/connections.ts'
import type { Journal } from '../connection/journal.ts'
import type { Sessions } from '../connection/sessions.ts'
import type { Log } from '../log/log.ts'
import type { Room } from '../room/room.ts'
import type { Rooms } from '../room/rooms.ts'
import type { Census } from './census.ts'
import { standsIn, stateName } from './configuration.ts'
import type { Wish } from './frames.ts'
import { userOf } from './life-sight.ts'
import type { Moments } from './moments.ts'
import type { Actor, Actors, Kind } from './told.ts'

export interface PopulationSurroundings {
  readonly census: Census
  readonly rooms: Rooms
  readonly log: Log
  readonly moments: Moments
  readonly connections: Connections
  readonly sessions: Sessions
  readonly journal: Journal
}

/** Sleeping rooms that are read for one list, and of which the state is remembered. */
const READ_AT_ONCE = 50
/** Actors that are gone through in one go. */
const AT_ONCE = 300
const REMEMBERED = 5000

/** An actor of which the state is looked up if somebody wants it. */
interface Sighted {
  readonly kind: Kind
  readonly machine: string
  readonly name: string
  readonly user?: string | undefined
  readonly failed?: string | undefined
  look(): Promise<Seen>
}

/** What is seen of an actor, and where it stands, as a value. */
type Seen = Omit<Actor, 'actor' | 'kind' | 'machine' | 'name' | 'user' | 'state'> & { readonly value: unknown }

export class Population {
  readonly #around: PopulationSurroundings
  /** The states of sleeping rooms. */
  readonly #asleep = new Map<string, { readonly seq: number; readonly value: unknown }>()
  #reads = 0

  constructor(around: PopulationSurroundings) {
    this.#around = around
  }

  async list(wish: Wish): Promise<Actors> {
    this.#reads = 0
    const actors: Actor[] = []
    let total = 0
    let passed = 0
    for await (const sighted of this.#all(wish)) {
      if (++passed % AT_ONCE === 0) await setImmediate()
      if (!fits(sighted, wish)) continue
      const seen = wish.state !== undefined || actors.length < wish.limit ? await sighted.look() : undefined
      if (wish.state !== undefined && !standsIn(seen?.value, wish.state)) continue
      total++
      if (seen && actors.length < wish.limit) actors.push(shown(sighted, seen))
    }
    return { actors, total, more: total > actors.length }
  }

  async *#all({ kind, machine }: Wish): AsyncGenerator<Sighted> {
    const wants = (one: Kind): boolean => kind === undefined || kind === one
    if (wants('session')) for (const { user } of [...this.#around.sessions.all()]) yield this.#session(user)
    if (wants('connection')) yield* this.#connections()
    if (!wants('room')) return
    const names = await this.#around.census.names()
    for (const each of machine === undefined ? [...names.keys()].sort() : [machine])
      for (const name of names.get(each) ?? []) yield this.#room(name, each)
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

  #lifeState(kind: 'connection' | 'session', name: string, value: unknown): Seen {
    const last = this.#around.journal.lifeOf(kind, name)?.at(-1)
    return { value: value ?? last?.value, ...(last && { seq: last.seq }) }
  }

  #room(name: string, machine: string): Sighted {
    const { rooms } = this.#around
    return {
      kind: 'room',
      machine,
      name,
      failed: rooms.failures.get(name),
      look: async () => this.#resident(rooms.resident(name)) ?? (await this.#sleeping(name)),
    }
  }

  #resident(room: Room | undefined): Seen | undefined {
    if (!room?.place.document) return undefined
    const { seq, document } = room.place
    return { value: document.value, seq, present: room.subscriptions }
  }

  /** What cannot be read says so. */
  async #sleeping(name: string): Promise<Seen> {
    const asleep = !this.#around.rooms.resident(name)
    try {
      return { ...(await this.#stateOf(name)), asleep }
    } catch (error) {
      return { value: undefined, asleep, failed: (error as Error).message }
    }
  }

  /** @throws {DamagedLog} */
  async #stateOf(name: string): Promise<{ value: unknown; seq: number }> {
    const seq = await this.#around.log.last(name)
    const known = this.#asleep.get(name)
    if (known?.seq === seq || seq === 0 || this.#reads >= READ_AT_ONCE) return { value: known?.value, seq }
    this.#reads++
    const moment = await this.#around.moments.at(name, seq)
    const value = moment?.document.value
    this.#asleep.set(name, { seq, value })
    const [oldest] = this.#asleep.keys()
    if (this.#asleep.size > REMEMBERED && oldest !== undefined) this.#asleep.delete(oldest)
    return { value, seq }
  }
}

function shown({ kind, machine, name, user, failed }: Sighted, { value, ...seen }: Seen): Actor {
  return {
    actor: `${kind}:${name}`,
    kind,
    machine,
    name,
    state: stateName(value),
    ...seen,
    ...(user !== undefined && { user }),
    ...(failed !== undefined && { failed }),
  }
}

function fits({ machine, name, user, failed }: Sighted, wish: Wish): boolean {
  if (wish.machine !== undefined && machine !== wish.machine) return false
  if (wish.user !== undefined && user !== wish.user) return false
  if (wish.failed !== undefined && (failed !== undefined) !== wish.failed) return false
  if (!wish.search) return true
  return `${name} ${user ?? ''}`.toLowerCase().includes(wish.search.toLowerCase())
}
