/**
 * A disk that goes bad under a running server, and gets well again: full, or failing with EIO once.
 *
 * Wanted of the server: whoever sends is told `read_only` (or `overloaded`, where the outcome is unknown), to come back;
 * reads and joins go on (whoever would bring a room into being is told `read_only`); a second after the disk is well, so is writing; nothing that had its `ok` is missing after
 * `kill -9`; the process does not end, and leaves no rejection unhandled.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { ServerProcess } from '../fixtures/server.ts'
import { type Frame, Tab } from '../fixtures/tab.ts'
import { type Shim, type Switch, Shim as WatchedDisk } from './shim.ts'

const ROOM = 'chat/kept'
/** Sends on a bad disk: LMDB has pages to spare, so the first of them may well be stored. */
const SENDS = 40
const TEXT = 'x'.repeat(6000)
/** Milliseconds within which writing must go on, and after which we stop waiting for that. */
const SOON = 1000
const NEVER = 10_000
/** A little pause between two attempts. */
const BETWEEN = 20

export interface Trial {
  readonly what: string
  /** How sends were answered while the disk was bad: a code, `ok`, or that the connection was lost. */
  readonly answers: Record<string, number>
  /** Milliseconds from the disk's recovery to the next `ok`; nothing where there was none. */
  readonly resumedAfter: number | undefined
  /** What is not as it was wanted. */
  readonly violations: readonly string[]
}

export interface Disk {
  /** The data folder on it. */
  readonly data: string
  readonly env?: Record<string, string>
  break(): void
  mend(): void
  dispose(): void
}

