/**
 * The log of a server from start to stop: looked at after an unclean stop, opened, watched, closed.
 *
 * Always true: an environment that is not sound is not served from; a topic that is not is set aside, and the others are
 * served.
 */
import { existsSync } from 'node:fs'
import { Inspection, RunningMark } from './inspection.ts'
import { logFile } from './lmdb-store.ts'
import { DamagedLog, type Log } from './log.ts'
import { openLmdbLog } from './log-lmdb.ts'
import type { Damage } from './log-verify.ts'
import type { Logger } from './logger.ts'

/** Milliseconds that a start waits for the look at the log. */
const BUDGET = 2000

export class Custody {
  readonly #folder: string
  readonly #logger: Logger
  readonly #mark: RunningMark
  readonly #inspection: Inspection | undefined
  readonly #damages: Damage[] = []
  #log: Log | undefined
  /** Told when the environment turns out to be unsound while the server serves. */
  onUnsound = (_error: Error): void => {}

  /** Begins to look at once, so that it goes on beside the rest of the start. */
  constructor(folder: string, logger: Logger) {
    this.#folder = folder
    this.#logger = logger
    this.#mark = new RunningMark(folder)
    if (this.#mark.isThere && existsSync(logFile(folder))) {
      this.#inspection = new Inspection(folder, (damage) => this.#found(damage))
    }
  }

  /** @throws when the log is not sound, with the command that restores it. */
  async openLog(): Promise<Log> {
    await this.#inspection?.within(BUDGET)
    const unsound = this.#damages.find(({ topic }) => topic === null)
    if (unsound) throw unsoundLog(this.#folder, unsound.why)
    this.#mark.set()
    const log = this.#open()
    this.#log = log
    for (const damage of this.#damages) this.#setAside(damage)
    return log
  }

  async closeLog(): Promise<void> {
    this.#inspection?.stop()
    await this.#log?.close()
    this.#mark.remove()
  }

  #open(): Log {
    try {
      return openLmdbLog(this.#folder)
    } catch (error) {
      const isUnsound = error instanceof DamagedLog || (error as Error).message.startsWith('MDB_')
      throw isUnsound ? unsoundLog(this.#folder, (error as Error).message) : error
    }
  }

  #found(damage: Damage): void {
    this.#damages.push(damage)
    if (!this.#log) return
    if (damage.topic === null) this.onUnsound(unsoundLog(this.#folder, damage.why))
    else this.#setAside(damage)
  }

  #setAside({ topic, why }: Damage): void {
    if (topic === null) return
    this.#logger.error({ topic, why }, 'a topic of the log is damaged and is set aside')
    this.#log?.quarantine(topic, why)
  }
}

function unsoundLog(folder: string, why: string): Error {
  return new Error(`the log in ${folder} is damaged: ${why}
Restore a backup: npx chartroom log restore <backup> --data ${folder}`)
}
