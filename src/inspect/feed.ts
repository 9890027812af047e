/**
 * The feed's answers: one request of one visitor, and what it is told.
 *
 * Always true: a room is only ever changed by `send`, through the door that every frame comes through; a machine's code is
 * run by `send` and `fork` alone, and only for who may send; everything else reads.
 */

import type { Journal } from '../connection/journal.ts'
import { type Failure, failure, isFailure } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import type { Machine } from '../machine/machine.ts'
import type { Rooms } from '../room/rooms.ts'
import { Census } from './census.ts'
import { chartOf } from './chart.ts'
import { ChartIndex } from './configuration.ts'
import { exported } from './export.ts'
import { fork } from './fork.ts'
import type { Request, Requests, Told } from './frames.ts'
import type { Visitor } from './gate.ts'
import { type Life, LifeSight } from './life-sight.ts'
import type { Lookout } from './lookout.ts'
import { Moments } from './moments.ts'
import { Overviews } from './overview.ts'
import { serverCharts } from './own-charts.ts'
import { Population, type PopulationSurroundings } from './population.ts'
import { Redactor } from './redact.ts'
import { type Lens, RoomSight } from './room-sight.ts'
import type { Chart } from './shapes.ts'
import type { Sight } from './sight.ts'

export interface FeedSurroundings extends Omit<PopulationSurroundings, 'moments' | 'census'> {
  readonly machines: ReadonlyMap<string, Machine>
  readonly rooms: Rooms
  readonly log: Log
  readonly journal: Journal
  readonly lookout: Lookout
  readonly logger: Logger
}

type MachineLens = Lens & { readonly index: ChartIndex; readonly machine: string }

export class Feed {
  readonly #around: FeedSurroundings
  readonly #moments: Moments
  readonly #census: Census
  readonly #population: Population
  readonly #overviews: Overviews
  /** By the machine itself: one of the same name may take its place. */
  readonly #lenses = new WeakMap<Machine['logic'], MachineLens>()
  readonly #own: ReadonlyMap<string, ChartIndex>

  constructor(around: FeedSurroundings) {
    this.#around = around
    this.#moments = new Moments(around.log)
    this.#census = new Census(around)
    this.#population = new Population({ ...around, census: this.#census, moments: this.#moments })
    this.#overviews = new Overviews({ ...around, census: this.#census, moments: this.#moments })
    this.#own = new Map(serverCharts.map((chart) => [chart.machine, new ChartIndex(chart)]))
  }

