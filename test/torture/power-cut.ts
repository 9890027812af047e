/**
 * Power cuts: a server writes to a watched disk while clients send and look on; then, for many places in what it wrote,
 * the file that a power cut may have left there is read with the server's own code.
 *
 * Promised (rules L2, R3): whatever a client had been told before the cut, by an `ok` or a patch, is in it, at its seq,
 * whole. On a disk that lies about syncing the same must be found broken, or the run proves nothing.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Dice } from '../fixtures/dice.ts'
import { ServerProcess } from '../fixtures/server.ts'
import { LogReader, type Reading } from './log-reader.ts'
import { noShim, Shim } from './shim.ts'
import type { Outcome, Progress, Torture } from './torture.ts'
import { type Image, Trace } from './trace.ts'
import { type Promised, Witness } from './witness.ts'

const FILE = 'log.mdb'
const ROOMS = ['chat/a', 'chat/b', 'chat/c', 'chat/d', 'chat/e']
const USERS = ['ann', 'bob', 'cleo', 'dan', 'eve', 'finn']
/** Images of one life of a server, and messages that are acknowledged in it. */
const IMAGES_OF_A_LIFE = 50
const ACKS_OF_A_LIFE = 600
/** Microseconds that each sync takes longer; slow ones leave time in which too early an `ok` would be seen. */
const DELAYS = [0, 2000, 8000, 500]
/** The chance of each unsynced write to be on disk all the same. */
const SURVIVAL = [0, 0.3, 0.5, 0.9, 1]

/** What a server had written when its clients had gone, and what they had been told. */
interface Life {
  readonly data: string
  readonly trace: Trace
  readonly promises: readonly Promised[]
}

/** What became of many images. */
export class Tally {
  images = 0
  promised = 0
  acknowledgedLost = 0
  deliveredLost = 0
  damaged = 0
  /** Images that did not open though something was promised, and those with nothing to lose. */
  unopened = 0
  unborn = 0
  unsyncedPages = 0
  lostPages = 0
  syncs = 0
  readonly violations: string[] = []

  get figures(): Record<string, number> {
    return {
      images: this.images,
      'promises checked': this.promised,
      'acknowledged and lost': this.acknowledgedLost,
      'delivered and lost': this.deliveredLost,
      'records damaged': this.damaged,
      'images that did not open': this.unopened,
      'images from before the first promise': this.unborn,
      'pages not synced at the cut': this.unsyncedPages,
      'of these, pages that lost a write': this.lostPages,
      'syncs of the servers': this.syncs,
    }
  }
}

export interface PowerCutOptions {
  readonly images: number
  readonly seed: number
  /** The disk says that it has synced, and has not. */
  readonly isLying?: boolean
  readonly acks?: number
  readonly progress?: Progress
}

export async function cutPower(options: PowerCutOptions): Promise<Tally> {
  const { images, seed, isLying = false, acks = ACKS_OF_A_LIFE, progress = () => {} } = options
  const tally = new Tally()
  const reader = new LogReader()
  try {
    for (let life = 0; tally.images < images; life++) {
      const dice = new Dice(seed + life)
      const upTo = Math.min(images, tally.images + IMAGES_OF_A_LIFE)
      await withLife({ dice, isLying, acks, syncDelay: DELAYS[life % DELAYS.length] as number }, async (lived) => {
        tally.syncs += lived.trace.syncs
        for (; tally.images < upTo; progress(++tally.images, images)) await judgeImage(lived, dice, reader, tally)
      })
    }
  } finally {
    await reader.dispose()
  }
  return tally
}

interface LifeOptions {
  readonly dice: Dice
  readonly isLying: boolean
  readonly acks: number
  readonly syncDelay: number
}

