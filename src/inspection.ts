/**
 * Looking at a log from a child process (`log-check.ts`): after an unclean stop, before the server opens it, for as long
 * as the budget lasts; the rest of it while the server serves.
 *
 * Always true: a child that dies, or says nothing for long, is a damage of the whole environment.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Finding } from './log-check.ts'
import type { Damage } from './log-verify.ts'

/** Milliseconds without a sign of life after which the child counts as stuck. */
const PATIENCE = 10_000

export class Inspection {
  /** Resolves when everything was looked at. */
  readonly done: Promise<void>
  readonly #child: ChildProcess
  readonly #onDamage: (damage: Damage) => void
  #isComplete = false

  constructor(folder: string, onDamage: (damage: Damage) => void) {
    this.#onDamage = onDamage
    const script = fileURLToPath(new URL('./log-check.ts', import.meta.url))
    const loader = import.meta.resolve('tsx')
    this.#child = spawn(process.execPath, ['--import', loader, script, folder], { stdio: ['ignore', 'pipe', 'ignore'] })
    this.done = this.#follow()
  }

  /** Resolves when everything was looked at, or when `budget` milliseconds are over. */
  async within(budget: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, budget)
    })
    await Promise.race([this.done, over])
    clearTimeout(timer)
  }

  stop(): void {
    this.#isComplete = true
    this.#child.kill('SIGKILL')
  }

  async #follow(): Promise<void> {
    const watchdog = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE)
    for await (const line of createInterface(this.#child.stdout as Readable)) {
      watchdog.refresh()
      this.#heard(JSON.parse(line) as Finding)
    }
    clearTimeout(watchdog)
    if (!this.#isComplete) this.#onDamage({ topic: null, why: 'the process that looked at it did not survive that' })
  }

  #heard(finding: Finding): void {
    if ('done' in finding) this.#isComplete = true
    if ('damage' in finding) this.#onDamage(finding.damage)
  }
}

/** A file that is there while a server runs on a folder, and after one that did not stop cleanly. */
export class RunningMark {
  readonly #file: string

  constructor(folder: string) {
    this.#file = `${folder}/running`
  }

  get isThere(): boolean {
    return existsSync(this.#file)
  }

  /** @throws where the folder cannot be written. */
  set(): void {
    writeFileSync(this.#file, `${process.pid}\n`)
  }

  remove(): void {
    rmSync(this.#file, { force: true })
  }
}