  /** The answer to a request that concerns no watch. */
  async answer(
    request: Exclude<Request, Requests['watch' | 'unwatch' | 'auth']>,
    visitor: Visitor,
  ): Promise<Told | Failure> {
    switch (request.type) {
      case 'actors':
        return { type: 'actors', ...(await this.#population.list(request)) }
      case 'machines':
        return { type: 'machines', machines: await this.#census.tallies() }
      case 'chart':
        return this.#chart(request.machine)
      case 'history':
        return this.#seen('history', request.actor, (sight) => sight.history(request))
      case 'moment':
        return this.#seen('state', request.actor, (sight) => sight.moment(request.seq))
      case 'overview':
        return this.#overview(request.machine)
      case 'fork':
        return this.#fork(request, visitor)
      case 'send':
        return this.#send(request, visitor)
    }
  }

  /** The actors that are there: rooms in memory, sessions, connections. */
  here(): string[] {
    const { rooms, sessions, connections } = this.#around
    return [
      ...[...rooms.all()].map(({ name }) => `room:${name}`),
      ...[...sessions.all()].map(({ user }) => `session:${user}`),
      ...[...connections.all()].map(({ id }) => `connection:${id}`),
    ]
  }

  /** Names a room whenever something happens to it, and anything else when it begins. @returns what ends it. */
  news(listener: (actor: string) => void): () => void {
    const { lookout } = this.#around
    const ends = [
      lookout.rooms((room) => listener(`room:${room}`)),
      lookout.lives((kind, name, { seq }) => seq === 1 && listener(`${kind}:${name}`)),
    ]
    return () => {
      for (const end of ends) end()
    }
  }

  /** The chart of a machine, or of the server's own actors. */
  chartOf(name: string): Chart | undefined {
    return (this.#own.get(name) ?? this.#lens(name)?.index)?.chart
  }

  /** What can be seen of an actor. */
  sightOf(actor: string): Sight | Failure {
    const [, kind, name = ''] = /^(room|connection|session):(.+)$/s.exec(actor) ?? []
    if (kind === 'room') return this.#roomSight(name)
    const index = this.#own.get(kind ?? '')
    if (!index)
      return failure('bad_frame', `an actor is room:..., connection:... or session:..., got ${actor}`, {
        path: '/actor',
      })
    const { journal, lookout, connections, sessions } = this.#around
    if (kind === 'connection') {
      const lifeOf = (id: string): Life | undefined => connections.get(id)?.life
      return new LifeSight('connection', name, { journal, lookout, index, lifeOf })
    }
    const lifeOf = (user: string): Life | undefined => sessions.resident(user)?.life
    return new LifeSight('session', name, { journal, lookout, index, lifeOf })
  }

  /** A room's past as a file. */
  async export(room: string): Promise<string | Failure> {
    const lens = this.#lensOf(room)
    if (isFailure(lens)) return lens
    return exported(room, lens, this.#around.machines.get(lens.machine)?.version ?? '1', this.#moments)
  }

  /** Whoever looked is gone: nothing is read any more. */
  stop(): void {
    this.#overviews.stop()
  }

  #roomSight(room: string): Sight | Failure {
    const lens = this.#lensOf(room)
    if (isFailure(lens)) return lens
    const { rooms, lookout } = this.#around
    const lensNow = (): Lens => this.#lens(lens.machine) ?? lens
    return new RoomSight(room, lensNow, { rooms, lookout, moments: this.#moments })
  }

  #chart(name: string): Told | Failure {
    const chart = this.chartOf(name)
    return chart ? { type: 'chart', chart } : this.#unknownMachine(name)
  }

  async #overview(name: string): Promise<Told | Failure> {
    const lens = this.#lens(name)
    return lens ? { type: 'overview', ...(await this.#overviews.of(name, lens.index)) } : this.#unknownMachine(name)
  }

  async #seen(type: string, actor: string, look: (sight: Sight) => Promise<object | Failure>): Promise<Told | Failure> {
    const sight = this.sightOf(actor)
    if (isFailure(sight)) return sight
    const seen = await look(sight)
    return isFailure(seen) ? seen : { type, actor, ...seen }
  }

  async #fork({ actor, seq, events }: Requests['fork'], { maySend, principal }: Visitor): Promise<Told | Failure> {
    if (!maySend) return failure('forbidden', 'to fork needs a token with the scope "inspect:send"')
    const room = actor.replace(/^room:/, '')
    const lens = this.#lensOf(room)
    if (isFailure(lens)) return lens
    const moment = await this.#moments.at(room, seq)
    if (!moment) return failure('unknown_seq', `the state of ${room} at seq ${seq} is not known`)
    const machine = this.#around.machines.get(lens.machine) as Machine
    const steps = await fork(moment, events, principal, { ...lens, machine, logger: this.#around.logger })
    return isFailure(steps) ? steps : { type: 'fork', steps }
  }

  async #send({ room: name, event }: Requests['send'], { maySend, principal }: Visitor): Promise<Told | Failure> {
    if (!maySend) return failure('forbidden', 'to send needs a token with the scope "inspect:send"')
    const room = this.#around.rooms.of(name, principal.user)
    if (isFailure(room)) return room
    return new Promise((resolve) => room.send({ who: principal, event }, (answer) => resolve({ ...answer })))
  }

  #lensOf(room: string): MachineLens | Failure {
    const [machine = ''] = room.split('/')
    if (!this.#around.rooms.isName(room) && this.#around.machines.has(machine))
      return failure('bad_room', `a room is named machine/key, got ${JSON.stringify(room)}`)
    return this.#lens(machine) ?? this.#unknownMachine(machine)
  }

  #lens(name: string): MachineLens | undefined {
    const machine = this.#around.machines.get(name)
    if (!machine) return undefined
    const known = this.#lenses.get(machine.logic)
    if (known) return known
    const index = new ChartIndex(chartOf(machine.logic, { machine: name, kind: 'room', version: machine.version }))
    const lens = { machine: name, index, redactor: new Redactor(machine.policy.redact) }
    this.#lenses.set(machine.logic, lens)
    return lens
  }

  #unknownMachine(name: string): Failure {
    const known = [...this.#around.machines.keys(), ...this.#own.keys()].join(', ')
    return failure('unknown_machine', `no machine is called ${JSON.stringify(name)}; there are ${known}`)
  }
}
