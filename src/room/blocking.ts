/**
 * Notices code of a machine that holds up the whole server: one thread runs every room.
 *
 * Always true: measured is a turn's decision, its telling, its carrying out, never each event; what was measured is only
 * told, not stopped.
 */
import type { Logger } from '../logger.ts'
import type { Machine } from '../machine/machine.ts'

/** Milliseconds that a machine may take at a stretch. */
const LONG = 1000

export class Blocking {
  readonly #room: string
  readonly #machine: Machine
  readonly #logger: Logger

  constructor(room: string, machine: Machine, logger: Logger) {
    this.#room = room
    this.#machine = machine
    this.#logger = logger
  }

  /** What `run` gives. @param doing what the machine does meanwhile */
  watch<T>(doing: 'deciding' | 'showing' | 'acting', run: () => T): T {
    const began = performance.now()
    try {
      return run()
    } finally {
      const ms = Math.round(performance.now() - began)
      if (ms >= LONG) this.#tell(doing, ms)
    }
  }

  #tell(doing: string, ms: number): void {
    this.#logger.warn(
      { room: this.#room, file: this.#machine.file, doing, ms },
      'a machine held up the server: nobody was served meanwhile',
    )
  }
}
