/** The kit that users test with, `chartroom/testing`: a server here, its clock, its tabs. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startServer, type TestServer } from '../src/testing/index.ts'
import { CertificateFolder } from './fixtures/certificate.ts'
import { ROOT } from './fixtures/server.ts'

const SECOND = 1000
const DAY = 24 * 60 * 60 * SECOND

async function kitServer(t: Test, options: Parameters<typeof startServer>[0] = {}): Promise<TestServer> {
  const server = await startServer({ machines: join(ROOT, 'test/fixtures/machines'), ...options })
  t.teardown(() => server.stop())
  return server
}

t.test('two tabs of two users see the same, and the log is gone with the server', async (t) => {
  const server = await startServer()
  const ann = await server.tab('ann')
  const bob = await server.tab('bob', { token: await server.token('bob', { claims: { colour: 'red' } }) })
  for (const tab of [ann, bob]) await tab.join('counter/here')
  t.match(await ann.emit('counter/here', { type: 'increment', by: 2 }), { type: 'ok', seq: 2 })
  await bob.sees('counter/here', ({ context }) => context.count === 2)
  t.equal(existsSync(server.data), true)
  await server.stop()
  t.match(await bob.close(), { code: 1001 })
  t.equal(existsSync(server.data), false)
})

t.test(
  'S6 S9 a move fires each delay on the way at its own time, also one that another has set, and in rooms that sleep',
  async (t) => {
    const server = await kitServer(t)
    const ann = await server.tab('ann')
    await ann.join('relay/watched')
    for (const room of ['relay/watched', 'relay/asleep']) await ann.emit(room, { type: 'go' })
    const before = server.clock.now
    await server.clock.move(DAY)
    t.ok(server.clock.now - before >= DAY)
    await ann.sees('relay/watched', ({ value }) => value === 'goal')
    await ann.join('relay/asleep')
    for (const room of ['relay/watched', 'relay/asleep']) {
      const [start, ...posts] = ann.state(room).context.at
      t.same(
        posts.map((at: number) => Math.round((at - start) / SECOND)),
        [3600, 7200],
        room,
      )
    }
  },
)

t.test('S6 a move that ends before a delay is due leaves it', async (t) => {
  const server = await kitServer(t)
  const ann = await server.tab('ann')
  await ann.join('relay/here')
  await ann.emit('relay/here', { type: 'go' })
  await server.clock.move(3_599 * SECOND)
  t.equal(ann.state('relay/here').value, 'first')
  await server.clock.move(2 * SECOND)
  await ann.sees('relay/here', ({ value }) => value === 'second')
})

t.test('A3 a token ends when its time is moved over', async (t) => {
  const server = await kitServer(t)
  const ann = await server.tab('ann', { token: await server.token('ann', { life: 60 }) })
  await server.clock.move(70 * SECOND)
  t.match(await ann.close(), { code: 4201 })
})

t.test('L2 a restart finds what was stored, at the same address', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const { url } = server
  const ann = await server.tab('ann')
  await ann.emit('counter/here', { type: 'increment' })
  await server.restart()
  t.equal(server.url, url)
  const back = await server.tab('ann')
  await back.join('counter/here')
  t.same(back.state('counter/here').context, { count: 1 })
})

t.test(
  'TLS-1 with a certificate the address is one of TLS, and a tab trusts that certificate and no other',
  async (t) => {
    const files = new CertificateFolder(t)
    files.make()
    const server = await kitServer(t, { tlsCert: files.cert, tlsKey: files.key })
    t.match(server.url, /^wss:\/\/127\.0\.0\.1:\d+\/ws$/)
    const ann = await server.tab('ann')
    t.match(await ann.ask({ type: 'ping' }), { type: 'pong' })
    await t.rejects(server.tab('bob', { ca: new CertificateFolder(t).make() }), /certificate/)
  },
)

t.test('a folder that was named stays', async (t) => {
  const data = mkdtempSync(join(tmpdir(), 'chartroom-test-'))
  t.teardown(() => rmSync(data, { recursive: true }))
  const server = await startServer({ data })
  await server.stop()
  t.equal(existsSync(data), true)
})

t.test('time is what it is once the last server has stopped', async (t) => {
  const now = Date.now
  const [one, other] = [await startServer(), await startServer()]
  await one.clock.move(DAY)
  await one.stop()
  t.ok(Date.now() - now() > DAY - 60 * SECOND, 'the other is still there')
  await other.stop()
  t.equal(Date.now, now)
})

t.test('a mistake in an option or a machine file is told, and nothing is left', async (t) => {
  await t.rejects(startServer({ machines: '/nowhere' }), /\/nowhere/)
  await t.rejects(async () => startServer({ maxLag: 1 }), /maxLag/)
  const [first, data] = [await startServer(), mkdtempSync(join(tmpdir(), 'chartroom-test-'))]
  t.teardown(() => first.stop())
  t.teardown(() => rmSync(data, { recursive: true }))
  await t.rejects(startServer({ data, machines: '/nowhere' }), /\/nowhere/)
  await t.rejects(startServer({ data, port: first.port }), /is taken/)
  await t.rejects(startServer({ data, port: first.port, machines: `${ROOT}/test/fixtures/machines` }), /is taken/)
  const second = await startServer({ data })
  await second.stop()
})
