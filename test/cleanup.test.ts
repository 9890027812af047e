/** After a connection, nothing: however it ended. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import t from 'tap'
import { atRest, isEmpty, population, within1s } from './fixtures/remains.ts'
import { startServer, tokenFor } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

const rawSocket = (tab: Tab): Socket => (tab.socket as unknown as { _socket: Socket })._socket

const anyOf = <T>(some: readonly T[]): T => some[Math.floor(Math.random() * some.length)] as T

const ENDINGS: Record<string, (tab: Tab) => void> = {
  'a clean close': (tab) => tab.socket.close(1000),
  'TCP FIN without a close frame': (tab) => tab.socket.terminate(),
  'TCP reset': (tab) => rawSocket(tab).resetAndDestroy(),
  'TCP reset in the middle of a frame': (tab) => {
    rawSocket(tab).write(Buffer.from([0x81, 0xfe, 0x10]), () => rawSocket(tab).resetAndDestroy())
  },
}

t.test('clean-up', async (t) => {
  const env = { CHARTROOM_SESSION_LINGER: '100', CHARTROOM_CLOCK_TOLERANCE: '0', CHARTROOM_AUTH_TIMEOUT: '300' }
  const server = await startServer(t, { env, probed: true })

  for (const [ending, end] of Object.entries(ENDINGS)) {
    const number = ending === 'TCP reset in the middle of a frame' ? 'CLEAN-4' : 'CLEAN-1'
    t.test(
      `${number} X2 ${ending}: registry, session, room and metrics say one less, room.left comes once`,
      async (t) => {
        const watcher = await Tab.open(server, 'watcher')
        const room = `chat/clean-${ending.replaceAll(' ', '-')}`
        await watcher.join(room)
        const tab = await Tab.open(server, 'ann')
        await tab.join(room)
        await watcher.reaches(room, 3)
        end(tab)
        await watcher.reaches(room, 4)
        t.same(watcher.state(room).context.online, ['watcher'])
        t.ok(await within1s(async () => (await server.metric('chartroom_connections{state="open"}')) === 1))
        t.ok(await within1s(async () => (await server.metric('chartroom_sessions')) === 1))
        t.equal(await server.metric('chartroom_subscriptions'), 1)
        t.equal((await watcher.post('still here', room)).seq, 5, 'room.left came once')
        await watcher.leave()
        t.ok(await within1s(() => isEmpty(server)))
      },
    )
  }

  t.test('CLEAN-2 three closed together: three less', async (t) => {
    const tabs = await Promise.all(['a', 'b', 'c'].map((user) => Tab.open(server, user)))
    t.equal(await server.metric('chartroom_connections{state="open"}'), 3)
    for (const tab of tabs) tab.socket.close(1000)
    t.ok(await within1s(() => isEmpty(server)))
  })

  t.test('CLEAN-3 a connect that never authenticates leaves nothing, nor does one that comes and goes', async (t) => {
    const idle = (await population(server)).deadlines
    const tab = await Tab.open(server, '', { token: null })
    t.equal(await server.metric('chartroom_connections{state="connecting"}'), 1)
    t.equal((await tab.close()).code, 4008)
    const other = await Tab.open(server, 'ann')
    await other.leave()
    t.ok(await within1s(() => isEmpty(server)))
    t.ok(await within1s(async () => (await population(server)).deadlines === idle), 'every deadline is gone')
  })

  t.test('CLEAN-7 a token that expires closes 4201 and leaves nothing', async (t) => {
    const tab = await Tab.open(server, 'ann', { token: await tokenFor('ann', { life: 1 }) })
    await tab.join('chat/expiry')
    t.equal((await tab.close()).code, 4201)
    t.ok(await within1s(() => isEmpty(server)))
  })

  /** Clients that join, change something, and end, each in a way of its own. */
  const cycle = async (clients: number, ends = Object.values(ENDINGS)) => {
    const users = Array.from({ length: clients }, (_, i) => `cycle${i}`)
    const tabs = await Promise.all(users.map((user) => Tab.open(server, user)))
    await Promise.all(tabs.map((tab) => tab.join('counter/cycle')))
    await Promise.all(tabs.map((tab) => tab.ask({ type: 'send', room: 'counter/cycle', event: { type: 'increment' } })))
    const closes = tabs.map((tab) => once(tab.socket, 'close'))
    for (const tab of tabs) anyOf(ends)(tab)
    await Promise.all(closes)
  }

  t.test(
    'CLEAN-10 1,000 that connect, send and close: files, timers and actors are exactly what they were',
    async (t) => {
      t.setTimeout(60_000)
      const counted = async () => {
        const { fds, sockets, resources } = await atRest(server)
        const { deadlines, ...living } = await population(server)
        const ofConnections = deadlines - (await server.metric('chartroom_rooms'))
        return { fds, sockets, resources, ...living, ofConnections }
      }
      await cycle(20)
      t.ok(await within1s(() => isEmpty(server)))
      const before = await counted()
      for (let i = 0; i < 50; i++) await cycle(20, [(tab) => tab.socket.close(1000)])
      t.ok(await within1s(() => isEmpty(server)))
      t.same(await counted(), before)
      t.equal((await (await Tab.open(server, 'after')).ask({ type: 'get', room: 'counter/cycle' })).type, 'snapshot')
    },
  )
})

