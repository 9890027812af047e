/**
 * How one figure comes about: a server, a generator, and a stretch of time.
 *
 * Always true: what is counted and what was used belong to the same stretch; a sample in which something was wrong does
 * not exist, the run ends.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { Generator } from './generator.ts'
import type { Opening } from './opening.ts'
import type { Server, Start } from './servers.ts'

/** Figures of one sample, by name: `sixteen.perCpu` is messages per CPU second with 16 in flight. */
export type Figures = Record<string, number>

/** How long and how large; the same for all that are compared. */
export interface Scale {
  readonly isQuick: boolean
  /** Seconds before and during a measurement. */
  readonly warmUp: number
  readonly seconds: number
  /** Where the CPU profile of a contestant's measurement goes. */
  readonly profile?: (figure: string) => string
}

/** A server with its generator. */
export class Stand {
  readonly server: Server
  readonly load: Generator
  readonly #scale: Scale

  private constructor(server: Server, load: Generator, scale: Scale) {
    this.server = server
    this.load = load
    this.#scale = scale
  }

  static async open(start: Start, scale: Scale): Promise<Stand> {
    const server = await start()
    return new Stand(server, await Generator.start(), scale)
  }

  /** Opens connections of the server's own kind. */
  opening(count: number, user = 'user'): Opening {
    const { dialect, port, key } = this.server
    return { dialect, port, count, user, ...(key && { key }) }
  }

  /** So many frames in flight on each connection: how many are answered in a CPU second of the server, all threads. */
  async window(name: string, inFlight: number): Promise<Figures> {
    const { warmUp, seconds } = this.#scale
    await this.load.ask('start', { inFlight })
    await pause(warmUp * 1000)
    const figures = await this.#stretch(name, () => pause(seconds * 1000))
    await this.load.ask('stop')
    return figures
  }

  /** So many frames a second, whatever the server makes of it: how late the answers are. */
  async rate(name: string, perSecond: number, seconds = this.#scale.seconds): Promise<Figures> {
    await this.load.ask('rate', { perSecond, seconds: this.#scale.warmUp })
    let latency: Figures = {}
    const figures = await this.#stretch(name, async () => {
      const rated = await this.load.ask('rate', { perSecond, seconds })
      const { p50, p99, p999, most } = rated.latency
      latency = {
        [`${name}.p50`]: p50,
        [`${name}.p99`]: p99,
        [`${name}.p999`]: p999,
        [`${name}.most`]: most,
        [`${name}.lateness`]: rated.lateness,
      }
    })
    return { ...figures, ...latency }
  }

  async #stretch(name: string, run: () => Promise<unknown>): Promise<Figures> {
    const { server, load } = this
    const file = this.#scale.profile?.(name)
    if (file) await server.startProfile()
    const [before, had] = await Promise.all([server.usage(), load.ask('count')])
    await run()
    const [after, has] = await Promise.all([server.usage(), load.ask('count')])
    if (file) await server.writeProfile(file)
    const busy = (after.cpu - before.cpu) / 1000 / (after.at - before.at)
    const own = (has.cpu - had.cpu) / 1000 / (has.at - had.at)
    const perSecond = ((has.answers - had.answers) * 1000) / (has.at - had.at)
    if (perSecond === 0) throw new Error(`${server.name}: nothing was answered`)
    return {
      [`${name}.perSecond`]: perSecond,
      [`${name}.perCpu`]: perSecond / busy,
      [`${name}.busy`]: busy,
      [`${name}.generator`]: own,
      [`${name}.rss`]: after.rss,
      [`${name}.heap`]: after.heap,
    }
  }

  async end(): Promise<void> {
    await this.load.end()
    await this.server.end()
  }
}

/** One that takes part, made ready once or before each sample. */
export interface Contestant {
  readonly name: string
  prepare(scale: Scale): Promise<Prepared>
}

export interface Prepared {
  sample(): Promise<Figures>
  end(): Promise<void>
}

/** One contestant's figures of one round, by its name. */
export type Round = Readonly<Record<string, Figures>>

export interface Goal {
  readonly title: string
  readonly bound: '>=' | '<='
  readonly value: number
  readonly unit?: string
  of(round: Round): number
}

export interface Scenario {
  readonly name: string
  readonly title: string
  /** Those that take part, in the order of the table; `isQuick` makes them smaller. */
  contestants(isQuick: boolean): Contestant[]
  goals(isQuick: boolean): Goal[]
  /** What is drawn: figures and what they are called. */
  readonly drawn: Readonly<Record<string, string>>
  /** What ratios are taken to, where there is one. */
  readonly reference?: string
  /** Too dear to be made anew for each round. */
  readonly isKept?: boolean
}

/** A contestant that is a stand, set up and sampled. */
export function contestant(
  name: string,
  start: Start,
  setUp: (stand: Stand, scale: Scale) => Promise<unknown>,
  sample: (stand: Stand, scale: Scale) => Promise<Figures>,
): Contestant {
  return {
    name,
    prepare: async (scale) => {
      const stand = await Stand.open(start, scale)
      try {
        await setUp(stand, scale)
      } catch (error) {
        await stand.end()
        throw error
      }
      return { sample: () => sample(stand, scale), end: () => stand.end() }
    },
  }
}

/** One figure of one contestant, which must be there. */
export function figure(round: Round, contestant: string, name: string): number {
  const value = round[contestant]?.[name]
  if (value === undefined) throw new Error(`${contestant} has no figure ${name}`)
  return value
}

/** By how much one contestant's figure is more than another's, in one round. */
export const ratio =
  (name: string, of: string, to: string) =>
  (round: Round): number =>
    figure(round, of, name) / figure(round, to, name)
