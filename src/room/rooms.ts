/** The registry of rooms: what a name means, and which machine it is an instance of. */
import { Activations, type Passivation } from '../activations.ts'
import { type Failure, failure, isFailure } from '../errors.ts'
import type { Commits } from '../log/commits.ts'
import type { Log } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import type { Machine } from '../machine/machine.ts'
import type { Downtime } from '../machine/uptime.ts'
import type { Wheel } from '../wheel.ts'
import { type Onlooker, Room } from './room.ts'
import type { Answer } from './room-requests.ts'

const NAME = /^([a-z][a-z0-9-]*)\/([A-Za-z0-9_.:@-]{1,128})$/

/** The key that stands for the caller's own user id. */
const OWN = '@me'

export interface RoomsSurroundings {
  readonly machines: ReadonlyMap<string, Machine>
  readonly log: Log
  readonly commits: Commits
  readonly logger: Logger
  readonly wheel: Wheel
  readonly downtime: Downtime
  readonly onlooker?: Onlooker
  /** Rooms in memory at most, unless more are in use. */
  readonly maxResidentRooms: number
  /** A room has gone to sleep. */
  onPassivated(why: Passivation): void
}

export class Rooms {
  readonly #around: RoomsSurroundings
  readonly #active: Activations<Room>
  /** Those whose machine threw too often, in memory or asleep, and what is said of it. */
  readonly #failed = new Map<string, string>()

  constructor(around: RoomsSurroundings) {
    this.#around = around
    this.#active = new Activations({ ...around, bound: around.maxResidentRooms })
  }

  get size(): number {
    return this.#active.size
  }

  /** Rooms that somebody is in, or that work is under way in: they stay, whatever the bound. */
  get inUse(): number {
    return this.#active.inUse
  }

  /** How many are served to nobody until they are revived. */
  get failed(): number {
    return this.#failed.size
  }

  hasFailed(name: string): boolean {
    return this.#failed.has(name)
  }

  /** Why each of those failed, by its name. */
  get failures(): ReadonlyMap<string, string> {
    return this.#failed
  }

  /** Whether this is the name of a room, of a machine that is there. */
  isName(name: string): boolean {
    return this.#around.machines.has(NAME.exec(name)?.[1] ?? '')
  }

  /** The rooms in memory. */
  all(): Iterable<Room> {
    return this.#active.all()
  }

  /** A room in memory; nothing is activated. */
  resident(name: string): Room | undefined {
    return this.#active.get(name)
  }

  /** A room that failed is read again; any other goes on as it is, which the answer says. */
  revive(room: Room, answer: Answer): void {
    const revived = this.#failed.delete(room.name)
    room.revive((answered) => {
      if (revived) this.#around.onlooker?.turned?.(room.name)
      answer(answered.type === 'ok' ? { ...answered, revived } : answered)
    })
  }

  /** Places in rooms that connections hold. */
  get subscriptions(): number {
    let subscriptions = 0
    for (const room of this.#active.all()) subscriptions += room.subscriptions
    return subscriptions
  }

  /** The room that `user` means by `name`, activated where it sleeps; or `bad_room`, `unknown_machine`. */
  of(name: string, user: string): Room | Failure {
    const [, machineName, given] = NAME.exec(name) ?? []
    if (machineName === undefined || given === undefined) {
      const form = 'a room is named machine/key: the machine in lower case, the key of letters, digits and _ . : @ -'
      return failure('bad_room', `${form}; got ${JSON.stringify(name)}`, { path: '/room' })
    }
    const machine = this.#around.machines.get(machineName)
    if (!machine) return this.#unknown(machineName)
    const key = given === OWN ? user : given
    if (!NAME.test(`${machineName}/${key}`))
      return failure('bad_room', 'your user id is no room key', { path: '/room' })
    return this.#active.get(`${machineName}/${key}`) ?? this.#activate(machine, key)
  }

  /** Whether there is somebody to wake: its machine is there, it has not failed, and was not read in vain just now. */
  canWake(name: string): boolean {
    return this.isName(name) && !this.#failed.has(name) && !this.#active.get(name)?.isUnreadable
  }

  /** Wakes a room that wants to be looked at; whoever reads its document sees what is to be done. */
  wake(name: string): void {
    const room = this.of(name, '')
    if (isFailure(room)) this.#around.logger.warn({ room: name, why: room.message }, 'a room cannot be woken')
    else room.wake()
  }

  /** The machine of this name has become another. @returns of each room in memory what keeps it from going on, if anything */
  async reload(machine: string): Promise<(Failure | undefined)[]> {
    this.#forgetFailures(machine)
    const outcomes = await Promise.all(this.#roomsOf(machine).map((room) => room.beginAgain()))
    this.#around.onlooker?.turned?.(machine)
    return outcomes
  }

  /** There is no machine of this name any more. */
  close(machine: string): void {
    this.#forgetFailures(machine)
    for (const room of this.#roomsOf(machine)) {
      room.close(this.#unknown(machine))
      this.#active.forget(room)
    }
  }

  #roomsOf(machine: string): Room[] {
    return [...this.#active.all()].filter(({ name }) => name.startsWith(`${machine}/`))
  }

  #forgetFailures(machine: string): void {
    for (const name of this.#failed.keys()) if (name.startsWith(`${machine}/`)) this.#failed.delete(name)
  }

  #unknown(machine: string): Failure {
    const allowed = [...this.#around.machines.keys()]
    const message = `no machine is called ${machine}; there are ${allowed.join(', ')}`
    return failure('unknown_machine', message, { path: '/room', allowed })
  }

  stop(): void {
    this.#active.stop()
  }

  /** One that failed before it slept is read, and served to nobody. */
  #activate(machine: Machine, key: string): Room {
    const onIdle = (room: Room): void => this.#active.idle(room, machine.policy.idle)
    const onFailed = (room: Room, why: Failure): void => this.#hasGivenUp(room, why)
    const room = this.#active.add(new Room(machine, key, { ...this.#around, onIdle, onFailed }))
    const why = this.#failed.get(room.name)
    if (why !== undefined) room.close(failure('room_failed', why))
    return room
  }

  #hasGivenUp({ name }: Room, { message }: Failure): void {
    this.#failed.set(name, message)
    this.#around.onlooker?.turned?.(name)
  }
}
