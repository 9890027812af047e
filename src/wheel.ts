/**
 * A hashed timing wheel (Varghese and Lauck, 1987): one native timer for every deadline of the process, which the
 * charts of connections and sessions take as their XState clock.
 *
 * Always true: nothing fires early; a deadline fires within two ticks after it is due while the event loop is not
 * held up; deadlines beyond 2^31 ms (24.85 days), where `setTimeout` fires at once, wait like any other.
 */

/** Milliseconds between two looks at a server's wheel. */
export const TICK = 10

/** What waits on the wheel. */
export interface Deadline {
  readonly slot: number
  readonly run: () => void
}

/** Ticks behind at which the event loop counts as held up. */
const LATE = 10

export class Wheel {
  readonly #tick: number
  readonly #slots = new Map<number, Set<Deadline>>()
  readonly #timer: NodeJS.Timeout
  #turned: number

  /** @param tick milliseconds between two looks at the wheel: the precision of every deadline on it. */
  constructor(tick: number) {
    this.#tick = tick
    this.#turned = this.#slotOf(Date.now())
    this.#timer = setInterval(() => this.#look(), tick)
  }

  /** Calls `run` once, `delay` milliseconds from now. Bound, so that the wheel can be handed to XState as its clock. */
  readonly setTimeout = (run: () => void, delay: number): Deadline => {
    const slot = Math.max(this.#turned + 1, Math.ceil((Date.now() + delay) / this.#tick))
    const deadline = { slot, run }
    const due = this.#slots.get(slot)
    if (due) due.add(deadline)
    else this.#slots.set(slot, new Set([deadline]))
    return deadline
  }

  readonly clearTimeout = (deadline: Deadline): void => {
    const due = this.#slots.get(deadline.slot)
    if (due?.delete(deadline) && due.size === 0) this.#slots.delete(deadline.slot)
  }

  /** How many deadlines wait. */
  get size(): number {
    let size = 0
    for (const due of this.#slots.values()) size += due.size
    return size
  }

  /** Unix epoch milliseconds: when the first of them is due. */
  get next(): number | undefined {
    let first: number | undefined
    for (const slot of this.#slots.keys()) if (first === undefined || slot < first) first = slot
    return first === undefined ? undefined : first * this.#tick
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#slots.clear()
  }

  /** After the event loop was held up, what the sockets hold is read first: a peer is not dead because we slept. */
  #look(): void {
    const isLate = this.#slotOf(Date.now()) - this.#turned > LATE
    if (isLate) setImmediate(() => this.turn())
    else this.turn()
  }

  #slotOf(instant: number): number {
    return Math.floor(instant / this.#tick)
  }

  /** Runs what is due by now. */
  turn(): void {
    const now = this.#slotOf(Date.now())
    const isFarBehind = now - this.#turned > this.#slots.size
    const slots = isFarBehind ? [...this.#slots.keys()].filter((slot) => slot <= now).sort((a, b) => a - b) : undefined
    if (slots) for (const slot of slots) this.#run(slot)
    else while (this.#turned < now) this.#run(this.#turned + 1)
    this.#turned = Math.max(this.#turned, now)
  }

  #run(slot: number): void {
    this.#turned = slot
    for (const deadline of this.#slots.get(slot) ?? []) deadline.run()
    this.#slots.delete(slot)
  }
}
