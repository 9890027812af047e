/**
 * Wakes rooms that sleep: at the start those that a crash left with somebody in them or with work under way, later those
 * whose next delay is due. However many rooms wait, one deadline does.
 *
 * Always true: the log says who wants to be looked at, and the room's own document decides what is to be done; to be woken
 * for nothing does no harm; a room that failed, cannot be read, or whose machine is gone, is left alone, and holds up no
 * other.
 */
import type { Log, Wake } from '../log/log.ts'
import type { Deadline, Wheel } from '../wheel.ts'

/** Rooms that are woken at once; the rest follow as soon as the sockets had their turn. */
const AT_ONCE = 1000
/** Milliseconds before one that was woken, and is still listed, is woken again. */
const AGAIN = 1000

/** What there is to wake. */
export interface Sleepers {
  canWake(topic: string): boolean
  wake(topic: string): void
}

export class Alarm {
  readonly #log: Log
  readonly #wheel: Wheel
  readonly #rooms: Sleepers
  #deadline: Deadline | undefined
  #isStopped = false
  #willLook = false

  constructor(log: Log, wheel: Wheel, rooms: Sleepers) {
    this.#log = log
    this.#wheel = wheel
    this.#rooms = rooms
  }

  /** Wakes those that the last stop left unsettled, and from then on whoever is due. */
  async begin(): Promise<void> {
    for (const { topic } of await this.#log.wakes({ from: 0, to: 0, limit: Number.MAX_SAFE_INTEGER }))
      this.#rooms.wake(topic)
    await this.look()
  }

  /** A room has gone to sleep: looks once, however many do so in this turn of the event loop. */
  slept(): void {
    if (this.#willLook) return
    this.#willLook = true
    setImmediate(() => {
      this.#willLook = false
      void this.look()
    })
  }

  /** Wakes who is due, and looks again when the next one is. */
  async look(): Promise<void> {
    if (this.#isStopped) return
    const now = Date.now()
    const due = await this.#due(now)
    for (const { topic } of due) this.#rooms.wake(topic)
    const [next] = await this.#log.wakes({ from: now + 1, to: Number.MAX_SAFE_INTEGER, limit: 1 })
    const again = due.length > 0 ? now + AGAIN : Number.POSITIVE_INFINITY
    this.#arm(Math.min(next?.at ?? Number.POSITIVE_INFINITY, again) - now)
  }

  /** Those that are left alone stay listed: it is looked behind them. */
  async #due(now: number): Promise<Wake[]> {
    for (let limit = AT_ONCE; ; limit *= 2) {
      const listed = await this.#log.wakes({ from: 1, to: now, limit })
      const due = listed.filter(({ topic }) => this.#rooms.canWake(topic))
      if (due.length >= AT_ONCE || listed.length < limit) return due.slice(0, AT_ONCE)
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#disarm()
  }

  #arm(delay: number): void {
    this.#disarm()
    if (this.#isStopped || !Number.isFinite(delay)) return
    this.#deadline = this.#wheel.setTimeout(() => void this.look(), delay)
  }

  #disarm(): void {
    if (this.#deadline) this.#wheel.clearTimeout(this.#deadline)
    this.#deadline = undefined
  }
}
