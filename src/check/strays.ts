/**
 * What machine files began as they were loaded, and what failed of it while nobody waited: a server would end of it.
 *
 * Always true: it is told with the file and the line that its stack names, where it names one; none is told twice.
 */
import { resolve } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { type Look, tell } from './load.ts'
import { lineOfFrame } from './source.ts'

export class Strays {
  readonly #caught: unknown[] = []

  /** From now on none of them ends the process. */
  constructor() {
    process.on('uncaughtException', (error: unknown) => this.#caught.push(error))
  }

  /** The lines for those that have come since, also for those of this very turn. */
  async told(looks: readonly Look[]): Promise<string[]> {
    await setImmediate()
    return this.#caught.splice(0).map((error) => lineFor(error, looks))
  }
}

function lineFor(error: unknown, looks: readonly Look[]): string {
  const { name, message } = error instanceof Error ? error : { name: 'it threw', message: JSON.stringify(error) }
  const what = `what it began as it was loaded failed while nobody waited for it: ${name}: ${message}; await it, or catch it`
  for (const { path } of looks) {
    const line = error instanceof Error ? lineOfFrame(error, resolve(path)) : undefined
    if (line !== undefined) return tell(path, { what, line, isNote: false })
  }
  return tell('a machine file', { what, line: undefined, isNote: false })
}
