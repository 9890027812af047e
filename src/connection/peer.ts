/**
 * Whom the conversation and the rooms talk with: who a connection is, what it has joined, what goes out to it.
 *
 * Always true: nothing here knows how a connection begins or ends; what goes wrong in it is counted, once.
 */
import type { ConnectionState } from '../../machines/connection.ts'
import type { Credential, Principal } from '../auth/auth.ts'
import type { Config } from '../config.ts'
import type { CloseReason, ErrorCode, Failure } from '../errors.ts'
import type { Inboxes } from '../inbox/inboxes.ts'
import { Tally } from '../limits.ts'
import { type ClientFrameOf, type CorrelationId, encode, type ServerFrame } from '../protocol.ts'
import type { Room } from '../room/room.ts'
import type { Rooms } from '../room/rooms.ts'
import type { Delivery } from '../transport/transport.ts'
import type { Party } from './conversation.ts'
import { Intake } from './intake.ts'
import type { Subject, Transition } from './journal.ts'
import type { Link } from './link.ts'
import type { Session } from './sessions.ts'

/** Who is told what happens to connections, and to nobody's cost while they do nothing. */
export interface Observer {
  transition(subject: Subject, transition: Transition): void
  error(code: ErrorCode): void
  heartbeat(what: 'ping' | 'pong' | 'lost'): void
}

/** What every peer is handed. */
export interface Surroundings {
  readonly config: Config
  readonly rooms: Rooms
  readonly inboxes: Inboxes
  readonly observer: Observer
}

export abstract class Peer implements Party {
  readonly id: string
  readonly rooms: Rooms
  readonly inboxes: Inboxes
  readonly maxRooms: number
  state: ConnectionState = 'connecting'
  session: Session | undefined
  protected readonly link: Link
  protected readonly intake: Intake
  /** What its token has proved. */
  protected proved: Credential | undefined
  readonly #observer: Observer
  /** The rooms that it is in, and each join that is under way. */
  #places: Tally | undefined
  #joined: Map<string, Room> | undefined

  constructor(id: string, link: Link, { config, rooms, inboxes, observer }: Surroundings) {
    this.id = id
    this.link = link
    this.rooms = rooms
    this.inboxes = inboxes
    this.maxRooms = config.maxRoomsPerConnection
    this.intake = new Intake(config)
    this.#observer = observer
  }

  abstract close(reason: CloseReason, message: string): void
  abstract authenticate(frame: ClientFrameOf<'auth'>): void
  abstract ponged(): void

  get joined(): Map<string, Room> {
    this.#joined ??= new Map()
    return this.#joined
  }

  /** Who the token says it is. Only an open connection is asked. */
  get credential(): Credential {
    if (!this.proved) throw new Error(`${this.id} has no principal yet`)
    return this.proved
  }

  get user(): string | null {
    return this.proved?.principal.user ?? null
  }

  /** Whether it is in by a token of this kind. */
  hasToken(isSuch: (credential: Credential) => boolean): boolean {
    return this.proved !== undefined && isSuch(this.proved)
  }

  get remoteAddress(): string {
    return this.link.remoteAddress
  }

  get counters(): Link['counters'] {
    return this.link.counters
  }

  get congested(): boolean {
    return this.link.congested
  }

  // What goes to the client.

  reply(frame: ServerFrame, id?: CorrelationId): void {
    if (frame.type === 'error') this.#observer.error(frame.code)
    this.link.reply(encode(frame, id))
  }

  deliver(frame: string | Uint8Array): Delivery {
    return this.link.send(frame)
  }

  together(run: () => void): void {
    this.link.together(run)
  }

  /** Answers a bad frame; too many of them end the connection. */
  fault(fault: Failure): void {
    this.reply(fault)
    const reason = this.intake.count(fault)
    if (reason) this.close(reason, 'too many frames had to be refused')
  }

  // What rooms say.

  fellBehind(): void {
    this.close('too_slow', 'the log does not go back as far as this connection has read')
  }

  takesPlace(room: Room): boolean {
    this.#places ??= new Tally()
    if (this.#places.of(room.name) === 0 && this.#places.size >= this.maxRooms) return false
    this.#places.add(room.name)
    return true
  }

  givesPlaceBack(room: Room): void {
    this.#places?.remove(room.name)
  }

  entersRoom(room: Room, who: Principal): boolean {
    if (this.state !== 'open') return false
    if (this.joined.has(room.name)) this.givesPlaceBack(room)
    this.joined.set(room.name, room)
    const { principal } = this.credential
    if (principal !== who) room.recheck(this, principal)
    return true
  }

  leavesRoom(room: Room, why?: Failure): void {
    if (this.joined.delete(room.name)) this.givesPlaceBack(room)
    if (why) this.reply({ ...why, room: room.name })
  }
}