/** A disk of a few megabytes of its own; `undefined` where this process may not mount one. */
export function smallDisk(megabytes = 4): Disk | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-disk-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder])
  if (status !== 0) {
    rmSync(folder, { recursive: true })
    return undefined
  }
  const filler = join(folder, 'filler')
  return {
    data: join(folder, 'data'),
    break: () => fill(filler),
    mend: () => rmSync(filler),
    dispose: () => {
      spawnSync('umount', ['--lazy', folder])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Why no disk can be mounted here, as a plain line; `false` where one can. */
export const noMount: string | false = (() => {
  const disk = smallDisk(1)
  disk?.dispose()
  return disk ? false : 'this process may not mount a disk'
})()

/** Takes all the space that is left. */
function fill(file: string): void {
  const fd = openSync(file, 'w')
  for (let bytes = 65_536; bytes >= 512; ) {
    try {
      if (writeSync(fd, Buffer.alloc(bytes)) < bytes) bytes /= 2
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      bytes /= 2
    }
  }
  closeSync(fd)
}

/** A disk that the shim makes bad: with one failure, or without space until it is mended. */
export function shimmedDisk(fault: Switch, count = 1): Disk & { readonly shim: Shim } {
  const shim = new WatchedDisk()
  const data = join(shim.folder, 'data')
  return {
    shim,
    data,
    env: shim.env(data, { isTraced: false }),
    break: () => shim.set(fault, count),
    mend: () => shim.set(fault, 0),
    dispose: () => shim.dispose(),
  }
}

/** What happens while the disk is bad, and after. */
export async function tryDisk(what: string, disk: Disk): Promise<Trial> {
  const server = new ServerProcess({ env: { ...disk.env, CHARTROOM_DATA: disk.data } })
  try {
    await server.start()
    return await new BadTimes(what, server, disk).run()
  } finally {
    await server.dispose()
    disk.dispose()
  }
}

class BadTimes {
  readonly #what: string
  readonly #server: ServerProcess
  readonly #disk: Disk
  readonly #violations: string[] = []
  readonly #answers: Record<string, number> = {}
  /** What had its `ok`, or stood in a patch: the text at a seq. */
  readonly #told = new Map<number, string>()

  constructor(what: string, server: ServerProcess, disk: Disk) {
    this.#what = what
    this.#server = server
    this.#disk = disk
  }

  async run(): Promise<Trial> {
    const ann = await Tab.open(this.#server, 'ann')
    await ann.join(ROOM)
    await this.#send(ann, 'before')
    this.#disk.break()
    await this.#sendInVain()
    await this.#read(ann)
    this.#disk.mend()
    const resumedAfter = await this.#resume()
    if (/unhandled/i.test(this.#server.stderr)) this.#violate('a rejection was not handled')
    if (!this.#isAlive()) this.#violate(`the server ended: ${this.#server.stderr.split('\n').at(-2)}`)
    await this.#remember(ann)
    await this.#checkAfterCrash()
    return { what: this.#what, answers: this.#answers, resumedAfter, violations: this.#violations }
  }

  #violate(what: string): void {
    this.#violations.push(`${this.#what}: ${what}`)
  }

  #isAlive(): boolean {
    try {
      return process.kill(this.#server.pid, 0)
    } catch {
      return false
    }
  }

  /** The answer to a message, or in a word why there was none. */
  async #send(tab: Tab, text: string): Promise<Frame> {
    const answer = await askOrNot(tab, { type: 'send', room: ROOM, event: { type: 'message.post', text } })
    if (answer.type === 'ok') this.#told.set(answer.seq, text)
    return answer
  }

  /** Sends until one is refused, and then once more. */
  async #sendInVain(): Promise<void> {
    const tab = await this.#open('bob')
    let refused = 0
    for (let i = 0; tab && refused < 2 && i < SENDS; i++) {
      const { type, code = type, retry, message } = await this.#send(tab, `${i} ${TEXT}`)
      this.#answers[code] = (this.#answers[code] ?? 0) + 1
      if (type === 'ok') continue
      refused++
      const isWanted = code === 'read_only' || (code === 'overloaded' && this.#what.startsWith('EIO'))
      if (!isWanted || retry !== true) this.#violate(`who sends is told ${code}, retry ${retry}: ${message ?? ''}`)
    }
    if (refused === 0) this.#violate(`the disk was bad, and ${SENDS} of ${SENDS} sends were told ok`)
  }

  /** One who is there reads on, and others come in: to a room without presence, and to one with. */
  async #read(there: Tab): Promise<void> {
    const got = await askOrNot(there, { type: 'get', room: ROOM })
    if (got.type !== 'snapshot') this.#violate(`"get" is answered ${got.code ?? got.type}`)
    const cleo = await this.#open('cleo')
    if (!cleo) return
    const joined = await askOrNot(cleo, { type: 'join', room: ROOM })
    if (joined.type !== 'ok') this.#violate(`"join" of ${ROOM} is answered ${joined.code ?? joined.type}`)
    const born = await askOrNot(cleo, { type: 'join', room: 'counter/unborn' })
    if (born.type !== 'ok' && born.code !== 'read_only')
      this.#violate(`"join" of a room that is not born is answered ${born.code ?? born.type}`)
  }

  async #open(user: string): Promise<Tab | undefined> {
    try {
      return await Tab.open(this.#server, user)
    } catch (error) {
      this.#violate(`${user} cannot connect: ${(error as Error).message.split(';')[0]}`)
      return undefined
    }
  }

  /** @returns after how many milliseconds a message was stored again. */
  async #resume(): Promise<number | undefined> {
    const began = performance.now()
    const dan = await this.#open('dan')
    while (dan && performance.now() - began < NEVER) {
      const { type } = await this.#send(dan, 'after')
      const passed = Math.round(performance.now() - began)
      if (type === 'ok' && passed > SOON) this.#violate(`writing went on after ${passed} ms only`)
      if (type === 'ok') return passed
      if (!this.#isAlive()) return undefined
      await pause(BETWEEN)
    }
    this.#violate('writing never went on')
    return undefined
  }

  /** What the one who looked on saw counts as told, too. */
  async #remember(tab: Tab): Promise<void> {
    for (const { id, text } of tab.state(ROOM)?.context.messages ?? []) this.#told.set(id, text)
  }

  async #checkAfterCrash(): Promise<void> {
    await this.#server.crashAndRestart()
    const tab = await Tab.open(this.#server, 'eve')
    const { type, state, code } = await tab.ask({ type: 'get', room: ROOM })
    if (type !== 'snapshot') return this.#violate(`after kill -9 "get" is answered ${code}`)
    const kept = new Map<number, string>(
      state.context.messages.map(({ id, text }: { id: number; text: string }) => [id, text]),
    )
    for (const [seq, text] of this.#told)
      if (kept.get(seq) !== text) this.#violate(`${seq} had been told and is not there after kill -9`)
  }
}

/** The one reply, or a frame that says that there was none. */
async function askOrNot(tab: Tab, frame: Frame): Promise<Frame> {
  try {
    return await tab.ask(frame)
  } catch (error) {
    return {
      type: tab.closed ? `closed ${tab.closed.code}` : 'no answer',
      message: (error as Error).message.slice(0, 80),
    }
  }
}
