/**
 * The watched disk (`shim.c`): built once for each process where there is a C compiler, and loaded into a server.
 *
 * Always true: the switches act on the running server at once, by a file that both have mapped or written.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('shim.c', import.meta.url))

/** Why there is no shim here, as a plain line; `false` where there is one. */
export const noShim: string | false =
  process.platform !== 'linux'
    ? 'the watched disk needs Linux'
    : spawnSync('gcc', ['--version']).error
      ? 'the watched disk needs gcc, which is not here'
      : false

/** The places of `struct control`. */
const SWITCHES = { syncDelay: 0, failingSyncs: 1, failingWrites: 2, failingSyncedWrites: 3, isFull: 4, isLying: 5 }
export type Switch = keyof typeof SWITCHES
const WIDTH = 4

export class Shim {
  /** Where the trace and the library are. */
  readonly folder = mkdtempSync(join(tmpdir(), 'chartroom-shim-'))
  readonly trace = join(this.folder, 'trace')
  readonly #control: number

  constructor() {
    const library = join(this.folder, 'shim.so')
    const { status, stderr } = spawnSync('gcc', ['-O2', '-shared', '-fPIC', '-o', library, SOURCE, '-ldl', '-lpthread'])
    if (status !== 0) throw new Error(`gcc could not build ${SOURCE}: ${stderr}`)
    writeFileSync(join(this.folder, 'control'), Buffer.alloc(WIDTH * Object.keys(SWITCHES).length))
    writeFileSync(this.trace, '')
    this.#control = openSync(join(this.folder, 'control'), 'r+')
  }

  /** What a process whose files in `data` are watched has in its environment; `isTraced`: their bytes are kept too. */
  env(data: string, { isTraced = true } = {}): Record<string, string> {
    return {
      LD_PRELOAD: join(this.folder, 'shim.so'),
      SHIM_FOLDER: data,
      SHIM_CONTROL: join(this.folder, 'control'),
      ...(isTraced && { SHIM_TRACE: this.trace }),
    }
  }

  set(name: Switch, value: number): void {
    const bytes = Buffer.alloc(WIDTH)
    bytes.writeInt32LE(value)
    writeSync(this.#control, bytes, 0, WIDTH, SWITCHES[name] * WIDTH)
  }

  /** Of the switches that count down: how many are left. */
  get(name: Switch): number {
    const bytes = Buffer.alloc(WIDTH)
    readSync(this.#control, bytes, 0, WIDTH, SWITCHES[name] * WIDTH)
    return bytes.readInt32LE()
  }

  dispose(): void {
    closeSync(this.#control)
    rmSync(this.folder, { recursive: true, force: true })
  }
}