async function withLife(options: LifeOptions, use: (life: Life) => Promise<void>): Promise<void> {
  const shim = new Shim()
  const data = mkdtempSync(join(tmpdir(), 'chartroom-power-'))
  const server = new ServerProcess({ env: { ...shim.env(data), CHARTROOM_DATA: data } })
  try {
    shim.set('syncDelay', options.syncDelay)
    shim.set('isLying', Number(options.isLying))
    await server.start()
    const witness = new Witness(shim.trace, ROOMS, options.dice)
    await Promise.all(USERS.map((user) => witness.sendUntil(options.acks, server, user)))
    await server.end('SIGKILL')
    await use({ data, trace: new Trace(shim.trace, FILE), promises: witness.promises })
  } finally {
    await server.dispose()
    shim.dispose()
    rmSync(data, { recursive: true, force: true })
  }
}

async function judgeImage(life: Life, dice: Dice, reader: LogReader, tally: Tally): Promise<void> {
  const { trace, promises } = life
  // Every other cut follows a promise at once, where it is the most tempting to break it.
  const cut = dice.chance(0.5) ? dice.pick(promises).place : dice.pick(trace.places)
  const image = trace.imageAt(cut, dice, dice.pick(SURVIVAL))
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-image-'))
  try {
    writeImage(life.data, folder, image)
    const reading = await reader.read({ folder, topics: ROOMS, goesOn: true })
    const told = promises.filter(({ place }) => place <= cut)
    tally.unsyncedPages += image.unsynced
    tally.lostPages += image.lost
    judge(reading, told, cut, tally)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The file as the cut left it, beside LMDB's lock file, which a dead process leaves as it was. */
function writeImage(data: string, folder: string, image: Image): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, FILE), image.bytes)
  const lock = join(data, `${FILE}-lock`)
  if (existsSync(lock)) copyFileSync(lock, join(folder, `${FILE}-lock`))
}

function judge(reading: Reading, told: readonly Promised[], cut: number, tally: Tally): void {
  tally.promised += told.length
  if (told.length === 0) tally.unborn++
  if (reading.kind === 'read') return judgeRead(reading, told, cut, tally)
  // Cut in the middle of its birth a file may end whoever opens it: a child does, and the server refuses it.
  if (told.length === 0 && reading.kind !== 'hung') return
  tally.unopened++
  tally.violations.push(`cut at ${cut}: the log ${reading.kind}, ${reading.error}, with ${told.length} promises in it`)
}

function judgeRead(
  { epoch, topics }: Reading & { kind: 'read' },
  told: readonly Promised[],
  cut: number,
  tally: Tally,
) {
  for (const [room, topic] of Object.entries(topics)) {
    if (!('error' in topic)) continue
    tally.damaged++
    tally.violations.push(`cut at ${cut}: ${room} is damaged: ${topic.error}`)
  }
  for (const promised of told) {
    const topic = topics[promised.room]
    if (!topic || 'error' in topic) continue
    const { event } = topic.records[promised.seq - 1] ?? {}
    const isKept = event && promised.epoch === epoch && (promised.by === 'patch' || event.text === promised.text)
    if (isKept) continue
    if (promised.by === 'ok') tally.acknowledgedLost++
    else tally.deliveredLost++
    const found = event ? 'holds another record' : `ends at ${topic.last}`
    tally.violations.push(`cut at ${cut}: ${promised.room} was told at ${promised.seq} (${promised.by}) and ${found}`)
  }
}

/** On a lying disk: how many images broke a promise. */
export const brokenBy = ({ violations }: Tally): number =>
  new Set(violations.map((violation) => violation.split(':')[0])).size

async function run(size: number, progress: Progress): Promise<Outcome> {
  if (noShim) return { figures: { skipped: noShim }, violations: [] }
  const tally = await cutPower({ images: size, seed: 1, progress })
  const control = await cutPower({ images: Math.ceil(size / 10), seed: 1, isLying: true })
  const broken = brokenBy(control)
  return {
    figures: { ...tally.figures, 'control: lying disk, images': control.images, 'control: of these, broken': broken },
    violations: [...tally.violations, ...(broken > 0 ? [] : ['the control, a disk that lies, lost nothing'])],
  }
}

export const torture: Torture = { size: 200, unit: 'images', run }
