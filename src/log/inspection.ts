/**
 * Looking at a log from a child process (`log-check.ts`): where it is not as a clean stop left it, before the server opens
 * it, for as long as the budget lasts; the rest of it while the server serves.
 *
 * Always true: a child that dies, or says nothing for long, is a damage of the whole environment.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { extname } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { logFile } from './lmdb-store.ts'
import type { Finding } from './log-check.ts'
import type { Damage } from './log-verify.ts'

/** Milliseconds without a sign of life after which the child counts as stuck. */
const PATIENCE = 10_000

export class Inspection {
  /** Resolves when everything was looked at. */
  readonly done: Promise<void>
  readonly #child: ChildProcess
  readonly #onDamage: (damage: Damage) => void
  #tellOpened = (): void => {}
  readonly #opened = new Promise<void>((resolve) => {
    this.#tellOpened = resolve
  })
  #isComplete = false
  #isStopped = false

  constructor(folder: string, onDamage: (damage: Damage) => void) {
    this.#onDamage = onDamage
    this.#child = spawn(process.execPath, lookingAt(folder), { stdio: ['ignore', 'pipe', 'ignore'] })
    this.done = this.#follow()
  }

  /** Whether everything was looked at. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** Resolves when everything was looked at, or `budget` milliseconds after the file could be opened at all. */
  async within(budget: number): Promise<void> {
    await Promise.race([this.done, this.#opened])
    let timer: NodeJS.Timeout | undefined
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, budget)
    })
    await Promise.race([this.done, over])
    clearTimeout(timer)
  }

  stop(): void {
    this.#isStopped = true
    this.#child.kill('SIGKILL')
  }

  async #follow(): Promise<void> {
    const watchdog = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE)
    for await (const line of createInterface(this.#child.stdout as Readable)) {
      watchdog.refresh()
      this.#tellOpened()
      this.#heard(JSON.parse(line) as Finding)
    }
    clearTimeout(watchdog)
    if (this.#isComplete || this.#isStopped) return
    this.#onDamage({ topic: null, why: 'the process that looked at it did not survive that' })
  }

  #heard(finding: Finding): void {
    if ('done' in finding) this.#isComplete = true
    if ('damage' in finding) this.#onDamage(finding.damage)
  }
}

/** The script is of the kind that this file is: TypeScript in a checkout, JavaScript in what is installed. */
function lookingAt(folder: string): string[] {
  const script = fileURLToPath(new URL(`./log-check${extname(import.meta.url)}`, import.meta.url))
  return script.endsWith('.ts') ? ['--import', import.meta.resolve('tsx'), script, folder] : [script, folder]
}

/**
 * A file that says how a server left the log that it closed: its size, and when it was last written. It is gone while one
 * runs, so that whatever ended that one, or changed the log since, is noticed at the next start.
 */
export class CleanStop {
  readonly #file: string
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
    this.#file = `${folder}/closed`
  }

  /** Whether there is a log, and it is not as it was left. */
  get isInDoubt(): boolean {
    const found = this.#look()
    return found !== undefined && found !== contentOf(this.#file)
  }

  /** @throws where the folder cannot be written. */
  set(): void {
    writeFileSync(this.#file, this.#look() ?? '')
  }

  remove(): void {
    rmSync(this.#file, { force: true })
  }

  #look(): string | undefined {
    const { size, mtimeMs } = statSync(logFile(this.#folder), { throwIfNoEntry: false }) ?? {}
    return size === undefined ? undefined : `${size} ${mtimeMs}\n`
  }
}

function contentOf(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}
