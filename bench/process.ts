/** A child process that is asked over its own channel, on a core of its own where the machine has one to give. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'

interface Answer {
  readonly id: number
  readonly answer?: unknown
  readonly failed?: string
}

/** Whether a process can be held to a core (util-linux). */
export const canPin = spawnSync('taskset', ['-c', '0', 'true']).status === 0 && availableParallelism() > 1

/** What a child is started with. */
export interface Birth {
  readonly args: readonly string[]
  readonly cwd: string
  readonly env?: Record<string, string>
  readonly core: number
  /** What it says on stdout once it is ready; without it, it is at once. */
  readonly ready?: string
}

export class Asked {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve(answer: never): void; reject(error: Error): void }>()
  #nextId = 1
  #output = ''
  #isEnding = false

  private constructor({ args, cwd, env = {}, core }: Birth) {
    const [command, ...rest] = [...(canPin ? ['taskset', '-c', String(core)] : []), process.execPath, ...args]
    const stdio = ['ignore', 'pipe', 'pipe', 'ipc'] as const
    this.#child = spawn(command as string, rest, { cwd, env: { ...outside(), ...env }, stdio: [...stdio] })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk) => {
        this.#output = (this.#output + chunk).slice(-4000)
      })
    this.#child.on('message', (answer: Answer) => this.#answered(answer))
    this.#child.on('exit', (code) => this.#gone(code))
  }

  static async start(birth: Birth): Promise<Asked> {
    const asked = new Asked(birth)
    const { ready } = birth
    const out = asked.#child.stdout
    while (ready !== undefined && !asked.#output.includes(ready)) {
      await Promise.race([once(out as NonNullable<typeof out>, 'data'), once(asked.#child, 'exit')])
      if (asked.#child.exitCode !== null) throw new Error(`it did not start: ${asked.#output}`)
    }
    return asked
  }

  ask<T>(what: string, given?: unknown): Promise<T> {
    const id = this.#nextId++
    return new Promise<T>((resolve, reject) => {
      if (this.#child.exitCode !== null) return reject(new Error(`it ended: ${this.#output}`))
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, what, given })
    })
  }

  async end(): Promise<void> {
    this.#isEnding = true
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  #answered({ id, answer, failed }: Answer): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (failed === undefined) waiting?.resolve(answer as never)
    else waiting?.reject(new Error(failed))
  }

  #gone(code: number | null): void {
    if (this.#isEnding) return
    for (const { reject } of this.#waiting.values()) reject(new Error(`it ended with ${code}: ${this.#output}`))
    this.#waiting.clear()
  }
}

/** The environment without what would change a server. */
function outside(): Record<string, string | undefined> {
  const known = Object.entries(process.env).filter(([name]) => !/^(CHARTROOM_|NODE_|TAP)/.test(name))
  return Object.fromEntries(known)
}
