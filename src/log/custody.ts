/**
 * The log of a server from start to stop: looked at where the last stop was not clean, opened, watched, closed.
 *
 * Always true: an environment that is not sound is not served from; a topic that is not is set aside, and the others are
 * served, as is a topic of which a keyframe alone is damaged; a log that was not looked at whole, or is not sound, is
 * looked at again at the next start.
 */

import type { Logger } from '../logger.ts'
import { CleanStop, Inspection } from './inspection.ts'
import { DamagedLog, type Log } from './log.ts'
import { openLmdbLog } from './log-lmdb.ts'
import type { Damage } from './log-verify.ts'

export class Custody {
  readonly #folder: string
  readonly #logger: Logger
  readonly #cleanStop: CleanStop
  readonly #inspection: Inspection | undefined
  /** What was found, by topic; `null` is the whole environment. */
  readonly #damages = new Map<string | null, Damage>()
  #log: Log | undefined
  #tellUnsound = (_error: Error): void => {}
  /** Resolves when the environment turns out to be unsound while the server serves. */
  readonly unsound = new Promise<Error>((resolve) => {
    this.#tellUnsound = resolve
  })

  /** Begins to look at once, so that it goes on beside the rest of the start. */
  constructor(folder: string, logger: Logger) {
    this.#folder = folder
    this.#logger = logger
    this.#cleanStop = new CleanStop(folder)
    if (!this.#cleanStop.isInDoubt) return
    logger.info({ folder }, 'the log is not as a clean stop leaves it; looking at it')
    this.#inspection = new Inspection(folder, (damage) => this.found(damage))
  }

  /** @param budget milliseconds for the look at it. @throws when the log is not sound, with the command that restores it. */
  async openLog(budget: number): Promise<Log> {
    await this.#inspection?.within(budget)
    const unsound = this.#damages.get(null)
    if (unsound) throw this.#unsound(unsound.why)
    this.#cleanStop.remove()
    this.#log = this.#open()
    for (const damage of this.#damages.values()) this.#setAside(damage)
    return this.#log
  }

  /** What the server cannot do without. @throws when it is damaged, with the command that restores it. */
  async need<T>(reading: Promise<T>): Promise<T> {
    return reading.catch((error: Error) => {
      if (!(error instanceof DamagedLog)) throw error
      this.#damages.set(null, { topic: null, why: error.message })
      throw this.#unsound(error.message)
    })
  }

  async closeLog(): Promise<void> {
    this.#inspection?.stop()
    await this.#log?.close()
    if (this.#inspection?.isComplete !== false && this.#damages.size === 0) this.#cleanStop.set()
  }

  /** A damage, whenever it is found; the first of a topic is enough, but for one that is of its past alone. */
  found(damage: Damage): void {
    const known = this.#damages.get(damage.topic)
    if (known && (damage.isPast || !known.isPast)) return
    this.#damages.set(damage.topic, damage)
    if (!this.#log) return
    if (damage.topic === null) this.#tellUnsound(this.#unsound(damage.why))
    else this.#setAside(damage)
  }

  #open(): Log {
    try {
      return openLmdbLog(this.#folder)
    } catch (error) {
      const { message } = error as Error
      if (error instanceof DamagedLog || message.startsWith('MDB_')) throw this.#unsound(message)
      throw new Error(`the log in ${this.#folder} cannot be opened: ${message}`)
    }
  }

  #setAside({ topic, why, isPast }: Damage): void {
    if (topic === null) return
    if (isPast) return this.#logger.error({ topic, why }, 'a past state of a topic is damaged; the topic is served')
    this.#logger.error({ topic, why }, 'a topic of the log is damaged and is set aside')
    this.#log?.quarantine(topic, why)
  }

  #unsound(why: string): Error {
    return new Error(`the log in ${this.#folder} is damaged: ${why}
Restore a backup: npx chartroom log restore <backup> --data ${this.#folder}`)
  }
}