t.test('CLEAN-9 S8 100 that end at random, some in silence: no ghost in registry, rooms or presence', async (t) => {
  const env = {
    CHARTROOM_SESSION_LINGER: '100',
    CHARTROOM_HEARTBEAT_INTERVAL: '500',
    CHARTROOM_HEARTBEAT_TIMEOUT: '500',
  }
  const server = await startServer(t, { env })
  const watcher = await Tab.open(server, 'watcher')
  await watcher.join('chat/ghosts')
  const ends = [...Object.values(ENDINGS), (tab: Tab) => rawSocket(tab).pause()]
  const users = Array.from({ length: 100 }, (_, i) => `ghost${i}`)
  const leave = async (user: string) => {
    const tab = await Tab.open(server, user)
    await tab.join('chat/ghosts')
    anyOf(ends)(tab)
    t.teardown(() => tab.socket.terminate())
  }
  await Promise.all(users.map(leave))
  await watcher.reaches('chat/ghosts', 1 + 1 + 2 * users.length)
  t.same(watcher.state('chat/ghosts').context.online, ['watcher'], 'presence')
  t.equal((await watcher.post('alone', 'chat/ghosts')).seq, 1 + 1 + 2 * users.length + 1, 'each left once')
  const figures = ['connections{state="open"}', 'connections{state="closing"}', 'sessions', 'subscriptions']
  const living = () => Promise.all(figures.map((name) => server.metric(`chartroom_${name}`)))
  await within1s(async () => `${await living()}` === '1,0,1,1')
  t.same(await living(), [1, 0, 1, 1], 'registry, sessions and rooms hold the watcher alone')
})

t.test('CLEAN-5 X1 SIGTERM under load: all are told, all that was acknowledged is there, exit 0', async (t) => {
  const server = await startServer(t)
  const tabs = await Promise.all(Array.from({ length: 100 }, (_, i) => Tab.open(server, `user${i}`)))
  const oks = new Map<Tab, number>()
  const talk = async (tab: Tab, i: number) => {
    while (!tab.closed) {
      const { seq } = await tab.ask({ type: 'send', room: `counter/drain${i % 5}`, event: { type: 'increment' } })
      oks.set(tab, seq)
    }
  }
  const talking = tabs.map((tab, i) => talk(tab, i).catch(() => {}))
  await tabs[0]?.until(async () => oks.size === tabs.length)
  t.equal(await server.end('SIGTERM'), 0)
  await Promise.all(talking)
  const closings = tabs.map((tab) => tab.frames.find((frame) => frame.type === 'closing'))
  for (const [i, closing] of closings.entries()) {
    t.match(closing, { code: 1001, reconnect: true, retryAfter: Number })
    t.equal((await tabs[i]?.close())?.code, 1001)
  }
  await server.start()
  const back = await Tab.open(server, 'ann')
  for (let room = 0; room < 5; room++) {
    const { seq } = await back.ask({ type: 'get', room: `counter/drain${room}` })
    const acknowledged = tabs.filter((_, i) => i % 5 === room).map((tab) => oks.get(tab) ?? 0)
    t.ok(seq >= Math.max(...acknowledged))
  }
})
