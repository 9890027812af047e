/**
 * For how long no server ran on a log: what the delays of machines need whose `policy.timers` is not `absolute`. A mark on
 * a topic of the log says until when a server was surely alive; the next start counts from there.
 *
 * Always true: a downtime is on disk before any room hears of it, and is counted once however often a start is killed.
 * After a clean stop it is exact; after `kill -9` it is at most `PERIOD` too long. Without such a machine nothing is written.
 */

import { DamagedLog, encodeLine, type Log, type LogSnapshot } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import type { Wheel } from '../wheel.ts'
import type { Delay } from './folded.ts'

/** No room has this name: it has no machine. */
const TOPIC = '$uptime'
/** Milliseconds from one mark to the next. */
const PERIOD = 2000

/** What a pending delay does of the time at which no server runs. */
export const TIMER_POLICIES = ['absolute', 'restart', 'resume'] as const
export type TimerPolicy = (typeof TIMER_POLICIES)[number]

/** What is known of the times at which no server ran. */
export interface Downtime {
  /** Milliseconds in all, since the first mark. */
  readonly total: number
  /** When the last of them ended: Unix epoch milliseconds. */
  readonly until: number
}

/** What there is to know where no machine asks. */
export const NO_DOWNTIME: Downtime = { total: 0, until: 0 }

interface Mark {
  readonly alive: number
  readonly total: number
}

export class Uptime {
  readonly downtime: Downtime
  readonly #log: Log
  readonly #wheel: Wheel
  readonly #logger: Logger
  #marked: Promise<void> = Promise.resolve()

  private constructor(log: Log, wheel: Wheel, logger: Logger, downtime: Downtime) {
    this.#log = log
    this.#wheel = wheel
    this.#logger = logger
    this.downtime = downtime
  }

  /** Counts the downtime that ends now, makes it durable, and marks from then on. @throws what the log throws */
  static async begin(log: Log, wheel: Wheel, logger: Logger): Promise<Uptime> {
    const last = (await log.getSnapshot(TOPIC))?.state as Mark | undefined
    const now = Date.now()
    // A clock that was set back tells nothing.
    const passed = last ? Math.max(0, now - last.alive) : 0
    const uptime = new Uptime(log, wheel, logger, { total: (last?.total ?? 0) + passed, until: now })
    await uptime.#mark(now)
    uptime.#markLater()
    return uptime
  }

  /** The server stops: from now on is downtime. */
  async stop(): Promise<void> {
    await this.#marked
    await this.#tryToMark()
  }

  #markLater(): void {
    this.#wheel.setTimeout(() => {
      this.#marked = this.#tryToMark().then(() => this.#markLater())
    }, PERIOD)
  }

  /** While the storage refuses writes the mark stays behind, as everything else does. */
  async #tryToMark(): Promise<void> {
    try {
      await this.#mark(Date.now())
    } catch (error) {
      this.#logger.warn({ error: String(error) }, 'the server could not note that it is alive')
    }
  }

  async #mark(alive: number): Promise<void> {
    const state: Mark = { alive, total: this.downtime.total }
    const snapshot = encodeLine({ seq: 0, state } satisfies LogSnapshot)
    const [result] = await this.#log.commit([{ topic: TOPIC, after: 0, lines: [], snapshot }])
    if (result && 'damaged' in result) throw new DamagedLog(result.damaged)
  }
}

/** `delays` as `policy` has them once `downtime` has passed; the same array where none of them knows less of it. */
export function reschedule(
  delays: readonly Delay[],
  policy: Exclude<TimerPolicy, 'absolute'>,
  { total, until }: Downtime,
): readonly Delay[] {
  const isOutdated = ({ downtime = total }: Delay): boolean => downtime < total
  if (!delays.some(isOutdated)) return delays
  const moved = delays.map((delay) => {
    if (!isOutdated(delay)) return delay
    const passed = total - (delay.downtime ?? total)
    return { ...delay, dueAt: policy === 'restart' ? until + delay.delay : delay.dueAt + passed, downtime: total }
  })
  return moved.sort((a, b) => a.dueAt - b.dueAt)
}
