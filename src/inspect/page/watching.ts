/**
 * The actor that is looked at: its chart, its state now, the steps around the moment shown, and what is shown of them.
 *
 * Always true: `now` follows the feed even while a moment of the past is shown; of the moments asked for while one is on
 * its way, only the last is fetched.
 */
import { applyPatch } from '../../patch.ts'
import type { Chart } from '../shapes.ts'
import type { IdeaStep, News, State, Step } from '../told.ts'
import type { Feed } from './feed-client.ts'

/** What might follow a moment. */
export interface Idea {
  readonly seq: number
  readonly steps: readonly IdeaStep[]
  /** The step that is shown. */
  readonly at: number
}

const PAGE = 200
/** More steps than this are forgotten at the far end; the log has them. */
const KEPT = 300

/** Parts of a state that a step carries whole, or that no one shows. */
const TOLD = /^\/(value|timers|delays)(\/|$)/
const PATCHED = /^\/(context|status)(\/|$)/

/** What a step makes of context and status; nothing where it changes more than can be told from it. */
function patchedBy({ ops }: Step, { context, status }: State): Pick<State, 'context' | 'status'> | undefined {
  const rest = ops.filter(({ path }) => !TOLD.test(path))
  if (!rest.every(({ path }) => PATCHED.test(path))) return undefined
  try {
    return applyPatch({ context, status }, rest)
  } catch {
    return undefined // It does not fit what was known: that is read anew.
  }
}

export class Watching {
  chart: Chart | undefined
  now: State | undefined
  past: State | undefined
  /** The seq of the moment shown; live without one. */
  at: number | undefined
  /** Without gaps, rising. */
  steps: readonly Step[] = []
  idea: Idea | undefined
  /** Why it cannot be shown. */
  failure: string | undefined
  /** The moment asked for, where there is none. */
  missed: number | undefined
  skipped = 0
  #wanted: number | undefined
  #busy = false

  readonly actor: string
  readonly feed: Feed
  readonly changed: () => void

  constructor(actor: string, at: number | undefined, feed: Feed, changed: () => void) {
    this.at = at
    this.actor = actor
    this.feed = feed
    this.changed = changed
  }

  get shown(): State | undefined {
    return this.at === undefined ? this.now : this.past
  }

  get isLive(): boolean {
    return this.at === undefined && this.idea === undefined
  }

  /** The step that led to what is shown. */
  get step(): Step | undefined {
    const seq = this.shown?.seq
    return this.steps.findLast((step) => step.seq === seq)
  }

  /** Again too, when the line has been lost. */
  async open(): Promise<void> {
    this.failure = undefined
    await this.#tried(this.#begin())
    await this.#tried(this.#loadChart())
    if (this.at === undefined) await this.#tried(this.#loadTail())
    else this.goTo(this.at)
    this.changed()
  }

