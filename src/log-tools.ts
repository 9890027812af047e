/**
 * The command `log`: what is in a data folder, whether it is sound, a copy of it, and the way back from one.
 *
 * Always true: nothing but `restore` changes the folder; a backup counts only once it was opened again and verified;
 * what a restore replaces is kept beside it.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { Inspection } from './inspection.ts'
import { type Database, logFile, newEpoch, openStore, type Store, sealMeta } from './lmdb-store.ts'
import { lockFolder } from './lock.ts'
import type { Log } from './log.ts'
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
  if (what === 'ls') return withLog(data, (log) => list(log, print))
  if (what === 'cat') return withLog(data, (log) => cat(log, needed(argument, 'cat: which room?'), print))
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
  for (const name of names) {
    const last = await log.last(name)
    const [first] = await log.read(name, { after: 0, limit: 1 })
    print(`${name.padEnd(40)} ${first ? `${first.seq} to ${last}` : 'empty'}`)
  }
  print(`${names.length} topics`)
}

async function cat(log: Log, name: string, print: Print): Promise<void> {
  if ((await log.last(name)) === 0) throw new Error(`nothing is stored of ${name}; "chartroom log ls" lists what is`)
  for (let after = 0; ; ) {
    const records = await log.read(name, { after, limit: PAGE })
    for (const record of records) print(JSON.stringify(record))
    if (records.length < PAGE) return
    after = records.at(-1)?.seq ?? after
  }
}

async function verifyFolder(data: string, print: Print): Promise<void> {
  const damages = await damagesOf(data)
  for (const { topic, why } of damages) print(`${topic ?? '(the whole log)'}: ${why}`)
  if (damages.length > 0) throw new Error(`${data}: ${damages.length} damages`)
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
  const entries = await copy(data, folder)
  print(`${folder}: ${entries} entries of ${data}, read again and verified`)
}

/** Copies a log into a folder that has none, and verifies the copy before it takes its name. */
async function copy(from: string, to: string, change = (_copy: Store): void => {}): Promise<number> {
  const partial = `${to}/partial`
  mkdirSync(partial, { recursive: true })
  const source = openStore(from, { readOnly: true })
  const copied = openStore(partial)
  const entries = await copyAll(source, copied)
  change(copied)
  await source.root.close()
  await copied.root.close()
  const [damage] = await damagesOf(partial)
  if (damage) throw new Error(`the copy of ${from} is not sound: ${damage.topic ?? 'the whole log'}: ${damage.why}`)
  renameSync(logFile(partial), logFile(to))
  rmSync(partial, { recursive: true })
  return entries
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
  await copied.root.flushed
  transaction.done()
  return entries
}

/** The clients start from a snapshot afterwards: the log lives another life (its epoch). */
async function restore(folder: string, data: string, print: Print): Promise<void> {
  const [damage] = await damagesOf(folder)
  if (damage) throw new Error(`the backup is not sound: ${damage.topic ?? 'the whole log'}: ${damage.why}`)
  const lock = await lockFolder(data)
  try {
    const aside = setAside(data)
    const entries = await copy(folder, data, ({ meta }) => meta.putSync('epoch', sealMeta('epoch', newEpoch())))
    print(`${data}: ${entries} entries of ${folder}${aside ? `; what was there is ${aside}` : ''}`)
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
