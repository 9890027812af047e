/**
 * Everybody comes back at once: the server is killed with all of them in its rooms, and from its first accept on each
 * resumes where it stood. Then one at a time comes back to a thousand missed records.
 */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { loadavg } from 'node:os'
import { ServerProcess } from '../fixtures/server.ts'
import { type Frame, Tab } from '../fixtures/tab.ts'
import { ClientProcess } from './clients.ts'
import { quantile } from './figures.ts'
import { Member, type Mode, type Resumed } from './member.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

const PROCESSES = 2
/** Members of one room. */
const SHARE = 100
/** Events in each room that everybody has missed, beside who left and came. */
const POSTS = 20
/** Records that are missed by who comes back alone, and how often that is measured. */
const MISSED = 1000
const TIMES = 200

export const torture: Torture = { size: 5000, unit: 'clients', run }

export async function run(size: number, progress: Progress): Promise<Outcome> {
  const load = loadavg()[0]?.toFixed(1)
  const outcomes: Outcome[] = [{ figures: { 'load of the machine at the beginning': `${load}` }, violations: [] }]
  let done = 0
  const step = async (work: Promise<Outcome>) => {
    outcomes.push(await work)
    progress(++done, 5)
  }
  for (const mode of ['state', 'events'] as const) await step(afterKill(size, mode))
  await step(alone('a snapshot, the patch being larger', 'chat/alone', 'state', post))
  await step(alone('one patch', 'document/alone', 'state', write))
  await step(alone('events', 'chat/alone', 'events', post))
  return {
    figures: Object.assign({}, ...outcomes.map(({ figures }) => figures)),
    violations: outcomes.flatMap(({ violations }) => violations),
  }
}

const post = (room: string, i: number): Frame => ({
  type: 'send',
  room,
  event: { type: 'message.post', text: `message ${i}` },
})

/** The first four make the document larger than any patch behind them. */
const write = (room: string, i: number): Frame => ({
  type: 'send',
  room,
  event: { type: 'document.patch', ops: [{ op: 'add', path: '/n', value: i }] },
})

/** All of a crowd, after `kill -9` of the server. */
async function afterKill(size: number, mode: Mode): Promise<Outcome> {
  const server = await new ServerProcess({}).start()
  const processes = Array.from({ length: PROCESSES }, () => new ClientProcess('./resume-members.ts'))
  try {
    const rooms = Array.from({ length: Math.ceil(size / SHARE) }, (_, i) => `chat/r${i}`)
    const share = Math.ceil(size / PROCESSES)
    const users = Array.from({ length: size }, (_, i) => `user${i}`)
    await Promise.all(
      processes.map((process, n) =>
        process.ask({
          what: 'settle',
          url: server.url,
          users: users.slice(n * share, (n + 1) * share),
          rooms,
          mode,
        }),
      ),
    )
    const writer = await Tab.open(server, 'writer')
    for (const room of rooms) await sendAll(writer, POSTS, (i) => post(room, i))
    await server.end('SIGKILL')
    server.stdout = ''
    const accepting = firstAccept(server.port)
    const started = server.start()
    const began = await accepting
    const resumed = (await Promise.all(processes.map((process) => process.ask<Resumed[]>({ what: 'resume' })))).flat()
    await started
    const cpu = cpuOf(server.pid)
    const took = resumed.map(({ at }) => at - began)
    const label = `all back after kill -9, mode ${mode}`
    return {
      figures: {
        [`${label}: p50 / p99 / most`]: times(took),
        [`${label}: CPU of the server since its start`]: `${cpu} ms`,
        [`${label}: recovered, records each`]: `${resumed.filter(({ recovered }) => recovered).length} of ${size}, ${Math.round(
          quantile(
            resumed.map(({ records }) => records),
            0.5,
          ),
        )}`,
      },
      violations: faults(label, resumed),
    }
  } finally {
    for (const process of processes) process.end()
    await server.dispose()
  }
}

/** One after the other, each from the connect to the last missed record. */
async function alone(
  how: string,
  room: string,
  mode: Mode,
  frame: (room: string, i: number) => Frame,
): Promise<Outcome> {
  const server = await new ServerProcess({}).start()
  try {
    const writer = await Tab.open(server, 'writer')
    const large = (i: number) => ({ op: 'add', path: `/large${i}`, value: 'x'.repeat(50_000) })
    if (frame === write)
      for (const i of [0, 1, 2])
        await writer.ask({ type: 'send', room, event: { type: 'document.patch', ops: [large(i)] } })
    const members = await Promise.all(
      Array.from({ length: TIMES }, (_, i) => Member.of(server.url, `back${i % 10}`, room, mode)),
    )
    const [keeper] = members as [Member]
    await keeper.settle()
    for (const member of members.slice(1)) await member.settle()
    for (const member of members) await member.leave()
    for (let i = 0; i < MISSED; i += 250) await sendAll(writer, 250, (n) => frame(room, i + n))
    const [took, resumed]: [number[], Resumed[]] = [[], []]
    for (const member of members) {
      const began = performance.now()
      resumed.push(await member.resume())
      took.push(performance.now() - began)
      await member.leave()
    }
    const label = `${MISSED} missed records, as ${how}`
    const least = Math.min(...resumed.map(({ records }) => records))
    return {
      figures: {
        [`${label}: p50 / p99 / most of ${TIMES}`]: times(took),
        [`${label}: recovered, records at least`]: `${resumed.filter(({ recovered }) => recovered).length} of ${TIMES}, ${least}`,
      },
      violations: [...faults(label, resumed), ...(least < MISSED ? [`${label}: only ${least} were missed`] : [])],
    }
  } finally {
    await server.dispose()
  }
}

async function sendAll(tab: Tab, count: number, frame: (i: number) => Frame): Promise<void> {
  tab.burst(Array.from({ length: count }, (_, i) => ({ ...frame(i), id: `all ${i}` })))
  for (let i = 0; i < count; i++) {
    const reply = await tab.next(({ id }) => id === `all ${i}`)
    if (reply.type !== 'ok') throw new Error(JSON.stringify(reply))
  }
}

/** When the port first takes a connection, Unix epoch milliseconds. */
async function firstAccept(port: number): Promise<number> {
  for (;;) {
    const at = await new Promise<number | undefined>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.once('connect', () => {
        socket.destroy()
        resolve(Date.now())
      })
      socket.once('error', () => setTimeout(resolve, 5, undefined))
    })
    if (at !== undefined) return at
  }
}

/** Milliseconds of CPU that a process has used; the clock of `proc(5)` ticks a hundred times a second. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const times = (values: readonly number[]): string =>
  [0.5, 0.99, 1]
    .map((p) => quantile(values, p).toFixed(0))
    .join(' / ')
    .concat(' ms')

const faults = (label: string, resumed: readonly Resumed[]): string[] =>
  [...new Set(resumed.flatMap(({ fault }) => fault ?? []))].map((fault) => `${label}: ${fault}`)
