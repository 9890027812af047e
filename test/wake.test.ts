/** What a room does though nobody asks: its delays come due, and those whom a crash left in it have left. */
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { LogRecord } from '../src/log/log.ts'
import { openLmdbLogToRead } from '../src/log/log-lmdb.ts'
import { ROOT, type ServerProcess, startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

t.setTimeout(120_000)

const env = { CHARTROOM_MACHINES: `${ROOT}/test/fixtures/machines` }

/** The last record of a room, read from the file beside the server, so that nothing wakes the room but itself. */
async function lastRecord(server: ServerProcess, room: string): Promise<LogRecord | undefined> {
  const log = openLmdbLogToRead(server.data)
  const records = await log.read(room, { after: 0, limit: 1000 })
  await log.close()
  return records.at(-1)
}

async function untilLast(t: Test, server: ServerProcess, room: string, type: RegExp): Promise<LogRecord> {
  const deadline = Date.now() + 5000
  for (;;) {
    const record = await lastRecord(server, room)
    if (record && type.test(record.event.type)) return record
    if (Date.now() > deadline) throw new Error(`${room} ends with ${JSON.stringify(record)}`)
    await pause(20)
    t.pass()
  }
}

const set = (room: string, ms: number) => ({ type: 'send', room, event: { type: 'set', ms } })

t.test('S6 S9 a delay of a room that sleeps comes due though nobody asks', async (t) => {
  const server = await startServer(t, { env })
  const tab = await Tab.open(server, 'ann')
  const { seq } = await tab.ask(set('alarm/asleep', 600))
  await tab.until(async () => (await server.metric('chartroom_rooms')) === 0)
  const rung = await untilLast(t, server, 'alarm/asleep', /^xstate\.after/)
  t.match(rung, { seq: seq + 1, from: null })
  t.match(await tab.ask({ type: 'get', room: 'alarm/asleep' }), {
    state: { value: 'silent', context: { rings: 1 }, timers: [] },
  })
})

t.test('S6 a delay that passed while the server was down fires at once, in a room that nobody opens', async (t) => {
  const server = await startServer(t, { env })
  const tab = await Tab.open(server, 'ann')
  await tab.ask(set('alarm/down', 300))
  const sent = await tab.ask(set('alarm/later', 60_000))
  await server.end('SIGKILL')
  await pause(400)
  await server.start()
  t.match(await untilLast(t, server, 'alarm/down', /^xstate\.after/), { seq: 3 })
  t.match(await lastRecord(server, 'alarm/later'), { seq: sent.seq, event: { type: 'set' } }, 'and no other')
  const back = await Tab.open(server, 'ann')
  const { state } = await back.ask({ type: 'get', room: 'alarm/later' })
  t.match(state, { value: 'waiting', timers: [{ event: /^xstate\.after/, dueAt: Number }] })
})

/** A folder with machines that wait, each by another name. */
function machinesOf(t: Test, ...names: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-machines-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const name of names) copyFileSync(`${ROOT}/test/fixtures/machines/alarm.ts`, join(folder, `${name}.ts`))
  return folder
}

t.test('S6 S9 delays of a machine whose file is gone, however many, hold up nobody, and fill no log', async (t) => {
  const folder = machinesOf(t, 'gone', 'here')
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: folder } })
  const tab = await Tab.open(server, 'ann')
  await Promise.all(Array.from({ length: 1001 }, (_, i) => tab.ask(set(`gone/${i}`, 1000))))
  await server.end('SIGKILL')
  rmSync(join(folder, 'gone.ts'))
  await pause(1000)
  await server.start()
  const later = await Tab.open(server, 'ann')
  await later.ask(set('here/a', 300))
  await later.until(async () => (await server.metric('chartroom_rooms')) === 0)
  t.match(await untilLast(t, server, 'here/a', /^xstate\.after/), { seq: 3 })
  t.notMatch(server.stderr, /cannot be woken/)
})

t.test('S6 a room whose state its machine does not know any more is read once while it is in memory', async (t) => {
  const folder = machinesOf(t, 'changed', 'here')
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: folder } })
  const tab = await Tab.open(server, 'ann')
  await tab.ask(set('changed/a', 500))
  await server.end('SIGKILL')
  writeFileSync(
    join(folder, 'changed.ts'),
    "import { createMachine } from 'xstate'\nexport default createMachine({ initial: 'new', states: { new: {} } })\n",
  )
  await pause(500)
  await server.start()
  const later = await Tab.open(server, 'ann')
  await later.ask(set('here/a', 2500))
  await untilLast(t, server, 'here/a', /^xstate\.after/)
  t.equal(server.stderr.match(/"topic":"changed\/a".*could not be read/g)?.length, 1)
})

t.test('S8 who was in a room at the kill has left it at the next start, before anybody asks', async (t) => {
  const server = await startServer(t)
  const tab = await Tab.open(server, 'ann')
  await tab.join('chat/left')
  await server.crashAndRestart()
  t.match(await untilLast(t, server, 'chat/left', /^room\.left$/), { seq: 3, event: { user: 'ann' } })
})

interface Downtime {
  readonly how: 'SIGTERM' | 'SIGKILL'
  /** Milliseconds of the delay, and of the downtime at least. */
  readonly delay: number
  readonly down: number
}

