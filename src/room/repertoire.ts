/**
 * The machines that a server hosts, by name; one may come, become another or go while it runs (`chartroom dev`).
 *
 * Always true: no connection is ended by it; the rooms of a machine that has become another go on from what is stored of
 * them, as after a restart.
 */
import type { Failure } from '../errors.ts'
import { Machine } from '../machine/machine.ts'
import type { LoadedFile } from '../machine/machine-file.ts'
import type { Alarm } from './alarm.ts'
import type { Rooms } from './rooms.ts'

/** What became of the rooms that were in memory. */
export interface Takeover {
  readonly isNew: boolean
  readonly rooms: number
  /** Of those that cannot go on from what is stored of them. */
  readonly failures: readonly Failure[]
}

export class Repertoire {
  readonly #machines: Map<string, Machine>
  readonly #rooms: Rooms
  readonly #alarm: Alarm

  constructor(machines: Map<string, Machine>, rooms: Rooms, alarm: Alarm) {
    this.#machines = machines
    this.#rooms = rooms
    this.#alarm = alarm
  }

  /** The machine of this name is as `file` says from now on. Resolves when its rooms have begun again. */
  async put(name: string, file: LoadedFile): Promise<Takeover> {
    const known = this.#machines.get(name)
    if (!known) this.#machines.set(name, new Machine(name, file))
    else known.become(file)
    const outcomes = await this.#rooms.reload(name)
    await this.#alarm.look()
    return { isNew: !known, rooms: outcomes.length, failures: outcomes.filter((outcome) => outcome !== undefined) }
  }

  /** There is no machine of this name any more; whoever is in a room of it is told so. */
  remove(name: string): void {
    this.#machines.delete(name)
    this.#rooms.close(name)
  }
}
