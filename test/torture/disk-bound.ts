/**
 * The disk that one busy room uses: events without end into a room whose policy keeps some history, with the size of
 * `log.mdb` read as they go in, and everything asked again after a `kill -9`.
 */
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT, ServerProcess } from '../fixtures/server.ts'
import { type Frame, Tab } from '../fixtures/tab.ts'
import type { Progress, Torture } from './torture.ts'

const ROOM = 'busy/one'
const CONNECTIONS = 8
/** Sends of one connection that are under way at a time. */
const IN_FLIGHT = 64
/** Bytes that the log of 10,000 small events of history may take, however many came before. */
const BOUND = 64 * 2 ** 20
/** Times that the size is read on the way. */
const LOOKS = 40

/** A counter of which `history` records are kept. */
const machineFile = (history: number): string => `import { assign, setup } from 'xstate'
export default setup({ types: { context: {}, events: {} } }).createMachine({
  context: { count: 0 },
  on: { increment: { actions: assign({ count: ({ context }) => context.count + 1 }) } },
})
export const policy = { history: ${history} }
`

export interface DiskUse {
  /** Bytes of the file after each of as many events, in equal steps. */
  readonly sizes: readonly number[]
  /** The replies that were no `ok`. */
  readonly refused: readonly Frame[]
  /** The room's count and seq, and the first and last seq of its history, after a crash. */
  readonly count: number
  readonly seq: number
  readonly first: number
}

/** Sends `events` events into one room, and reads back what is left of them. */
export function fillRoom(events: number, history: number, progress: Progress): Promise<DiskUse> {
  return withBusyServer(history, async (server) => {
    const { sizes, refused } = await sendAll(server, events, progress)
    await server.crashAndRestart()
    return { sizes, refused, ...(await lookAt(server)) }
  })
}

/** A server whose machine keeps `history` records, for as long as it is used. */
export async function withBusyServer<T>(history: number, use: (server: ServerProcess) => Promise<T>): Promise<T> {
  const machines = folderWith(machineFile(history))
  const server = new ServerProcess({ env: { CHARTROOM_MACHINES: machines } })
  try {
    return await use(await server.start())
  } finally {
    await server.dispose()
    rmSync(machines, { recursive: true })
  }
}

function folderWith(machine: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-machines-'))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'busy.js'), machine)
  return folder
}

export async function sendAll(server: ServerProcess, events: number, progress: Progress) {
  const sizes: number[] = []
  const refused: Frame[] = []
  let sent = 0
  let answered = 0
  const onReply = (reply: Frame): void => {
    if (reply.type !== 'ok') refused.push(reply)
    if (++answered % Math.ceil(events / LOOKS) === 0) sizes.push(sizeOf(server))
    progress(answered, events)
  }
  const next = (): boolean => sent++ < events
  const tabs = Array.from({ length: CONNECTIONS }, (_, i) => Tab.open(server, `user${i}`))
  await Promise.all((await Promise.all(tabs)).map((tab) => sendFrom(tab, next, onReply)))
  sizes.push(sizeOf(server))
  return { sizes, refused }
}

/** Keeps `IN_FLIGHT` sends under way for as long as there is a `next`; resolves when all are answered. */
function sendFrom({ socket }: Tab, next: () => boolean, onReply: (reply: Frame) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let underWay = 0
    const sendNext = (): void => {
      if (!next()) return
      underWay++
      socket.send(`{"type":"send","id":1,"room":"${ROOM}","event":{"type":"increment"}}`)
    }
    socket.removeAllListeners('message')
    socket.on('close', (code) => reject(new Error(`a connection was closed ${code}`)))
    socket.on('message', (text) => {
      underWay--
      onReply(JSON.parse(String(text)))
      sendNext()
      if (underWay === 0) resolve()
    })
    for (let i = 0; i < IN_FLIGHT; i++) sendNext()
  })
}

const sizeOf = ({ data }: ServerProcess): number => statSync(`${data}/log.mdb`).size

async function lookAt(server: ServerProcess): Promise<Pick<DiskUse, 'count' | 'seq' | 'first'>> {
  const tab = await Tab.open(server, 'ann')
  const { state, seq } = await tab.ask({ type: 'get', room: ROOM })
  const { first } = await tab.ask({ type: 'history', room: ROOM, limit: 1 })
  await tab.leave()
  return { count: state.context.count, seq, first }
}

/** What the use of the disk breaks of what was promised. */
export function violationsOf(
  { sizes, refused, count, seq, first }: DiskUse,
  events: number,
  history: number,
): string[] {
  const violations: string[] = []
  const quarter = sizes[Math.floor(sizes.length / 4)] as number
  const end = sizes.at(-1) as number
  if (refused.length > 0) violations.push(`${refused.length} events were refused: ${JSON.stringify(refused[0])}`)
  if (count !== events) violations.push(`after ${events} events the count is ${count}`)
  if (!(first <= seq - history + 1))
    violations.push(`history begins at ${first} of ${seq}: less than ${history} records`)
  if (!(first > seq - 3 * history)) violations.push(`history begins at ${first} of ${seq}: nothing was forgotten`)
  if (end > 2 * quarter) violations.push(`the file grew from ${quarter} bytes at a quarter of the events to ${end}`)
  return violations
}

const HISTORY = 10_000

export const torture: Torture = {
  size: 1_000_000,
  unit: 'events',
  run: async (size, progress) => {
    const use = await fillRoom(size, HISTORY, progress)
    const largest = Math.max(...use.sizes)
    const tooMuch = largest > BOUND ? [`the file took ${largest} bytes, more than ${BOUND}`] : []
    const figures = {
      'history that is kept, records': HISTORY,
      'size of the log at the end, MB': megabytes(use.sizes.at(-1) ?? 0),
      'largest size on the way, MB': megabytes(largest),
      'size at each tenth, MB': use.sizes
        .filter((_, i) => i % (LOOKS / 10) === 3)
        .map(megabytes)
        .join(' '),
      'first seq that is still held': use.first,
      'last seq': use.seq,
    }
    return { figures, violations: [...violationsOf(use, size, HISTORY), ...tooMuch] }
  },
}

const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
