/** The other side of `load.ts`: its commands, asked from the process that steers. */
import { fileURLToPath } from 'node:url'
import type { Commands } from './load.ts'
import { Asked } from './process.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

export class Generator {
  readonly #process: Asked

  private constructor(process: Asked) {
    this.#process = process
  }

  static async start(): Promise<Generator> {
    const args = ['--max-semi-space-size=64', '--import', 'tsx', 'bench/load.ts']
    return new Generator(await Asked.start({ args, cwd: ROOT, core: 1 }))
  }

  /** @throws with what the server got wrong */
  ask<W extends keyof Commands>(
    what: W,
    ...[given]: Parameters<Commands[W]>
  ): Promise<Awaited<ReturnType<Commands[W]>>> {
    return this.#process.ask(what, given)
  }

  end(): Promise<void> {
    return this.#process.end()
  }
}
