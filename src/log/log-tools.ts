/**
 * The command `log`: what is in a data folder, whether it is sound, a copy of it, and the way back from one.
 *
 * Always true: nothing but `restore` changes the folder; a backup counts only once it was opened again and verified;
 * what a restore replaces is kept beside it.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { Inspection } from './inspection.ts'
import { type Database, logFile, newEpoch, openStore, type Store, sealMeta } from './lmdb-store.ts'
import { lockFolder } from './lock.ts'
import { DamagedLog, type Log } from './log.ts'
import { openLmdbLogToRead } from './log-lmdb.ts'
import type { Damage } from './log-verify.ts'

/** Records that are read at once. */
const PAGE = 1000
/** Entries that are copied in one transaction. */
const COPIED_AT_ONCE = 1000

type Print = (line: string) => void

export const LOG_USAGE = `chartroom log ls                   list the rooms and inboxes that are stored
chartroom log cat <room>           print a room's records, one JSON object a line
chartroom log verify               look at everything that is stored
chartroom log backup <folder>      copy the log, also while a server runs on it
chartroom log restore <folder>     put a backup in the place of the log`

/** @throws with one line that says what is wrong. */
export async function logCommand([what, argument]: string[], data: string, print: Print): Promise<void> {
  if (what === undefined) return LOG_USAGE.split('\n').forEach((line) => void print(line))
  if (what === 'ls') return withLog(data, (log) => list(log, print))
  if (what === 'cat') {
    const room = needed(argument, 'cat: which room?')
    return withLog(data, (log) => cat(log, room, print))
  }
  if (what === 'verify') return verifyFolder(data, print)
  if (what === 'backup') return backup(data, needed(argument, 'backup: into which folder?'), print)
  if (what === 'restore') return restore(needed(argument, 'restore: from which folder?'), data, print)
  throw new Error(`log: there are ls, cat, verify, backup and restore, not ${JSON.stringify(what)}`)
}

function needed(argument: string | undefined, question: string): string {
  if (argument === undefined) throw new Error(`log ${question}`)
  return argument
}

async function withLog(data: string, use: (log: Log) => Promise<void>): Promise<void> {
  const log = openLmdbLogToRead(data)
  try {
    await use(log)
  } finally {
    await log.close()
  }
}

async function list(log: Log, print: Print): Promise<void> {
  const names = await log.topics('')
  const width = Math.max(0, ...names.map((name) => name.length))
  for (const name of names) print(`${name.padEnd(width)}  ${await extentOf(log, name)}`)
  print(counted(names.length, 'topic'))
}

/** The seqs that are held of a topic, in words. */
async function extentOf(log: Log, name: string): Promise<string> {
  try {
    const [first] = await log.read(name, { after: 0, limit: 1 })
    return first ? `${first.seq} to ${await log.last(name)}` : 'empty'
  } catch (error) {
    if (error instanceof DamagedLog) return `damaged: ${error.message}`
    throw error
  }
}

const PLURAL = { topic: 'topics', place: 'places', entry: 'entries' }

const counted = (count: number, what: keyof typeof PLURAL): string => `${count} ${count === 1 ? what : PLURAL[what]}`

/**
 * Between reading and printing the read transaction ends: whoever pages through the output stops this process, and an open
 * one would keep every page that the server frees.
 */
async function cat(log: Log, name: string, print: Print): Promise<void> {
  if ((await log.last(name)) === 0) throw new Error(`nothing is stored of ${name}; "chartroom log ls" lists what is`)
  for (let after = 0; ; ) {
    const records = await log.read(name, { after, limit: PAGE })
    await setTimeout(1)
    for (const record of records) print(JSON.stringify(record))
    if (records.length < PAGE) return
    after = records.at(-1)?.seq ?? after
  }
}

async function verifyFolder(data: string, print: Print): Promise<void> {
  const damages = await damagesOf(data)
  for (const { topic, why } of damages) print(`${topic ?? '(the whole log)'}: ${why}`)
  if (damages.length > 0) throw new Error(`${data} is damaged in ${counted(damages.length, 'place')}`)
  print(`${data}: everything is sound`)
}

/** In a child process, which a damaged file may end. @throws where there is no log. */
async function damagesOf(data: string): Promise<Damage[]> {
  if (!existsSync(logFile(data))) throw new Error(`${data} holds no log`)
  const damages: Damage[] = []
  await new Inspection(data, (damage) => damages.push(damage)).done
  return damages
}

async function backup(data: string, folder: string, print: Print): Promise<void> {
  if (existsSync(logFile(folder))) throw new Error(`${folder} holds a log already; name a new folder`)
  await needSound(data, `${data} is not sound`)
  const { entries, take } = await copy(data, folder)
  take()
  print(`${folder}: ${counted(entries, 'entry')} of ${data}, read again and verified`)
}

/** @throws where there is a damage; looked at before anything is read in this process, which that might end. */
async function needSound(data: string, otherwise: string): Promise<void> {
  const [damage] = await damagesOf(data)
  if (damage) throw new Error(`${otherwise}: ${damage.topic ?? 'the whole log'}: ${damage.why}`)
}

interface Copy {
  readonly entries: number
  /** Lets the copy have its name. */
  take(): void
}

/** Copies a log beside the place where it is to be, and verifies the copy. */
async function copy(from: string, to: string, change = (_copy: Store): void => {}): Promise<Copy> {
  const partial = `${to}/partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  const source = openStore(from, { readOnly: true })
  const copied = openStore(partial)
  const entries = await copyAll(source, copied)
  change(copied)
  await source.root.close()
  await copied.root.close()
  await needSound(partial, `the copy of ${from} is not sound`)
  const take = (): void => {
    renameSync(logFile(partial), logFile(to))
    rmSync(partial, { recursive: true })
  }
  return { entries, take }
}

/** All tables as they stand at one moment, whatever is written meanwhile. */
async function copyAll(source: Store, copied: Store): Promise<number> {
  const transaction = source.root.useReadTransaction()
  let entries = 0
  const copyTable = async <K extends string | Buffer>(from: Database<Buffer, K>, to: Database<Buffer, K>) => {
    for (const { key, value } of from.getRange({ transaction })) {
      void to.put(key, value)
      if (++entries % COPIED_AT_ONCE === 0) await copied.root.committed
    }
  }
  await copyTable(source.meta, copied.meta)
  await copyTable(source.topics, copied.topics)
  await copyTable(source.snapshots, copied.snapshots)
  await copyTable(source.segments, copied.segments)
  await copyTable(source.wakes, copied.wakes)
  await copied.root.flushed
  transaction.done()
  return entries
}

/** The clients start from a snapshot afterwards: the log lives another life (its epoch). */
async function restore(folder: string, data: string, print: Print): Promise<void> {
  await needSound(folder, 'the backup is not sound')
  const lock = await lockFolder(data)
  try {
    const { entries, take } = await copy(folder, data, ({ meta }) =>
      meta.putSync('epoch', sealMeta('epoch', newEpoch())),
    )
    const aside = setAside(data)
    take()
    print(`${data}: ${counted(entries, 'entry')} of ${folder}${aside ? `; what was there is now ${aside}` : ''}`)
  } finally {
    lock.release()
  }
}

/** Moves a log out of the way. @returns where it is now, or `undefined` where there was none. */
function setAside(data: string): string | undefined {
  const file = logFile(data)
  rmSync(`${file}-lock`, { force: true })
  if (!existsSync(file)) return undefined
  const aside = `${file}.replaced-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`
  renameSync(file, aside)
  return aside
}
