/**
 * The registry of rooms: a name is always addressable, and has one activation at most.
 *
 * Always true: a room in the Map is the only one of its name; one that was idle for a while is forgotten, and comes
 * back from its log when somebody asks.
 */
import type { Commits } from './commits.ts'
import { type Failure, failure } from './errors.ts'
import type { Log } from './log.ts'
import type { Logger } from './logger.ts'
import type { Machine } from './machine.ts'
import { Room } from './room.ts'
import type { Deadline, Wheel } from './wheel.ts'

/** Milliseconds that a room without anybody stays in memory. */
const IDLE = 60_000

const NAME = /^([a-z][a-z0-9-]*)\/([A-Za-z0-9_.:@-]{1,128})$/

/** The key that stands for the caller's own user id. */
const OWN = '@me'

export interface RoomsSurroundings {
  readonly machines: ReadonlyMap<string, Machine>
  readonly log: Log
  readonly commits: Commits
  readonly logger: Logger
  readonly wheel: Wheel
}

export class Rooms {
  readonly #around: RoomsSurroundings
  readonly #active = new Map<string, Room>()
  readonly #idle = new Map<Room, Deadline>()

  constructor(around: RoomsSurroundings) {
    this.#around = around
  }

  get size(): number {
    return this.#active.size
  }

  /** Places in rooms that connections hold. */
  get subscriptions(): number {
    let subscriptions = 0
    for (const room of this.#active.values()) subscriptions += room.subscriptions
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
    if (!machine)
      return failure(
        'unknown_machine',
        `no machine is called ${machineName}; there are ${[...this.#around.machines.keys()].join(', ')}`,
        {
          path: '/room',
        },
      )
    const key = given === OWN ? user : given
    if (!NAME.test(`${machineName}/${key}`))
      return failure('bad_room', 'your user id is no room key', { path: '/room' })
    return this.#active.get(`${machineName}/${key}`) ?? this.#activate(machine, key)
  }

  #activate(machine: Machine, key: string): Room {
    const { log, commits, logger, wheel } = this.#around
    const room = new Room(machine, key, {
      log,
      commits,
      logger,
      onIdle: (room) => {
        if (!this.#idle.has(room))
          this.#idle.set(
            room,
            wheel.setTimeout(() => this.#passivate(room), IDLE),
          )
      },
    })
    this.#active.set(room.name, room)
    return room
  }

  #passivate(room: Room): void {
    this.#idle.delete(room)
    if (room.isIdle) this.#active.delete(room.name)
  }
}
