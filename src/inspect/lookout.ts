/**
 * Where the inspector hears of what happens now: rooms tell of what they commit, and that they
 * failed, were revived or have another machine, the journal of each step of a live actor.
 *
 * Always true: while nobody looks, neither is asked to tell anything; a listener that throws is named in the log, and the
 * room that told it goes on.
 */

import type { ActorKind, Journal, LifeStep } from '../connection/journal.ts'
import type { LogRecord } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import type { RoomDocument } from '../machine/document.ts'
import type { Onlooker } from '../room/room.ts'

export type OnCommitted = (room: string, records: readonly LogRecord[], before: RoomDocument | undefined) => void
/** The name of a room, or that of a machine, which is meant with all its rooms. */
export type OnTurned = (name: string) => void
export type OnLifeStep = (kind: ActorKind, name: string, step: LifeStep) => void

export class Lookout {
  /** What the rooms tell. */
  readonly onlooker: Onlooker = {}
  readonly #journal: Journal
  readonly #logger: Logger
  readonly #rooms = new Set<OnCommitted>()
  readonly #turns = new Set<OnTurned>()
  readonly #lives = new Set<OnLifeStep>()

  constructor(journal: Journal, logger: Logger) {
    this.#journal = journal
    this.#logger = logger
  }

  /** @returns what ends it. */
  rooms(listener: OnCommitted): () => void {
    this.#rooms.add(listener)
    this.onlooker.committed = (...told) => this.#tell(this.#rooms, told)
    return () => {
      this.#rooms.delete(listener)
      if (this.#rooms.size === 0) this.onlooker.committed = undefined
    }
  }

  /** @returns what ends it. */
  turns(listener: OnTurned): () => void {
    this.#turns.add(listener)
    this.onlooker.turned = (...told) => this.#tell(this.#turns, told)
    return () => {
      this.#turns.delete(listener)
      if (this.#turns.size === 0) this.onlooker.turned = undefined
    }
  }

  /** @returns what ends it. */
  lives(listener: OnLifeStep): () => void {
    this.#lives.add(listener)
    this.#journal.onStep = (...told) => this.#tell(this.#lives, told)
    return () => {
      this.#lives.delete(listener)
      if (this.#lives.size === 0) this.#journal.onStep = undefined
    }
  }

  #tell<T extends unknown[]>(listeners: ReadonlySet<(...told: T) => void>, told: T): void {
    for (const listener of listeners) {
      try {
        listener(...told)
      } catch (error) {
        this.#logger.error({ err: error }, 'the inspector failed on what it was told')
      }
    }
  }
}