/** A server whose `room` waits for a delay, once it was down for a while. */
async function afterDowntime(t: Test, room: string, { how, delay, down }: Downtime) {
  const server = await startServer(t, { env })
  const tab = await Tab.open(server, 'ann')
  await tab.ask(set(room, delay))
  const before = await tab.ask({ type: 'get', room })
  await tab.leave()
  const endedAt = Date.now()
  await server.end(how)
  await pause(down)
  const startedAt = Date.now()
  await server.start()
  return { server, before, endedAt, startedAt, dueAt: before.state.timers[0].dueAt as number }
}

/** The events of a room, read from the file. */
async function eventsOf(server: ServerProcess, room: string): Promise<string[]> {
  const log = openLmdbLogToRead(server.data)
  const records = await log.read(room, { after: 0, limit: 1000 })
  await log.close()
  return records.map(({ event }) => event.type)
}

t.test('S6 policy.timers resume: what remained is left after a downtime, told as a patch', async (t) => {
  const room = 'pausing/clean'
  const down = { how: 'SIGTERM', delay: 60_000, down: 1000 } as const
  const { server, before, endedAt, startedAt, dueAt } = await afterDowntime(t, room, down)
  const tab = await Tab.open(server, 'ann')
  tab.hold(room, before.seq, before.state)
  await tab.join(room, before as { epoch: string; seq: number })
  const patch = await tab.next((frame) => frame.type === 'patch' && frame.room === room)
  t.equal(patch.base, before.seq, 'also to who resumes')
  t.ok(patch.ops.some(({ path }: { path: string }) => path.startsWith('/timers')))
  const { state } = await tab.ask({ type: 'get', room })
  const shift = state.timers[0].dueAt - dueAt
  t.ok(shift >= startedAt - endedAt - 500 && shift <= Date.now() - endedAt, `${shift} ms`)
})

t.test('S6 L2 policy.timers resume: each downtime is counted once, however often a start is killed', async (t) => {
  const room = 'pausing/often'
  const { server, before, endedAt } = await afterDowntime(t, room, { how: 'SIGKILL', delay: 60_000, down: 500 })
  // Killed before anybody asked for the room, and after it was moved.
  await server.crashAndRestart()
  const first = await (await Tab.open(server, 'ann')).ask({ type: 'get', room })
  await server.crashAndRestart()
  await server.crashAndRestart()
  const second = await (await Tab.open(server, 'ann')).ask({ type: 'get', room })
  const dueAt = [before, first, second].map(({ state }) => state.timers[0].dueAt as number)
  const [armed = 0, moved = 0, again = 0] = dueAt
  t.ok(moved - armed > 500, `moved by ${moved - armed} ms`)
  t.ok(again > moved, 'and by the next downtimes')
  t.ok(again - armed <= Date.now() - endedAt + 2500, `never by more than passed, and a mark's period: ${again - armed}`)
  t.same(await eventsOf(server, room), ['room.created', 'set', 'room.rescheduled', 'room.rescheduled'])
})

t.test(
  'S6 S9 policy.timers resume: a delay that passed while the server was down fires when its rest is over',
  async (t) => {
    const room = 'pausing/rest'
    const { server, startedAt, endedAt, dueAt } = await afterDowntime(t, room, {
      how: 'SIGTERM',
      delay: 2000,
      down: 2500,
    })
    const { time } = await untilLast(t, server, room, /^xstate\.after/)
    const rest = dueAt - endedAt
    t.ok(time >= startedAt + rest - 500, `fired ${time - startedAt} ms after the start, ${rest} ms were left`)
    t.same(await eventsOf(server, room), ['room.created', 'set', 'room.rescheduled', 'xstate.after.ms.alarm.waiting'])
  },
)

t.test('S6 S9 policy.timers restart: after a downtime a delay begins anew', async (t) => {
  const room = 'lasting/anew'
  const { server, startedAt } = await afterDowntime(t, room, { how: 'SIGTERM', delay: 1500, down: 1000 })
  const { time } = await untilLast(t, server, room, /^xstate\.after/)
  t.ok(time >= startedAt + 1500, `fired ${time - startedAt} ms after the start`)
  t.same(await eventsOf(server, room), ['room.created', 'set', 'room.rescheduled', 'xstate.after.ms.alarm.waiting'])
})

t.test('S6 delays of 0 that lead to one another hold nobody up', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: `${ROOT}/test/fixtures/machines` } })
  const tab = await Tab.open(server, 'ann')
  await tab.join('restless/a')
  await tab.ask({ type: 'send', room: 'restless/a', event: { type: 'go' } })
  await tab.sees('restless/a', ({ context }) => context.steps > 20)
  t.match(await tab.ask({ type: 'send', room: 'restless/a', event: { type: 'stop' } }), { type: 'ok' })
  const { seq } = await tab.ask({ type: 'get', room: 'restless/a' })
  await tab.ask({ type: 'ping' })
  t.match(await tab.ask({ type: 'get', room: 'restless/a' }), { seq, state: { value: 'still', timers: [] } })
})

t.test('S6 policy.timers: sleep is no downtime, and absolute is what it is without a word', async (t) => {
  const server = await startServer(t, { env })
  const tab = await Tab.open(server, 'ann')
  for (const room of ['pausing/sleeper', 'lasting/sleeper', 'alarm/sleeper']) await tab.ask(set(room, 600))
  await tab.until(async () => (await server.metric('chartroom_rooms')) === 0)
  for (const room of ['pausing/sleeper', 'lasting/sleeper', 'alarm/sleeper']) {
    await untilLast(t, server, room, /^xstate\.after/)
    t.same(await eventsOf(server, room), ['room.created', 'set', 'xstate.after.ms.alarm.waiting'])
  }
})
