/**
 * User → session: a plain Map of live session actors, and the hands that their chart needs.
 *
 * Always true: a user has at most one session; a session is in the Map from its first connection until its chart
 * ends; a connection that was admitted leaves exactly once.
 */
import type { Actor, AnyMachineSnapshot } from 'xstate'
import sessionChart, { type SessionHands } from '../../machines/session.ts'
import type { Recipient } from '../inbox/round.ts'
import { Failures, intensities } from '../intensity.ts'
import type { Logger } from '../logger.ts'
import type { ActorSystem, Waiting } from './system.ts'

/** What a session needs of a connection that wants a place. */
export interface Member extends Recipient {
  /** Its life, by the states of its chart. */
  readonly state: string
  admitted(session: Session): void
  /** There is no place for it, or the session could not give it one. */
  turnedAway(reason: 'too_many_connections' | 'internal', message: string): void
  close(reason: 'internal', message: string): void
}

export interface SessionOptions {
  readonly maxConnectionsPerUser: number
  readonly sessionLinger: number
}

/** What a session is handed. */
interface Surroundings {
  readonly options: SessionOptions
  readonly system: ActorSystem
  readonly logger: Logger
  onEnded(session: Session): void
}

export class Session implements SessionHands {
  readonly user: string
  readonly #around: Surroundings
  readonly #members = new Map<string, Member>()
  #crashes: Failures | undefined
  #actor!: Actor<typeof sessionChart>

  constructor(user: string, around: Surroundings) {
    this.user = user
    this.#around = around
    this.#start()
  }

  #start(): void {
    const { options, system } = this.#around
    const input = {
      hands: this,
      connections: [...this.#members.keys()],
      maxConnections: options.maxConnectionsPerUser,
      linger: options.sessionLinger,
    }
    this.#actor = system.create(sessionChart, input, (error) => this.#crashed(error))
    this.#actor.start()
  }

  // What the chart wants done.

  admit(id: string): void {
    this.#members.get(id)?.admitted(this)
  }

  turnAway(id: string): void {
    const { maxConnectionsPerUser } = this.#around.options
    this.#turnAway(id, 'too_many_connections', `a user may have ${maxConnectionsPerUser} connections`)
  }

  end(): void {
    this.#around.onEnded(this)
  }

  #turnAway(id: string, reason: 'too_many_connections' | 'internal', message: string): void {
    const member = this.#members.get(id)
    this.#members.delete(id)
    member?.turnedAway(reason, message)
  }

  /** Begins again with the connections that are there; who was on its way in is turned away, lest it bring this about again. */
  #crashed(error: unknown): void {
    this.#crashes ??= new Failures(intensities.session)
    const isOver = this.#crashes.add(Date.now())
    this.#around.logger.error({ err: error, user: this.user, isOver }, 'a session actor crashed')
    for (const { id, state } of [...this.#members.values()]) {
      if (state !== 'open') this.#turnAway(id, 'internal', 'the session failed')
    }
    if (!isOver) return this.#start()
    this.end()
    for (const member of this.#members.values()) member.close('internal', 'the session failed again and again')
  }

  /** Where its chart stands, and what that waits for. */
  get life(): { readonly snapshot: AnyMachineSnapshot; readonly delays: readonly Waiting[] } {
    return { snapshot: this.#actor.getSnapshot(), delays: this.#around.system.delaysOf(this.#actor) }
  }

  get connections(): number {
    return this.#members.size
  }

  /** Its connections that are open. */
  get open(): Member[] {
    return [...this.#members.values()].filter(({ state }) => state === 'open')
  }

  join(member: Member): void {
    this.#members.set(member.id, member)
    this.#actor.send({ type: 'connection.joining', connection: member.id })
  }

  left(id: string): void {
    if (this.#members.delete(id)) this.#actor.send({ type: 'connection.left', connection: id })
  }

  stop(): void {
    this.#around.system.end(this.#actor)
  }
}

export class Sessions {
  readonly #around: Surroundings
  readonly #byUser = new Map<string, Session>()

  constructor(options: SessionOptions, system: ActorSystem, logger: Logger) {
    this.#around = { options, system, logger, onEnded: ({ user }) => this.#byUser.delete(user) }
  }

  get size(): number {
    return this.#byUser.size
  }

  /** The session of a user; it begins with the first connection. */
  of(user: string): Session {
    const known = this.#byUser.get(user)
    if (known) return known
    const session = new Session(user, this.#around)
    this.#byUser.set(user, session)
    return session
  }

  all(): Iterable<Session> {
    return this.#byUser.values()
  }

  /** The session of a user, where there is one. */
  resident(user: string): Session | undefined {
    return this.#byUser.get(user)
  }

  /** The connections of a user that are open. */
  openOf(user: string): Member[] {
    return this.#byUser.get(user)?.open ?? []
  }

  stop(): void {
    for (const session of this.#byUser.values()) session.stop()
    this.#byUser.clear()
  }
}
