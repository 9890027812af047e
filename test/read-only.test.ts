/** While the storage refuses writes, whoever only reads is served; nothing that was acknowledged is lost. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DamagedLog, type Log, StorageRefused } from '../src/log/log.ts'
import { openLmdbLog } from '../src/log/log-lmdb.ts'
import { around, serverHere } from './fixtures/here.ts'
import { ROOT, type ServerProcess } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

const increment = (room: string) => ({ type: 'send', room, event: { type: 'increment' } })

/** A storage that can be told to refuse writes; what it refuses, it does not write. */
class Disk {
  isFull = false

  constructor(t: Test) {
    for (const method of ['commit', 'probe'] as const) {
      around(t, LmdbLog, method, (_log, _args, whole) =>
        this.isFull ? Promise.reject(new StorageRefused('the disk of the test is full')) : whole(),
      )
    }
    // A server that stops waits for nobody who cannot write.
    t.teardown(() => {
      this.isFull = false
    })
  }
}

/** What every log on disk inherits from. */
const folder = mkdtempSync(join(tmpdir(), 'chartroom-test-'))
const log = openLmdbLog(folder)
const LmdbLog = Object.getPrototypeOf(log) as Log
await log.close()
rmSync(folder, { recursive: true })

/** What nobody caught, until the test ends. */
function unhandled(t: Test): unknown[] {
  const found: unknown[] = []
  const note = (reason: unknown) => void found.push(reason)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  return found
}

const ready = async ({ port }: ServerProcess): Promise<number> => (await fetch(`http://127.0.0.1:${port}/ready`)).status

t.test('E2 R3 while the storage refuses writes senders are told read_only, and readers are served', async (t) => {
  const disk = new Disk(t)
  const rejections = unhandled(t)
  const server = await serverHere(t)
  const [ann, bob, eve] = await Promise.all(['ann', 'bob', 'eve'].map((user) => Tab.open(server, user)))
  if (!ann || !bob || !eve) throw new Error('three are in')
  const service = await Service.of(server)
  const room = 'counter/full'
  await ann.join(room)
  await bob.ask({ type: 'join', room, mode: 'both' })
  const kept = await ann.ask({ ...increment(room), key: 'kept' })
  await ann.ask({ type: 'message', to: 'bob', data: 'before' })
  const letter = await bob.next('message')
  t.equal(await ready(server), 200)

  disk.isFull = true
  const refused = { type: 'error', code: 'read_only', retry: true }
  t.match(await ann.ask(increment(room)), refused, 'the first, which finds out')
  t.match(await ann.ask({ ...increment(room), key: 'new' }), refused)
  t.match(await ann.ask({ ...increment(room), key: 'kept' }), { type: 'ok', seq: kept.seq, dup: true })
  t.match(await ann.ask({ ...increment(room), if: 99 }), refused, 'before the seq is looked at')
  t.match(await ann.ask(increment('counter/unborn')), refused)
  t.match(await ann.ask({ type: 'join', room: 'counter/unborn' }), refused, 'it would have to be born')
  t.match(await ann.ask({ type: 'message', to: 'bob', data: 'lost' }), refused)
  t.match(await bob.ask({ type: 'ack', seq: letter.seq }), refused)
  const event = { type: 'increment' }
  const api = await service.fetch('POST', '/v1/rooms/counter/full/events', JSON.stringify({ event }))
  t.match([api.status, await api.json()], [503, refused])
  const revoke = await service.fetch('DELETE', '/v1/tokens/any')
  t.match([revoke.status, await revoke.json()], [503, refused], 'a revocation that may not outlive a restart')
  t.equal(await ready(server), 503)

  t.match(await eve.join(room), { seq: kept.seq, recovered: false })
  t.match(eve.state(room), { context: { count: 1 } })
  t.match(await eve.ask({ type: 'get', room }), { seq: kept.seq, state: { context: { count: 1 } } })
  t.match(await eve.ask({ type: 'get', room: 'counter/unborn' }), { seq: 0 })
  t.match(await eve.ask({ type: 'history', room }), { events: [{ seq: 1 }, { seq: kept.seq }], more: false })
  t.match(await eve.ask({ type: 'ping', data: 1 }), { data: 1 })
  t.match(await eve.ask({ type: 'leave', room }), { type: 'ok' })
  t.match(await (await Tab.open(server, 'new')).ask({ type: 'status' }), { state: 'open' }, 'a newcomer gets in')
  t.match(await service.get('/v1/users/bob/inbox'), { total: 1 })

  disk.isFull = false
  await ann.until(async () => (await ready(server)) === 200)
  t.match(await ann.ask({ ...increment(room), key: 'new' }), { type: 'ok', seq: kept.seq + 1 }, 'no seq was used up')
  await Promise.all([ann, bob].map((tab) => tab.reaches(room, kept.seq + 1)))
  t.match(await bob.next((frame: Frame) => frame.type === 'event' && frame.seq > kept.seq), { seq: kept.seq + 1 })
  t.match(await bob.ask({ type: 'ack', seq: letter.seq }), { type: 'ok' })
  t.match(await ann.ask({ type: 'message', to: 'bob', data: 'after' }), { type: 'ok', seq: letter.seq + 1 })
  t.match(await bob.next('message'), { data: 'after' })
  for (const tab of [ann, bob]) t.same(tab.state(room), (await eve.ask({ type: 'get', room })).state)
  t.same(rejections, [])
})

