/**
 * Bad disks: one that is full, that fails once, that may not be written to; and logs that were spoiled at rest.
 *
 * Promised: no false `ok`; reads go on, and writing once the disk is well; the server neither ends nor hangs; a spoiled
 * log is refused with advice, or costs the rooms that it hit, and is never served as something that it was not.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ServerProcess } from '../fixtures/server.ts'
import { type Disk, noMount, shimmedDisk, smallDisk, type Trial, tryDisk } from './bad-disk.ts'
import { PAGE_KINDS, WAYS } from './mutations.ts'
import { noShim } from './shim.ts'
import { begin, countClasses, isPromised, type Spoiled, spoil, type Verdict, writeHealthyLog } from './spoiled-log.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

const ROOMS = 50
const SEED = 1

/** Every way in which a disk goes bad under a running server, as far as it can be had here. */
export function badDisks(): [what: string, make: () => Disk][] {
  const full: [string, () => Disk][] = [['full', () => smallDisk() as Disk]]
  const shimmed: [string, () => Disk][] = [
    ['full, by the shim', () => shimmedDisk('isFull')],
    ['EIO of one sync', () => shimmedDisk('failingSyncs')],
    ['EIO of one write', () => shimmedDisk('failingWrites')],
    ['EIO of one meta page', () => shimmedDisk('failingSyncedWrites')],
  ]
  return [...(noMount ? [] : full), ...(noShim ? [] : shimmed)]
}

/** A folder that a server cannot begin in. `dispose` undoes it. */
export interface BadFolder {
  readonly data: string
  dispose(): void
}

/** A file system that is mounted read-only (root may write anywhere else); `undefined` where this process may not mount. */
export function readOnlyFolder(): BadFolder | undefined {
  const data = mkdtempSync(join(tmpdir(), 'chartroom-read-only-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro,size=1m', 'tmpfs', data])
  const dispose = (): void => {
    if (status === 0) spawnSync('umount', ['--lazy', data])
    rmSync(data, { recursive: true, force: true })
  }
  if (status === 0) return { data, dispose }
  dispose()
  return undefined
}

/** A folder that is not there and cannot be made, since a file stands in its way. */
export function impossibleFolder(): BadFolder {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-impossible-'))
  writeFileSync(join(folder, 'file'), '')
  return { data: join(folder, 'file', 'data'), dispose: () => rmSync(folder, { recursive: true, force: true }) }
}

/** A folder that is not there, and can be made. */
export function missingFolder(): BadFolder {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-missing-'))
  mkdirSync(folder, { recursive: true })
  return { data: join(folder, 'some', 'data'), dispose: () => rmSync(folder, { recursive: true, force: true }) }
}

/** How a server begins there. */
export async function beginIn({ data, dispose }: BadFolder): Promise<Verdict> {
  const server = new ServerProcess({ env: { CHARTROOM_DATA: data } })
  try {
    return (await begin(server, data)) ?? { class: 'served right', why: '' }
  } finally {
    await server.dispose()
    dispose()
  }
}

async function run(size: number, progress: Progress): Promise<Outcome> {
  const trials: Trial[] = []
  for (const [what, make] of badDisks()) trials.push(await tryDisk(what, make()))
  const folders = await beginInBadFolders()
  const spoiled = await spoil(await writeHealthyLog(ROOMS, SEED), { mutations: size, seed: SEED, progress })
  return {
    figures: { ...trialFigures(trials), ...folders.figures, ...spoiledFigures(spoiled) },
    violations: [
      ...trials.flatMap(({ violations }) => violations),
      ...folders.violations,
      ...spoiledViolations(spoiled),
    ],
  }
}

async function beginInBadFolders(): Promise<Outcome> {
  const readOnly = readOnlyFolder()
  const [there, impossible] = [await beginIn(missingFolder()), await beginIn(impossibleFolder())]
  const verdicts = { 'a missing folder': there, 'an impossible folder': impossible }
  const all: Record<string, Verdict> = {
    ...verdicts,
    ...(readOnly && { 'a read-only folder': await beginIn(readOnly) }),
  }
  const wanted = (name: string): string => (name === 'a missing folder' ? 'served right' : 'refused')
  const bad = Object.entries(all).filter(([name, verdict]) => verdict.class !== wanted(name))
  return {
    figures: Object.fromEntries(
      Object.entries(all).map(([name, verdict]) => [name, `${verdict.class} ${verdict.why}`]),
    ),
    violations: bad.map(([name, { class: found, why }]) => `${name}: ${found}: ${why}`),
  }
}

const trialFigures = (trials: readonly Trial[]): Record<string, string> =>
  Object.fromEntries(
    trials.map(({ what, answers, resumedAfter }) => {
      const told = Object.entries(answers).map(([code, count]) => `${code} ${count}`)
      return [`disk: ${what}`, `sends: ${told.join(', ')}; stored again after ${resumedAfter ?? '-'} ms`]
    }),
  )

function spoiledFigures(spoiled: readonly Spoiled[]): Record<string, string> {
  const figures: Record<string, string> = {
    'spoiled logs, the server': countClasses(spoiled.map(({ server }) => server)),
    'spoiled logs, opened without a look': countClasses(spoiled.map(({ module }) => module)),
  }
  for (const way of WAYS) {
    for (const page of [...PAGE_KINDS, 'end'] as const) {
      const hit = spoiled.filter(({ mutation }) => mutation.way === way && mutation.page === page)
      if (hit.length > 0) figures[`server: ${way}, ${page}`] = countClasses(hit.map(({ server }) => server))
    }
  }
  return figures
}

const spoiledViolations = (spoiled: readonly Spoiled[]): string[] =>
  spoiled.flatMap(({ mutation: { way, page }, server }, number) =>
    isPromised(server) ? [] : [`spoiled log ${number} (${way}, ${page}): ${server.class}: ${server.why}`],
  )

export const torture: Torture = { size: 200, unit: 'mutations', run }
