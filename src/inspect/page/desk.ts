/**
 * All that the page holds: the line to the server, where one is, the actors of the list, what is watched. Parts change by
 * its verbs only, and every change asks for one drawing in the next frame.
 */
import { stateName } from '../configuration.ts'
import type { Chart } from '../shapes.ts'
import type { Actor, Overview } from '../told.ts'
import { Feed } from './feed-client.ts'
import { Listing, NO_QUERY, type Query, type Sections } from './listing.ts'
import { hashOf, type Place, placeOf } from './places.ts'
import { Watching } from './watching.ts'

const SECOND = 1000
/** Survives a reload of this tab, and nothing more. */
const TOKEN = 'chartroom.inspect.token'

export class Desk {
  readonly feed = new Feed(feedUrl(), sessionStorage.getItem(TOKEN) ?? undefined)
  place: Place = { kind: 'nowhere' }
  query = NO_QUERY
  sections: Sections | undefined
  watching: Watching | undefined
  chart: Chart | undefined
  overview: Overview | undefined
  showsKeys = false
  failure: string | undefined
  /** Of the machines in the list, and of connections and sessions. */
  readonly charts = new Map<string, Chart>()
  readonly #asked = new Set<string>()
  readonly #listing = new Listing((type, fields) => this.feed.request(type, fields))
  readonly #draw: () => void
  #isDue = false
  #isRefreshing = false

  constructor(draw: () => void) {
    this.#draw = draw
    this.feed.onLine = () => this.#lineTurned()
    this.feed.onNews = (news) => this.watching?.hear(news)
  }

  start(): void {
    addEventListener('hashchange', () => this.#arrive(placeOf(location.hash)))
    setInterval(() => document.visibilityState === 'visible' && !this.#isRefreshing && void this.#refresh(), SECOND)
    this.#arrive(placeOf(location.hash))
    this.feed.connect()
  }

  unlock(token: string): void {
    sessionStorage.setItem(TOKEN, token)
    this.feed.connect(token)
  }

  go(place: Place): void {
    history.pushState(undefined, '', hashOf(place))
    this.#arrive(place)
  }

  ask(query: Query): void {
    this.query = query
    void this.#refresh()
    this.changed()
  }

  /** What is looked at, as a row of the list. */
  get opened(): Actor | undefined {
    const { actor, now } = this.watching ?? {}
    if (!actor || !now) return undefined
    const [kind, name] = [actor.slice(0, actor.indexOf(':')), actor.slice(actor.indexOf(':') + 1)]
    const { machine, value, failed, seq } = now
    const known = { actor, kind: kind as Actor['kind'], machine, name, state: stateName(value), seq }
    return failed === undefined ? known : { ...known, failed }
  }

  toggleKeys(): void {
    this.showsKeys = !this.showsKeys
    this.changed()
  }

  readonly changed = (): void => {
    if (this.#isDue) return
    this.#isDue = true
    requestAnimationFrame(() => {
      this.#isDue = false
      this.#rename()
      this.#draw()
    })
  }

  /** The address names the moment shown, so that it can be sent to somebody. */
  #rename(): void {
    if (this.place.kind !== 'actor') return
    const at = this.watching?.at
    const place: Place = { kind: 'actor', actor: this.place.actor, ...(at === undefined ? {} : { seq: at }) }
    if (hashOf(place) === hashOf(this.place)) return
    this.place = place
    history.replaceState(undefined, '', hashOf(place))
  }

  #lineTurned(): void {
    if (this.feed.line === 'open') {
      this.#asked.clear()
      void this.#refresh()
      void this.watching?.open()
    }
    this.changed()
  }

  #arrive(place: Place): void {
    this.place = place
    document.title = [nameOf(place), 'Inspect · Chartroom'].filter(Boolean).join(' · ')
    if (place.kind === 'actor' && place.actor === this.watching?.actor) this.#travel(this.watching, place.seq)
    else this.#watch(place)
    if (place.kind !== 'machine' || place.machine !== this.chart?.machine) this.#forgetMachine()
    void this.#refresh()
    this.changed()
  }

  #watch(place: Place): void {
    this.watching?.close()
    this.watching = undefined
    if (place.kind !== 'actor') return
    this.watching = new Watching(place.actor, place.seq, this.feed, this.changed)
    if (this.feed.line === 'open') void this.watching.open()
  }

  #travel(watching: Watching, seq: number | undefined): void {
    if (seq === undefined) watching.goLive()
    else watching.goTo(seq)
  }

  #forgetMachine(): void {
    this.chart = undefined
    this.overview = undefined
  }

  async #refresh(): Promise<void> {
    if (this.feed.line !== 'open') return
    this.#isRefreshing = true
    try {
      await Promise.all([this.#readActors(), this.#readOverview()])
      this.failure = undefined
    } catch (error) {
      this.failure = (error as Error).message
    } finally {
      this.#isRefreshing = false
    }
    this.changed()
  }

  async #readActors(): Promise<void> {
    const { query } = this
    const sections = await this.#listing.read(query)
    if (query === this.query) this.sections = sections
    this.changed()
    for (const machine of ['connection', 'session', ...sections.groups.map(({ machine }) => machine)])
      await this.#readChart(machine)
  }

  /** Asked for once, while the line holds: rooms may outlive their machine, which then has no chart. */
  async #readChart(machine: string): Promise<void> {
    if (this.#asked.has(machine)) return
    this.#asked.add(machine)
    const chart = await this.feed.chart(machine).catch(() => undefined)
    if (chart) this.charts.set(machine, chart)
  }

  async #readOverview(): Promise<void> {
    if (this.place.kind !== 'machine') return
    const { machine } = this.place
    const [chart, overview] = await Promise.all([this.feed.chart(machine), this.feed.request('overview', { machine })])
    if (this.place.kind === 'machine' && this.place.machine === machine) [this.chart, this.overview] = [chart, overview]
  }
}

const nameOf = (place: Place): string =>
  place.kind === 'actor' ? place.actor : place.kind === 'machine' ? place.machine : ''

function feedUrl(): URL {
  const url = new URL('inspect/feed', document.baseURI)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  return url
}
