/**
 * Reads whole logs in a process of its own, with the server's own code, since a damaged file can end whoever opens it.
 *
 * As a child it answers each folder that it is sent with what is in it; `LogReader` is the parent's side, and starts
 * another child when one has died or hangs.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { encodeLine, type Log, type LogRecord } from '../../src/log/log.ts'
import { openLmdbLog } from '../../src/log/log-lmdb.ts'
import { recover } from '../../src/room/recovery.ts'

/** Milliseconds after which reading a small log is a hang. */
const PATIENCE = 20_000

export interface Asked {
  readonly folder: string
  readonly topics: readonly string[]
  /** Each topic is written to as well, to see that it goes on where it ends. */
  readonly goesOn?: boolean
}

/** What a topic holds, or why it cannot be read. */
export type Topic =
  | { readonly records: LogRecord[]; readonly last: number; readonly document: unknown }
  | { readonly error: string }

export type Reading =
  | { readonly kind: 'read'; readonly epoch: string; readonly topics: Record<string, Topic> }
  /** The log does not open, and says so. */
  | { readonly kind: 'refused'; readonly error: string }
  /** The process died of it: a signal's name. */
  | { readonly kind: 'died'; readonly error: string }
  | { readonly kind: 'hung'; readonly error: string }

export class LogReader {
  #child: ChildProcess | undefined

  async read(asked: Asked): Promise<Reading> {
    this.#child ??= fork(fileURLToPath(import.meta.url), { execArgv: ['--import', 'tsx'], stdio: 'ignore' })
    const reading = await this.#answer(this.#child, asked)
    if (reading.kind === 'died' || reading.kind === 'hung') await this.dispose()
    return reading
  }

  #answer(child: ChildProcess, asked: Asked): Promise<Reading> {
    return new Promise((resolve) => {
      const settle = (reading: Reading): void => {
        clearTimeout(patience)
        child.removeAllListeners()
        resolve(reading)
      }
      const patience = setTimeout(() => settle({ kind: 'hung', error: `no answer within ${PATIENCE} ms` }), PATIENCE)
      child.once('message', (reading) => settle(reading as Reading))
      child.once('exit', (code, signal) => settle({ kind: 'died', error: signal ?? `exit ${code}` }))
      child.send(asked)
    })
  }

  async dispose(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child && child.exitCode === null && child.signalCode === null && child.kill('SIGKILL'))
      await once(child, 'exit')
  }
}

async function readLog({ folder, topics, goesOn = false }: Asked): Promise<Reading> {
  let log: Log | undefined
  try {
    log = openLmdbLog(folder)
    const read: Record<string, Topic> = {}
    for (const topic of topics) read[topic] = await readTopic(log, topic, goesOn)
    return { kind: 'read', epoch: await log.epoch(topics[0] as string), topics: read }
  } catch (error) {
    return { kind: 'refused', error: String(error) }
  } finally {
    await log?.close()
  }
}

/** Every record, and the room's document as it recovers. */
async function readTopic(log: Log, topic: string, goesOn: boolean): Promise<Topic> {
  try {
    const last = await log.last(topic)
    const records = await log.read(topic, { after: 0, limit: Number.POSITIVE_INFINITY })
    const { document, seq } = await recover(log, topic)
    if (seq !== last || records.length !== last)
      throw new Error(`last ${last}, recovered ${seq}, read ${records.length}`)
    if (goesOn) await goOn(log, topic, last)
    return { records, last, document }
  } catch (error) {
    return { error: String(error) }
  }
}

async function goOn(log: Log, topic: string, last: number): Promise<void> {
  await log.commit([{ topic, after: last, lines: [encodeLine(another(last + 1))] }])
  const [added] = await log.read(topic, { after: last, limit: 1 })
  if (added?.seq !== last + 1) throw new Error(`the topic does not go on behind ${last}`)
}

const another = (seq: number): LogRecord => ({ seq, event: { type: 'another' }, from: null, time: 0, ops: [] })

if (process.argv[1] === fileURLToPath(import.meta.url) && process.send) {
  process.on('message', async (asked: Asked) => process.send?.(await readLog(asked)))
}
