/** A log that was damaged while nobody looked: what a server that starts on it serves, and what it refuses. */
import { execFile } from 'node:child_process'
import { cpSync, openSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { Custody } from '../src/log/custody.ts'
import { readEntry, segmentKey } from '../src/log/lmdb-store.ts'
import { flip, tamper } from './fixtures/damage.ts'
import { Gate, holdBack, serverHere } from './fixtures/here.ts'
import { ROOT, ServerProcess, startServer } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { Tab } from './fixtures/tab.ts'
import { sendAll, withBusyServer } from './torture/disk-bound.ts'

const LOOKING = /the log is not as a clean stop leaves it/
const RESTORE = /Restore a backup: npx chartroom log restore <backup> --data /

/** A number that nothing but one event of a counter holds. */
const SPOILED = 123_456_789

/** A server that took some events into `counter/spoiled` and `counter/well`, and was ended by `signal`. */
async function storedAndEnded(t: Test, signal: NodeJS.Signals): Promise<ServerProcess> {
  const server = await startServer(t)
  const tab = await Tab.open(server, 'ann')
  for (const room of ['counter/spoiled', 'counter/well']) {
    const by = room === 'counter/spoiled' ? SPOILED : 1
    t.match(await tab.ask({ type: 'send', room, event: { type: 'increment', by } }), { type: 'ok', seq: 2 })
    const increments = Array.from({ length: 110 }, (_, id) => ({
      type: 'send',
      room,
      event: { type: 'increment' },
      id,
    }))
    tab.burst(increments)
    await tab.next(({ id }) => id === 109)
  }
  await server.end(signal)
  server.stdout = ''
  server.stderr = ''
  return server
}

/** What a server left behind that was killed; each test has a copy. */
let killed: ServerProcess
t.before(async () => {
  killed = await storedAndEnded(t, 'SIGKILL')
})

/** A server that is not started yet, on a copy of that, which `damage` changes. */
async function killedServer(t: Test, damage: (data: string) => unknown, env = {}): Promise<ServerProcess> {
  const server = new ServerProcess({ env })
  t.teardown(() => server.dispose())
  cpSync(killed.data, server.data, { recursive: true })
  await damage(server.data)
  return server
}

/** Changes a bit of an event that stands before the newest snapshot of `counter/spoiled`. */
const spoil = (data: string): void => flip(join(data, 'log.mdb'), `"by":${SPOILED}`)

t.test('CUST-1 a log is looked at after kill -9, and whenever it is not as a clean stop left it', async (t) => {
  const server = await killedServer(t, () => {})
  await server.start()
  t.match(server.stderr, LOOKING, 'after kill -9')
  for (const change of ['', 'touched']) {
    t.equal(await server.end('SIGTERM'), 0)
    if (change) utimesSync(join(server.data, 'log.mdb'), 1, 1)
    server.stderr = ''
    server.stdout = ''
    await server.start()
    if (change) t.match(server.stderr, LOOKING, 'after somebody else wrote to it')
    else t.notMatch(server.stderr, LOOKING, 'after a clean stop')
  }
})

t.test('CUST-2 ERR-12 a room whose record is spoiled is set aside, and the others are served', async (t) => {
  const server = await killedServer(t, spoil)
  await server.start()
  const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
  const room = 'counter/spoiled'
  const frames = [
    { type: 'join', room },
    { type: 'get', room },
    { type: 'history', room },
    { type: 'send', room, event: { type: 'increment' } },
  ]
  for (const frame of frames)
    t.match(await ann.ask(frame), { type: 'error', code: 'room_failed', retry: true }, frame.type)
  await bob.join('counter/well')
  t.match(await bob.ask({ type: 'send', room: 'counter/well', event: { type: 'increment' } }), { type: 'ok', seq: 113 })
  t.equal(bob.state('counter/well').context.count, 112)
  const response = await (await Service.of(server)).fetch('GET', '/v1/rooms/counter/spoiled')
  t.equal(response.status, 503)
  t.match(await server.said(/is set aside/), /"topic":"counter\/spoiled"/)

  t.equal(await server.end('SIGTERM'), 0)
  server.stderr = ''
  await server.start()
  t.match(server.stderr, LOOKING, 'what is not sound is looked at at every start')
})

t.test('CUST-8 a room of which a past state is spoiled is served, and that is told', async (t) => {
  const server = await killedServer(t, (data) =>
    tamper(data, ({ snapshots, topics }) => {
      const { id } = readEntry('counter/spoiled', topics.get('counter/spoiled') as Buffer)
      snapshots.putSync(segmentKey(id, 50), Buffer.from('nonsense'))
    }),
  )
  await server.start()
  const ann = await Tab.open(server, 'ann')
  for (const room of ['counter/spoiled', 'counter/well'])
    t.match(await ann.ask({ type: 'send', room, event: { type: 'increment' } }), { type: 'ok', seq: 113 })
  t.match(await server.said(/a past state of a topic is damaged/), /"topic":"counter\/spoiled"/)
  t.equal(await server.end('SIGTERM'), 0)
  server.stderr = ''
  await server.start()
  t.match(server.stderr, LOOKING, 'what is not sound is looked at at every start')
})

const environmentDamages: Record<string, (file: string) => void> = {
  'its first pages are zeros': (file) => {
    writeSync(openSync(file, 'r+'), Buffer.alloc(8192), 0, 8192, 0)
  },
  'it ends in the middle': (file) => truncateSync(file, Math.floor(statSync(file).size / 8192) * 4096),
  'pages within it are overwritten': (file) => {
    const bytes = readFileSync(file)
    bytes.fill(0x5a, 16_384)
    writeFileSync(file, bytes)
  },
}

t.test('CUST-3 a damaged file is not served from, and the way back is told', async (t) => {
  for (const [what, damage] of Object.entries(environmentDamages)) {
    const server = await killedServer(t, (data) => damage(join(data, 'log.mdb')))
    await isRefused(t, server, what)
  }
})

t.test('CUST-3 nor is one that was damaged after a clean stop', async (t) => {
  const server = await storedAndEnded(t, 'SIGTERM')
  environmentDamages['its first pages are zeros']?.(join(server.data, 'log.mdb'))
  await isRefused(t, server, 'its first pages are zeros')
})

async function isRefused(t: Test, server: ServerProcess, what: string): Promise<void> {
  await t.rejects(server.start(), { message: /^the server ended with 1: / }, `${what}: no crash`)
  t.match(server.stderr, RESTORE, what)
  t.notMatch(server.stderr, / at .*\.ts/, 'and no stack')
}

t.test('CUST-4 a server whose revocations cannot be read does not start', async (t) => {
  const server = await startServer(t)
  const service = await Service.of(server)
  t.match(await service.delete('/v1/tokens/a-token-id-of-its-own'), { type: 'ok' })
  await server.end('SIGKILL')
  flip(join(server.data, 'log.mdb'), 'a-token-id-of-its-own')
  server.stderr = ''
  await t.rejects(server.start(), { message: /^the server ended with 1: / })
  t.match(server.stderr, /\$revocations/)
  t.match(server.stderr, RESTORE)
})

t.test('CUST-5 looking at a log while a server writes to it finds nothing', async (t) => {
  const verdicts: string[] = []
  await withBusyServer(500, async (server) => {
    let isOver = false
    const sending = sendAll(server, 4000, () => {}).finally(() => {
      isOver = true
    })
    const verify = promisify(execFile)
    while (!isOver || verdicts.length < 2) {
      const { stdout } = await verify(process.execPath, ['bin/chartroom.js', 'log', 'verify', '--data', server.data], {
        cwd: ROOT,
      })
      verdicts.push(stdout)
    }
    t.strictSame((await sending).refused, [])
  })
  t.strictSame(
    verdicts.filter((verdict) => !verdict.endsWith('everything is sound\n')),
    [],
  )
})

t.test('CUST-6 ERR-12 damage that is found late fails a room that is active, with all who are in it', async (t) => {
  const { data } = await killedServer(t, spoil)
  const gate = new Gate()
  const told = new Promise<void>((resolve) => {
    holdBack(t, Custody.prototype, 'found', (_self, [damage]) => {
      t.match(damage, { topic: 'counter/spoiled' })
      void gate.opened.then(resolve)
      return gate
    })
  })
  const server = await serverHere(t, { CHARTROOM_DATA: data })
  const [ann, bob, cy] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob'), await Tab.open(server, 'cy')]
  const increment = (room: string) => ({ type: 'send', room, event: { type: 'increment' } })
  for (const tab of [ann, bob]) await tab.join('counter/spoiled')
  await cy.join('counter/well')
  t.match(await ann.ask(increment('counter/spoiled')), { type: 'ok', seq: 113 }, 'it goes on until the damage is found')
  gate.open()
  await told
  const [failed, ok] = await Promise.all([ann.ask(increment('counter/spoiled')), cy.ask(increment('counter/well'))])
  t.match(failed, { type: 'error', code: 'room_failed', retry: true })
  t.match(ok, { type: 'ok', seq: 113 }, 'a room of the same tick is none the worse')
  for (const tab of [ann, bob]) {
    const notice = await tab.next(({ type, id }) => type === 'error' && id === undefined)
    t.match(notice, { code: 'room_failed', retry: true, room: 'counter/spoiled' })
    t.same((await tab.ask({ type: 'status' })).rooms, [])
    t.match(await tab.ask({ type: 'join', room: 'counter/spoiled' }), { code: 'room_failed' })
  }
})

t.test(
  'CUST-7 a server ends with the advice when the file is not sound, whether that is found before it serves or after',
  async (t) => {
    const orphan = (data: string) =>
      tamper(data, ({ segments }) => void segments.putSync(segmentKey(99, 1), Buffer.from('of no topic')))
    const server = await killedServer(t, orphan, { CHARTROOM_INSPECTION_BUDGET: '0' })
    await server.start().catch((error: Error) => t.match(error.message, /^the server ended with 1: /))
    t.equal(await server.ended(), 1)
    t.match(server.stderr, RESTORE)
    t.match(server.stderr, /belongs to no topic/)
  },
)