t.test('S8 who came and went while nothing could be written is told of as soon as it can', async (t) => {
  const disk = new Disk(t)
  const rejections = unhandled(t)
  const server = await serverHere(t)
  const tabs = await Promise.all(['ann', 'bob', 'eve'].map((user) => Tab.open(server, user)))
  const [ann, bob, eve] = tabs as [Tab, Tab, Tab]
  const room = 'chat/presence'
  await ann.join(room)
  await bob.join(room)
  await ann.reaches(room, 3)

  const quiet = 'chat/quiet'
  await ann.join(quiet)

  disk.isFull = true
  t.match(await ann.post('finds out', room), { code: 'read_only' })
  await eve.join(room)
  await eve.join(quiet)
  await bob.leave()
  await ann.until(async () => (await ann.ask({ type: 'status' })).type === 'status' && (await isAlone()))
  t.same(ann.state(room).context.online, ['ann', 'bob'], 'as it is on disk')

  disk.isFull = false
  await ann.reaches(room, 5)
  t.same([...ann.state(room).context.online].sort(), ['ann', 'eve'])
  await eve.reaches(room, 5)
  t.same(eve.state(room), ann.state(room))
  t.match(await ann.post('and no more than that', room), { seq: 6 })
  await ann.reaches(quiet, 3)
  t.same(ann.state(quiet).context.online, ['ann', 'eve'], 'also where nobody has left')
  t.same(rejections, [])

  /** Whether the server knows that bob is gone. */
  async function isAlone(): Promise<boolean> {
    return (await server.metric('chartroom_connections{state="open"}')) === 2
  }
})

t.test('L2 R3 what was acknowledged around a full disk is there, once, at its seq, and nothing else', async (t) => {
  const disk = new Disk(t)
  const rejections = unhandled(t)
  const server = await serverHere(t)
  const ann = await Tab.open(server, 'ann')
  const room = 'counter/around'
  const acknowledged: number[] = []
  for (let round = 0; round < 5; round++) {
    ann.burst(Array.from({ length: 60 }, (_, i) => ({ ...increment(room), id: `${round} ${i}` })))
    disk.isFull = true
    for (let i = 0; i < 60; i++) {
      const reply = await ann.next((frame) => frame.id === `${round} ${i}`)
      if (reply.type === 'ok') acknowledged.push(reply.seq)
      else t.match(reply, { code: 'read_only', retry: true })
    }
    disk.isFull = false
    await ann.until(async () => (await ann.ask(increment(room)).then(count)) === 'ok')
  }
  function count(reply: Frame): string {
    if (reply.type === 'ok') acknowledged.push(reply.seq)
    return reply.type
  }
  t.same(
    acknowledged,
    acknowledged.map((_, i) => i + 2),
  )
  const { seq, state } = await ann.ask({ type: 'get', room })
  t.same([seq, state.context.count], [acknowledged.at(-1), acknowledged.length])
  const { events } = await ann.ask({ type: 'history', room, limit: 1000 })
  t.equal(events.length, acknowledged.length + 1)
  t.same(rejections, [])
})

t.test(
  'ROOM-1 R3 an event that throws while the storage refuses writes is answered, and its letter is not told',
  async (t) => {
    const disk = new Disk(t)
    const rejections = unhandled(t)
    const server = await serverHere(t, { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/machines') })
    const tab = await Tab.open(server, 'ann')
    const service = await Service.of(server)
    const letters = async () => ((await service.get('/v1/rooms/faulty/full/dead-letters')) as Frame).letters.length
    const fail = { type: 'send', room: 'faulty/full', event: { type: 'fail.assign' } }
    t.match(await tab.ask({ ...fail, event: { type: 'count' } }), { type: 'ok' })
    t.match(await tab.ask(fail), { code: 'event_failed' })
    disk.isFull = true
    for (let i = 0; i < 6; i++) t.match(await tab.ask(fail), { code: 'read_only' })
    t.equal(await letters(), 1)
    t.match(await service.delete('/v1/rooms/faulty/full/dead-letters/1'), { code: 'read_only' })
    t.match(await service.post('/v1/rooms/faulty/full/dead-letters', { seq: 1 }), { code: 'read_only' })
    disk.isFull = false
    await tab.until(async () => (await tab.ask({ ...fail, event: { type: 'count' } })).type === 'ok')
    t.match(await tab.ask(fail), { code: 'event_failed' }, 'what was not written was no failure')
    t.equal(await letters(), 2)
    t.same(rejections, [])
  },
)

t.test(
  'R1 L5 what throws at birth is answered while the storage refuses writes, and nobody writes for it',
  async (t) => {
    const disk = new Disk(t)
    const server = await serverHere(t, { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/machines') })
    const tab = await Tab.open(server, 'ann')
    const knock = { type: 'send', room: 'stillborn/x', event: { type: 'knock' } }
    disk.isFull = true
    for (let i = 0; i < 4; i++) t.match(await tab.ask(knock), { code: 'event_failed' })
  },
)

t.test('ROOM-1 R4 a room whose dead letters are damaged loses those, and nothing else', async (t) => {
  around(t, LmdbLog, 'getSnapshot', (_log, [topic], whole) =>
    topic === '$dead-letters/faulty/damaged' ? Promise.reject(new DamagedLog('a bit has flipped')) : whole(),
  )
  const server = await serverHere(t, { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/machines') })
  const tab = await Tab.open(server, 'ann')
  const service = await Service.of(server)
  const send = (type: string) => tab.ask({ type: 'send', room: 'faulty/damaged', event: { type } })
  t.match(await send('count'), { type: 'ok' })
  t.match(await send('fail.assign'), { code: 'event_failed' })
  t.match(await service.get('/v1/rooms/faulty/damaged/dead-letters'), { code: 'room_failed' })
  t.match(await service.post('/v1/rooms/faulty/damaged/dead-letters', { seq: 1 }), { code: 'room_failed' })
  t.match(await send('count'), { type: 'ok', seq: 3 })
})
