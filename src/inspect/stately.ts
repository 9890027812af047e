/**
 * The feed in the words of Stately's own inspector (the package `@statelyai/inspect`): `@xstate.actor` for each actor that
 * is there, then `@xstate.event` and `@xstate.snapshot` for each of its steps.
 *
 * Always true: whatever is said was told by the feed, so it is hidden and left out here as there; what these words have no
 * word for is not said.
 */
import { type Failure, isFailure } from '../errors.ts'
import { applyPatch, type Operation } from '../patch.ts'
import { definitionOf } from './definition.ts'
import type { Feed } from './feed.ts'
import type { Told } from './frames.ts'
import type { State, Step } from './told.ts'
import type { Eyes, Tongue } from './tongue.ts'

/** The version of the package in which these are its words. */
const VERSION = '0.7.0'

type Snapshot = Pick<State, 'value' | 'context' | 'status'>

export class Stately implements Tongue {
  readonly #feed: Feed
  /** Who is to be seen; everybody where it is missing. */
  readonly #wanted: readonly string[] | undefined
  /** Those that were introduced, and how they stand. */
  readonly #known = new Map<string, Snapshot>()
  #said = 0
  #eyes: Eyes | undefined
  #endNews = (): void => {}

  /** @param query of the request: `actor=room:chat/lobby`, as often as one likes */
  constructor(feed: Feed, query: string) {
    const wanted = new URLSearchParams(query).getAll('actor')
    this.#feed = feed
    this.#wanted = wanted.length > 0 ? wanted : undefined
  }

  /** Those who come later are introduced when they come, as long as there is a place. */
  async begin(eyes: Eyes): Promise<void> {
    this.#eyes = eyes
    const isUnknown = this.#wanted?.map((actor) => this.#feed.sightOf(actor)).find(isFailure)
    if (isUnknown) return eyes.end('bad_request', isUnknown.message)
    this.#endNews = this.#feed.news((actor) => {
      if (eyes.mayWatch(actor) && this.#wanted?.includes(actor) !== false) void eyes.watch(actor)
    })
    for (const actor of this.#wanted ?? this.#feed.here()) if (eyes.mayWatch(actor)) await eyes.watch(actor)
  }

  end(): void {
    this.#endNews()
  }

  say(told: Told | Failure): readonly string[] {
    if (told.type === 'state') return this.#state(told as unknown as State)
    if (told.type === 'step') return this.#step(told as unknown as Step)
    return []
  }

  /** The first introduces the actor; one behind a gap says how it stands now. */
  #state(state: State): string[] {
    const { actor, machine, time } = state
    const isKnown = this.#known.has(actor)
    const snapshot = this.#note(actor, state)
    if (isKnown) return [this.#message('@xstate.snapshot', actor, time, { event: { type: 'skipped' }, snapshot })]
    const chart = this.#feed.chartOf(machine)
    const definition = chart && definitionOf(chart)
    return [this.#message('@xstate.actor', actor, time, { name: actor, definition, snapshot })]
  }

  #step({ actor, event, from, time, ops }: Step): string[] {
    const snapshot = this.#note(actor, applyPatch(this.#known.get(actor), ops.filter(isOfSnapshot)) as Snapshot)
    const source = `session:${from}`
    const isKnown = from !== null && this.#known.has(source)
    return [
      this.#message('@xstate.event', actor, time, { event, ...(isKnown && { sourceId: source }) }),
      this.#message('@xstate.snapshot', actor, time, { event, snapshot }),
    ]
  }

  /** A connection or a session that has ended gives its place to the next. */
  #note(actor: string, { value, context, status }: Snapshot): Snapshot {
    const snapshot = { status, value, context }
    if (status === 'active' || actor.startsWith('room:')) this.#known.set(actor, snapshot)
    else {
      this.#known.delete(actor)
      this.#eyes?.forget(actor)
    }
    return snapshot
  }

  #message(type: string, sessionId: string, time: number, more: object): string {
    const id = `${++this.#said}`
    return JSON.stringify({ type, sessionId, rootId: sessionId, id, createdAt: `${time}`, _version: VERSION, ...more })
  }
}

/** An operation on the whole, or on what is held of it. */
const isOfSnapshot = ({ path }: Operation): boolean => path === '' || /^\/(value|context|status)(\/|$)/.test(path)
