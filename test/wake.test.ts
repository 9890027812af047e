/** What a room does though nobody asks: its delays come due, and those whom a crash left in it have left. */
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { LogRecord } from '../src/log.ts'
import { openLmdbLogToRead } from '../src/log-lmdb.ts'
import { ROOT, type ServerProcess, startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

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

t.test('S8 who was in a room at the kill has left it at the next start, before anybody asks', async (t) => {
  const server = await startServer(t)
  const tab = await Tab.open(server, 'ann')
  await tab.join('chat/left')
  await server.crashAndRestart()
  t.match(await untilLast(t, server, 'chat/left', /^room\.left$/), { seq: 3, event: { user: 'ann' } })
})
