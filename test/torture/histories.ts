/**
 * Random histories over every shipped machine and over charts that nobody wrote: snapshot + patches = `get`, for every
 * view, at every seq. Half of them are of generated charts. A history that breaks a promise is kept, as small as it
 * could be made, in `fixtures/histories-seeds.json`, and played for ever after.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { loadMachineFiles } from '../../src/check/load.ts'
import type { Log } from '../../src/log/log.ts'
import { openLmdbLog } from '../../src/log/log-lmdb.ts'
import { MemoryLog } from '../../src/log/log-memory.ts'
import { ROOT } from '../fixtures/server.ts'
import type { Tally } from '../histories/outsider.ts'
import { play } from '../histories/stage.ts'
import { type History, historiesOf, MACHINES } from '../histories/steps.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

export const torture: Torture = { size: 20_000, unit: 'histories', run: (size, progress) => run(size, progress) }

const SEEDS = fileURLToPath(new URL('../fixtures/histories-seeds.json', import.meta.url))

/** A history that was not as promised, and why. */
export interface Seed {
  readonly why: string
  readonly history: History
}

export const keptSeeds = (): Seed[] => JSON.parse(readFileSync(SEEDS, 'utf8'))

/** One in so many histories is played on the log that servers use. */
const ON_DISK = 50

/** What must have happened in a run, lest it has shown nothing. */
const MUST = [
  'records',
  'patch',
  'snapshot',
  'event',
  'resumed',
  'not resumed',
  'not_accepted',
  'event_failed',
  'overloaded',
  'passivated',
  'restarted',
  'patch without ops',
]

export interface Options {
  readonly seed?: number
  /** Whether a history that fails is kept. */
  readonly keeps?: boolean
}

export async function run(
  size: number,
  progress: Progress,
  { seed = Date.now() % 2 ** 31, keeps = true }: Options = {},
): Promise<Outcome> {
  const tally: Tally = {}
  const figures: Record<string, string | number> = { seed }
  const violations: string[] = []
  let done = 0
  const stage = await new Stages(tally).open()
  try {
    for (const { why, history } of keptSeeds()) {
      const fault = await stage.fault(history)
      if (fault) violations.push(`again: ${why}: ${fault}`)
    }
    for (const machine of MACHINES) {
      const share = Math.ceil(machine === 'chart' ? size / 2 : size / 2 / (MACHINES.length - 1))
      const began = performance.now()
      const found = await search(machine, share, seed, async (history) => {
        progress(Math.min(++done, size), size)
        return stage.fault(history)
      })
      if (found) violations.push(`${machine}: ${found.why}: ${JSON.stringify(found.history)}`)
      if (found && keeps) keep(found)
      figures[`${machine}, histories in seconds`] = `${share} in ${((performance.now() - began) / 1000).toFixed(1)}`
    }
  } finally {
    await stage.close()
  }
  for (const what of MUST) if (!tally[what] && size >= 200) violations.push(`no ${what} in ${size} histories`)
  return { figures: { ...figures, ...tally }, violations }
}

/** The smallest history found that breaks a promise. */
async function search(
  machine: string,
  runs: number,
  seed: number,
  faultOf: (history: History) => Promise<string | undefined>,
): Promise<Seed | undefined> {
  let why = ''
  const property = fc.asyncProperty(historiesOf(machine), async (history) => {
    const fault = await faultOf(history)
    if (fault === undefined) return true
    why = fault
    return false
  })
  const { counterexample } = await fc.check(property, { numRuns: runs, seed, interruptAfterTimeLimit: 3_600_000 })
  return counterexample ? { why, history: counterexample[0] } : undefined
}

function keep(seed: Seed): void {
  writeFileSync(SEEDS, `${JSON.stringify([...keptSeeds(), seed], null, 2)}\n`)
}

/** Where histories are played: most in memory, some on disk. */
class Stages {
  readonly #tally: Tally
  readonly #data = mkdtempSync(join(tmpdir(), 'chartroom-histories-'))
  #disk!: Log
  #files!: Awaited<ReturnType<typeof loadMachineFiles>>
  #played = 0

  constructor(tally: Tally) {
    this.#tally = tally
  }

  async open(): Promise<this> {
    this.#disk = openLmdbLog(this.#data)
    this.#files = await loadMachineFiles(join(ROOT, 'machines/rooms'))
    return this
  }

  /** What is wrong with a history, if anything is. */
  async fault(history: History): Promise<string | undefined> {
    const isOnDisk = this.#played++ % ON_DISK === 0
    const log = isOnDisk ? this.#disk : new MemoryLog()
    const setting = { files: this.#files, log, key: `h${this.#played}` }
    try {
      await play(history, setting, this.#tally)
    } catch (error) {
      return (error as Error).stack?.split('\n').slice(0, 3).join(' ') ?? String(error)
    }
    return undefined
  }

  async close(): Promise<void> {
    await this.#disk.close()
    rmSync(this.#data, { recursive: true })
  }
}
