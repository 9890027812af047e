/**
 * What became of each connection, transition by transition: the answer to "why was I closed?".
 *
 * Always true: it holds the newest connections only, and of each the newest transitions; it holds no token and no frame.
 */

/** Connections whose story is kept, and transitions of each. */
const CONNECTIONS = 1000
const TRANSITIONS = 32

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

export interface Story {
  readonly connection: string
  readonly user: string | null
  readonly transitions: readonly Transition[]
}

export class Journal {
  readonly #stories = new Map<string, { user: string | null; transitions: Transition[] }>()

  note(connection: string, user: string | null, transition: Transition): void {
    const story = this.#stories.get(connection) ?? this.#begin(connection)
    story.user = user
    story.transitions.push(transition)
    if (story.transitions.length > TRANSITIONS) story.transitions.shift()
  }

  storyOf(connection: string): Story | undefined {
    const story = this.#stories.get(connection)
    return story && { connection, ...story }
  }

  #begin(connection: string): { user: string | null; transitions: Transition[] } {
    const [oldest] = this.#stories.keys()
    if (this.#stories.size >= CONNECTIONS && oldest !== undefined) this.#stories.delete(oldest)
    const story = { user: null, transitions: [] }
    this.#stories.set(connection, story)
    return story
  }
}