  async #tried(work: Promise<void>): Promise<void> {
    await work.catch((error: Error) => {
      this.failure ??= error.message
    })
  }

  async #begin(): Promise<void> {
    this.now = await this.feed.request('watch', { actor: this.actor })
  }

  async #loadChart(): Promise<void> {
    if (!this.now) return
    this.chart = await this.feed.chart(this.now.machine)
  }

  close(): void {
    this.feed.request('unwatch', { actor: this.actor }).catch(() => undefined) // A lost connection watches nothing.
  }

  hear(news: News): void {
    if (news.actor !== this.actor) return
    if (news.type === 'skipped') this.skipped += news.steps
    else if (news.type === 'error') this.failure = news.message
    else if (news.type === 'state') this.#beginAnew(news)
    else this.#follow(news)
    this.changed()
  }

  goTo(seq: number): void {
    const { first = 0, last = seq } = this.now ?? {}
    this.idea = undefined
    this.at = Math.max(first, Math.min(last, seq))
    this.missed = this.at === seq ? undefined : seq
    this.#wanted = this.at
    this.changed()
    void this.#fetch()
  }

  /** Steps back or forward in the log, whose seqs have gaps where connections keep no count. */
  async move(by: number): Promise<void> {
    const seq = this.at ?? this.now?.last
    if (seq === undefined) return
    if (this.at !== undefined && seq + by > (this.now?.last ?? seq)) return this.goLive()
    this.goTo(Math.max(this.now?.first ?? 0, seq + by))
  }

  goLive(): void {
    this.at = undefined
    this.missed = undefined
    this.past = undefined
    this.idea = undefined
    this.changed()
    if (this.steps.at(-1)?.seq !== this.now?.last) void this.#loadTail().then(this.changed)
  }

  async loadOlder(): Promise<void> {
    const [oldest] = this.steps
    if (!oldest) return
    const since = Math.max((this.now?.first ?? 1) - 1, oldest.seq - 1 - PAGE)
    const { steps } = await this.#history(since)
    this.steps = [...steps.filter(({ seq }) => seq < oldest.seq), ...this.steps]
    this.changed()
  }

  async imagine(events: readonly object[]): Promise<void> {
    const seq = this.shown?.seq ?? 0
    const { steps } = await this.feed.request('fork', { actor: this.actor, seq, events })
    this.idea = { seq, steps, at: steps.length - 1 }
    this.changed()
  }

  showIdea(at: number): void {
    if (this.idea) this.idea = { ...this.idea, at }
    this.changed()
  }

  forgetIdea(): void {
    this.idea = undefined
    this.changed()
  }

  /** What is to be said of it beside what is shown. */
  get notice(): string | undefined {
    const { missed, at } = this
    return this.failure ?? (missed === undefined ? undefined : `There is no ${missed}; this is ${at}.`)
  }

  async #fetch(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    while (this.#wanted !== undefined) {
      const seq = this.#wanted
      this.#wanted = undefined
      await this.#fetchMoment(seq).catch((error) => {
        this.failure = error.message
      })
      this.changed()
    }
    this.#busy = false
  }

  async #fetchMoment(seq: number): Promise<void> {
    const state = await this.feed.request('moment', { actor: this.actor, seq })
    if (!this.steps.some((step) => step.seq === seq)) await this.#loadAround(seq)
    if (this.at === undefined) return
    this.past = state
    this.failure = undefined
  }

  async #loadAround(seq: number): Promise<void> {
    this.steps = (await this.#history(Math.max(0, seq - PAGE / 2))).steps
  }

  async #loadTail(): Promise<void> {
    const { steps } = await this.#history(Math.max(0, (this.now?.last ?? 0) - PAGE))
    const newer = this.steps.filter(({ seq }) => seq > (steps.at(-1)?.seq ?? 0))
    this.steps = [...steps, ...newer]
  }

  #history(since: number) {
    return this.feed.request('history', { actor: this.actor, since, limit: PAGE })
  }

  /** A whole state in the place of steps that were left out, perhaps with another machine. */
  #beginAnew(state: State): void {
    this.now = state
    this.failure = undefined
    void this.#tried(this.#loadChart()).then(this.changed)
    if (this.at === undefined) void this.#loadTail().then(this.changed)
  }

  #follow(step: Step): void {
    if (!this.now || step.seq <= this.now.seq) return
    const follows = this.steps.length === 0 || this.steps.at(-1)?.seq === this.now.seq
    if (follows) this.steps = [...this.steps, step].slice(this.at === undefined ? -KEPT : 0)
    const { seq, time, value, active, can = this.now.can, timers = this.now.timers } = step
    const patched = patchedBy(step, this.now)
    this.now = { ...this.now, ...patched, seq, time, value, active, can, timers, last: seq }
    if (!patched) void this.#refresh(seq)
  }

  async #refresh(seq: number): Promise<void> {
    const state = await this.feed.request('moment', { actor: this.actor, seq })
    if (this.now?.seq === seq) this.now = { ...state, last: this.now.last }
    this.changed()
  }
}
