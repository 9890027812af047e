/**
 * What became of each connection, transition by transition: the answer to "why was I closed?". And of each live actor
 * step by step, for whoever looks at its chart.
 *
 * Always true: it holds so many actors, and of each the newest steps; those that are over go first, and none whose life is
 * followed; it holds no token and no frame.
 */
import { Tally } from '../limits.ts'

/** Connections whose story is kept, and transitions of each. */
const CONNECTIONS = 1000
const TRANSITIONS = 32
/** Actors whose life is kept, connections and sessions apart, and steps of each. */
const LIVES = 1000
const STEPS = 64

/** One step of a chart. */
export interface Transition {
  /** The state that was left; `null` at the beginning. */
  readonly from: string | null
  /** The type of the event that brought it about. */
  readonly event: string
  readonly to: string
  /** What the event said of itself: a reason, a close code. */
  readonly cause?: string
  /** Milliseconds in the state that was left. */
  readonly ms: number
  /** Unix epoch milliseconds. */
  readonly time: number
}

/** Whose step it is. */
export interface Subject {
  readonly connection: string
  readonly user: string | null
  /** Where it comes from. */
  readonly address: string
}

export interface Story extends Subject {
  readonly transitions: readonly Transition[]
}

/** One event of a live actor, and where its chart stands since: with every state, the inner ones too. */
export interface LifeStep {
  /** Counts the actor's steps, from 1. */
  readonly seq: number
  readonly event: string
  readonly cause: string | undefined
  readonly value: unknown
  readonly status: string
  /** What is kept of its context: no token, nothing that runs. */
  readonly context: unknown
  /** Milliseconds since the step before; Unix epoch milliseconds. */
  readonly ms: number
  readonly time: number
}

export type ActorKind = 'connection' | 'session'

export class Journal {
  /** Told of each step of an actor, by its kind and name; missing while nobody looks. */
  onStep: ((kind: ActorKind, name: string, step: LifeStep) => void) | undefined
  readonly #lives: Readonly<Record<ActorKind, Lives>> = { connection: new Lives(), session: new Lives() }

  readonly #stories = new Map<string, { subject: Subject; transitions: Transition[] }>()

  note(subject: Subject, transition: Transition): void {
    const story = this.#stories.get(subject.connection) ?? this.#begin(subject)
    story.subject = subject
    story.transitions.push(transition)
    if (story.transitions.length > TRANSITIONS) story.transitions.shift()
  }

  storyOf(connection: string): Story | undefined {
    const story = this.#stories.get(connection)
    return story && { ...story.subject, transitions: story.transitions }
  }

  /** A live actor took an event. One that was forgotten begins anew, also in its seqs. */
  step(
    kind: ActorKind,
    name: string,
    { event, cause, value, status, context, time }: Omit<LifeStep, 'seq' | 'ms'>,
  ): void {
    const steps = this.#lives[kind].stepped(name, status === 'active')
    const last = steps.at(-1)
    const ms = last ? time - last.time : 0
    const noted: LifeStep = { seq: (last?.seq ?? 0) + 1, event, cause, value, status, context, ms, time }
    if (steps.push(noted) > STEPS) steps.shift()
    this.onStep?.(kind, name, noted)
  }

  /** The steps of an actor that are kept. */
  lifeOf(kind: ActorKind, name: string): readonly LifeStep[] | undefined {
    return this.#lives[kind].of(name)
  }

  /** Those of whom something is kept. */
  names(kind: ActorKind): Iterable<string> {
    return this.#lives[kind].names()
  }

  /** An actor is followed, and not forgotten for newer ones. @returns what ends it. */
  hold(kind: ActorKind, name: string): () => void {
    this.#lives[kind].held.add(name)
    return () => this.#lives[kind].held.remove(name)
  }

  #begin(subject: Subject): { subject: Subject; transitions: Transition[] } {
    const [oldest] = this.#stories.keys()
    if (this.#stories.size >= CONNECTIONS && oldest !== undefined) this.#stories.delete(oldest)
    const story = { subject, transitions: [] }
    this.#stories.set(subject.connection, story)
    return story
  }
}

/** The lives of one kind, by their names: those that go on, and those that are over. */
class Lives {
  readonly held = new Tally()
  readonly #living = new Map<string, LifeStep[]>()
  readonly #over = new Map<string, LifeStep[]>()

  of(name: string): LifeStep[] | undefined {
    return this.#living.get(name) ?? this.#over.get(name)
  }

  *names(): Iterable<string> {
    yield* this.#living.keys()
    yield* this.#over.keys()
  }

  /** The steps of a life that took one more, with which it may be over, or begin again. */
  stepped(name: string, isLiving: boolean): LifeStep[] {
    const known = this.#living.get(name)
    if (known && isLiving) return known
    const steps = known ?? this.#over.get(name) ?? this.#begin()
    const [to, from] = isLiving ? [this.#living, this.#over] : [this.#over, this.#living]
    from.delete(name)
    to.set(name, steps)
    return steps
  }

  #begin(): LifeStep[] {
    if (this.#living.size + this.#over.size >= LIVES && !this.#forgetOldest(this.#over))
      this.#forgetOldest(this.#living)
    return []
  }

  #forgetOldest(lives: Map<string, LifeStep[]>): boolean {
    for (const name of lives.keys()) if (this.held.of(name) === 0) return lives.delete(name)
    return false
  }
}
