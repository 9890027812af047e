/**
 * What an operator watches, in Prometheus' text format; every name begins with `chartroom_`. The only importer of
 * prom-client.
 *
 * Always true: a connection is counted in exactly one state; what other parts know is asked when somebody reads.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Transition } from './connection/journal.ts'

/** Figures that are looked up when they are read. */
export interface Population {
  /** 1 while `/ready` says so, else 0. */
  ready(): number
  /** Unix time in seconds; not a number where TLS is not spoken here. */
  certificate_expires_seconds(): number
  sessions(): number
  rooms(): number
  /** Those that are served to nobody until they are revived. */
  rooms_failed(): number
  rooms_in_use(): number
  subscriptions(): number
  deadlines(): number
}

const STATES = ['connecting', 'authenticated', 'open', 'closing'] as const

export class Metrics {
  readonly #registry = new Registry()
  readonly #connections: Gauge<'state'>
  readonly #dwell: Histogram<'state'>
  readonly #closes: Counter<'code'>
  readonly #auth: Counter<'outcome'>
  readonly #errors: Counter<'code'>
  readonly #heartbeats: Counter<'what'>
  readonly #passivations: Counter<'why'>

  constructor() {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry, prefix: 'chartroom_' })
    const labelled = <L extends string>(name: string, help: string, label: L) => ({
      name: `chartroom_${name}`,
      help,
      labelNames: [label] as const,
      registers,
    })
    this.#connections = new Gauge(labelled('connections', 'connections by state', 'state'))
    this.#dwell = new Histogram({
      ...labelled('connection_state_seconds', 'time that connections spend in a state', 'state'),
      buckets: [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 86_400],
    })
    this.#closes = new Counter(labelled('closes_total', 'connections that ended, by close code', 'code'))
    this.#auth = new Counter(labelled('auth_total', 'tokens that were verified, by outcome', 'outcome'))
    this.#errors = new Counter(labelled('errors_total', 'error frames, by code', 'code'))
    this.#heartbeats = new Counter(labelled('heartbeats_total', 'pings, pongs, and peers given up', 'what'))
    this.#passivations = new Counter(labelled('passivations_total', 'rooms that went to sleep, by why', 'why'))
    for (const state of STATES) this.#connections.set({ state }, 0)
  }

  /** Adds what the rest of the server knows of itself. */
  watch(population: Population): void {
    const registers = [this.#registry]
    const helps = {
      ready: 'whether events are taken: the log can be written, and the server does not stop',
      certificate_expires_seconds: 'when the certificate that is shown ends',
      sessions: 'sessions alive',
      rooms: 'rooms in memory',
      rooms_failed: 'rooms whose machine threw too often',
      rooms_in_use: 'rooms that somebody is in, or that work is under way in',
      subscriptions: 'places in rooms that connections hold',
      deadlines: 'deadlines that wait',
    } satisfies Record<keyof Population, string>
    for (const [name, help] of Object.entries(helps) as [keyof Population, string][]) {
      new Gauge({
        name: `chartroom_${name}`,
        help,
        registers,
        collect() {
          this.set(population[name]())
        },
      })
    }
  }

  moved({ from, to, cause, ms }: Transition): void {
    if (from !== null) {
      this.#connections.dec({ state: from })
      this.#dwell.observe({ state: from }, ms / 1000)
    }
    if (to === 'closed') this.#closes.inc({ code: cause ?? 'unknown' })
    else this.#connections.inc({ state: to })
  }

  verified(outcome: string): void {
    this.#auth.inc({ outcome })
  }

  error(code: string): void {
    this.#errors.inc({ code })
  }

  heartbeat(what: 'ping' | 'pong' | 'lost'): void {
    this.#heartbeats.inc({ what })
  }

  passivated(why: 'idle' | 'bound'): void {
    this.#passivations.inc({ why })
  }

  /** Everything, as Prometheus reads it. */
  async read(): Promise<{ contentType: string; body: string }> {
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() }
  }
}
