/**
 * Counts how often a room's machine throws, and gives the room up where that is too often. Any other room goes on.
 */
import { type Failure, failure } from '../errors.ts'
import { Failures, type Intensity, intensities } from '../intensity.ts'
import type { Logger } from '../logger.ts'
import type { Machine } from '../machine/machine.ts'

export class Supervisor {
  readonly #room: string
  readonly #machine: Machine
  readonly #logger: Logger
  readonly #giveUp: (why: Failure) => void
  #intensity!: Intensity
  #failures!: Failures
  #hasGivenUp = false

  /** @param giveUp called once, until the room is revived */
  constructor(room: string, machine: Machine, logger: Logger, giveUp: (why: Failure) => void) {
    this.#room = room
    this.#machine = machine
    this.#logger = logger
    this.#giveUp = giveUp
    this.forget()
  }

  /** How many more failures are one too many. */
  left(now: number): number {
    return this.#failures.left(now)
  }

  /** Milliseconds until no failure counts any more. */
  get remembersFor(): number {
    return this.#failures.forgottenIn(Date.now())
  }

  /** It threw so often. */
  count(failures: number, now = Date.now()): void {
    for (let i = 0; i < failures; i++) if (this.#failures.add(now) && !this.#hasGivenUp) this.#fail()
  }

  /** The room begins again. */
  forget(): void {
    this.#intensity = { ...intensities.room, failures: this.#machine.policy.maxFailures }
    this.#failures = new Failures(this.#intensity)
    this.#hasGivenUp = false
  }

  #fail(): void {
    this.#hasGivenUp = true
    const { failures, period } = this.#intensity
    const why = `its machine threw ${failures === 1 ? 'once' : `${failures} times`} within ${period / 1000} s`
    this.#logger.error({ room: this.#room, file: this.#machine.file }, `a room failed: ${why}`)
    this.#giveUp(failure('room_failed', `${this.#room} failed: ${why}; its operator can revive it`))
  }
}
