/**
 * User → session: a plain Map of live session actors, and the hands that their chart needs.
 *
 * Always true: a user has at most one session; a session is in the Map from its first connection until its chart
 * ends; a connection that was admitted leaves exactly once.
 */
import { type Actor, createActor } from 'xstate'
import sessionChart from '../machines/session.ts'
import type { Wheel } from './wheel.ts'

/** What a session needs of a connection that wants a place. */
export interface Member {
  readonly id: string
  admitted(session: Session): void
  turnedAway(): void
}

export interface SessionOptions {
  readonly maxConnectionsPerUser: number
  readonly sessionLinger: number
}

export class Session {
  readonly user: string
  readonly #actor: Actor<typeof sessionChart>
  readonly #members = new Map<string, Member>()

  constructor(user: string, options: SessionOptions, wheel: Wheel, ended: () => void) {
    this.user = user
    const take = (id: string): Member | undefined => this.#members.get(id)
    this.#actor = createActor(sessionChart, {
      clock: wheel,
      input: {
        user,
        maxConnections: options.maxConnectionsPerUser,
        linger: options.sessionLinger,
        hands: {
          admit: (id) => take(id)?.admitted(this),
          turnAway: (id) => {
            const member = take(id)
            this.#members.delete(id)
            member?.turnedAway()
          },
          end: ended,
        },
      },
    })
    this.#actor.start()
  }

  get connections(): number {
    return this.#members.size
  }

  join(member: Member): void {
    this.#members.set(member.id, member)
    this.#actor.send({ type: 'connection.joining', connection: member.id })
  }

  left(id: string): void {
    if (this.#members.delete(id)) this.#actor.send({ type: 'connection.left', connection: id })
  }

  stop(): void {
    this.#actor.stop()
  }
}

export class Sessions {
  readonly #options: SessionOptions
  readonly #wheel: Wheel
  readonly #byUser = new Map<string, Session>()

  constructor(options: SessionOptions, wheel: Wheel) {
    this.#options = options
    this.#wheel = wheel
  }

  get size(): number {
    return this.#byUser.size
  }

  /** The session of a user; it begins with the first connection. */
  of(user: string): Session {
    const known = this.#byUser.get(user)
    if (known) return known
    const session = new Session(user, this.#options, this.#wheel, () => this.#byUser.delete(user))
    this.#byUser.set(user, session)
    return session
  }

  stop(): void {
    for (const session of this.#byUser.values()) session.stop()
    this.#byUser.clear()
  }
}
