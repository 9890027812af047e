/** The inspector's feed over real sockets and a real log: who gets in, what is seen, and what it never does. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import jsonpatch from 'fast-json-patch'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { Journal } from '../src/connection/journal.ts'
import { failure } from '../src/errors.ts'
import { Census, type CensusSurroundings } from '../src/inspect/census.ts'
import { ChartIndex } from '../src/inspect/configuration.ts'
import { Feed } from '../src/inspect/feed.ts'
import { fork, type Grounds } from '../src/inspect/fork.ts'
import { isOurs } from '../src/inspect/gate.ts'
import { Inspector } from '../src/inspect/inspector.ts'
import { LifeSight } from '../src/inspect/life-sight.ts'
import { Lookout } from '../src/inspect/lookout.ts'
import { Moments } from '../src/inspect/moments.ts'
import { type OverviewSurroundings, Overviews } from '../src/inspect/overview.ts'
import { serverCharts } from '../src/inspect/own-charts.ts'
import { Population, type PopulationSurroundings } from '../src/inspect/population.ts'
import { Redactor } from '../src/inspect/redact.ts'
import { RoomSight } from '../src/inspect/room-sight.ts'
import type { Chart } from '../src/inspect/shapes.ts'
import type { Sight } from '../src/inspect/sight.ts'
import { Watch } from '../src/inspect/watch.ts'
import { segmentKey } from '../src/log/lmdb-store.ts'
import { DamagedLog, encodeLine, type Log } from '../src/log/log.ts'
import { openLmdbLog } from '../src/log/log-lmdb.ts'
import { MemoryLog } from '../src/log/log-memory.ts'
import { createLogger } from '../src/logger.ts'
import type { RoomDocument } from '../src/machine/document.ts'
import { diff } from '../src/patch.ts'
import { recover } from '../src/room/recovery.ts'
import type { Rooms } from '../src/room/rooms.ts'
import { asWritten, blocks } from './fixtures/as-written.ts'
import { tamper } from './fixtures/damage.ts'
import { around, Gate, holdBack, serverHere } from './fixtures/here.ts'
import { ROOT, type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

const MACHINES = { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/inspected') }
const SUBPROTOCOL = 'chartroom.inspect.v1'

interface Door {
  readonly headers?: Record<string, string>
  readonly protocols?: string[]
}

function knock(t: Test, { port }: ServerProcess, { headers = {}, protocols = [SUBPROTOCOL] }: Door = {}): Tab {
  const look = new Tab(new WebSocket(`ws://127.0.0.1:${port}/inspect/feed`, protocols, { headers }))
  t.teardown(() => look.socket.terminate())
  return look
}

/** One who is in. */
async function look(t: Test, server: ServerProcess, door: Door = {}): Promise<Tab> {
  const look = knock(t, server, door)
  await look.next('welcome')
  return look
}

/** The HTTP status with which an upgrade is refused. */
async function refusal(t: Test, server: ServerProcess, door: Door): Promise<number> {
  const { socket } = knock(t, server, door)
  const [, response] = await once(socket, 'unexpected-response')
  return response.statusCode
}

const bearer = async (user: string, scope: string, claims: object = {}): Promise<Record<string, string>> => ({
  authorization: `Bearer ${await tokenFor(user, { claims: { scope, ...claims } })}`,
})

/** Sends an event to a room, as one of its users does. */
async function send(tab: Tab, room: string, type: string, given: object = {}): Promise<Frame> {
  return tab.ask({ type: 'send', room, event: { type, ...given } })
}

const http = (server: ServerProcess, path: string, headers: Record<string, string> = {}) =>
  new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    get({ host: '127.0.0.1', port: server.port, path, headers }, async (response) => {
      let body = ''
      for await (const chunk of response) body += chunk
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body })
    }).on('error', reject)
  })

/** The next export waits at the `passage`, once it has `reached` it. */
function holdNextExport(t: Test): { reached: Gate; passage: Gate } {
  const [reached, passage] = [new Gate(), new Gate()]
  t.teardown(() => passage.open())
  holdBack(t, Feed.prototype, 'export', () => {
    reached.open()
    return passage
  })
  return { reached, passage }
}

t.test('the gate in production', async (t) => {
  const server = await serverHere(t, { ...MACHINES, NODE_ENV: 'production', CHARTROOM_AUTH_TIMEOUT: '300' })

  t.test('C1 a token with the scope comes as a header, as a subprotocol, or as the first frame', async (t) => {
    const headers = await bearer('ann', 'inspect')
    t.match(await look(t, server, { headers }).then(({ frames }) => frames[0]), {
      type: 'welcome',
      v: 1,
      maySend: false,
    })
    const token = await tokenFor('ann', { claims: { scope: 'inspect inspect:send' } })
    const browser = await look(t, server, { protocols: [SUBPROTOCOL, `bearer.${token}`] })
    t.match(browser.frames[0], { type: 'welcome', maySend: true })
    t.equal(browser.socket.protocol, SUBPROTOCOL, 'the token is not echoed')
    const late = knock(t, server)
    await once(late.socket, 'open')
    t.match(await late.ask({ type: 'actors' }), { type: 'error', code: 'not_in_state', allowed: ['auth'] })
    late.send({ type: 'auth', token })
    t.match(await late.next('welcome'), { maySend: true })
    t.match(await late.ask({ type: 'actors' }), { type: 'actors', more: false })
  })

  t.test('C2 a token that is refused, or has not the scope, opens nothing', async (t) => {
    t.equal(await refusal(t, server, { headers: { authorization: 'Bearer nonsense' } }), 401)
    t.equal(await refusal(t, server, { headers: await bearer('ann', 'service') }), 403)
    const late = knock(t, server)
    await once(late.socket, 'open')
    late.send({ type: 'auth', token: await tokenFor('ann') })
    t.match(await late.next('error'), { code: 'forbidden' })
    t.equal((await late.close()).code, 4003)
  })

  t.test('C3 without a token nothing is told, and the socket is closed', async (t) => {
    const silent = knock(t, server)
    t.equal((await silent.close()).code, 4008)
    t.same(
      silent.frames.map(({ type }) => type),
      ['closing'],
    )
  })

  t.test('C4 a foreign Origin is refused, whatever token it brings; a plain GET is told what this is', async (t) => {
    const headers = { ...(await bearer('ann', 'inspect')), origin: 'http://evil.example' }
    t.equal(await refusal(t, server, { headers }), 403)
    t.equal((await http(server, '/inspect/feed')).status, 426)
  })

  t.test('an export needs the scope as well', async (t) => {
    t.equal((await http(server, '/inspect/export/light/a')).status, 401)
    t.equal((await http(server, '/inspect/export/light/a', await bearer('ann', 'service'))).status, 403)
    t.equal(
      (await http(server, '/inspect/export/light/a', await bearer('ann', 'inspect'))).status,
      404,
      'nothing is stored of it',
    )
  })

  t.test('only inspect:send may send, as the user of the token', async (t) => {
    const room = 'light/sent'
    const eye = await look(t, server, { headers: await bearer('ann', 'inspect') })
    t.match(await eye.ask({ type: 'send', room, event: { type: 'switch' } }), { code: 'forbidden' })
    const hand = await look(t, server, { headers: await bearer('ann', 'inspect inspect:send') })
    t.match(await hand.ask({ type: 'send', room, event: { type: 'switch' } }), { type: 'ok', seq: 2 })
    t.match(await eye.ask({ type: 'history', actor: `room:${room}` }), {
      steps: [{ from: 'ann' }, { from: 'ann', event: { type: 'switch' } }],
    })
    const mallory = await look(t, server, { headers: await bearer('mallory', 'inspect inspect:send') })
    const event = { type: 'close', pin: '1' }
    t.match(
      await mallory.ask({ type: 'send', room: 'vault/m', event }),
      { code: 'forbidden' },
      'the room’s own rules hold',
    )
  })

  t.test('only inspect:send may fork, since a fork tells what is hidden', async (t) => {
    const ask = { type: 'fork', actor: 'room:light/sent', seq: 1, events: [{ type: 'switch' }] }
    const eye = await look(t, server, { headers: await bearer('ann', 'inspect') })
    t.match(await eye.ask(ask), { code: 'forbidden' })
    const hand = await look(t, server, { headers: await bearer('ann', 'inspect inspect:send') })
    t.match(await hand.ask(ask), { type: 'fork', steps: [{ accepted: true }] })
  })

  t.test('A3 A4 one whose token expires or is revoked is out', async (t) => {
    const short = await look(t, server, { headers: await bearer('ann', 'inspect', { exp: Date.now() / 1000 - 4 }) })
    t.equal((await short.close()).code, 4201)
    const revoked = await look(t, server, { headers: await bearer('eve', 'inspect', { jti: 'one' }) })
    const headers = await bearer('operator', 'service')
    await fetch(`http://127.0.0.1:${server.port}/v1/tokens/one`, { method: 'DELETE', headers })
    t.equal((await revoked.close()).code, 4010)
  })

  t.test('there are sixteen visitors at most, and a place that is given up is free', async (t) => {
    const headers = await bearer('ann', 'inspect')
    const doors = await serverHere(t, { ...MACHINES, NODE_ENV: 'production' })
    const all = await Promise.all(Array.from({ length: 16 }, () => look(t, doors, { headers })))
    t.equal(await refusal(t, doors, { headers }), 503)
    await all[0]?.leave()
    t.match((await look(t, doors, { headers })).frames[0], { type: 'welcome' })
  })
})

t.test('those who wait for their token to come take no place from those who have one', async (t) => {
  const production = { ...MACHINES, NODE_ENV: 'production' }
  const headers = await bearer('ann', 'inspect')

  t.test('silent strangers, until there are as many as may wait', async (t) => {
    const server = await serverHere(t, production)
    const strangers = Array.from({ length: 32 }, () => knock(t, server))
    await Promise.all(strangers.map(({ socket }) => once(socket, 'open')))
    t.equal(await refusal(t, server, {}), 503, 'nobody else may wait')
    t.match((await look(t, server, { headers })).frames[0], { type: 'welcome' })
    const [stranger] = strangers
    await stranger?.leave()
    await once(knock(t, server).socket, 'open')
  })

  t.test('a token that comes late finds a seat, or that there is none', async (t) => {
    const server = await serverHere(t, production)
    const [late, latest] = [knock(t, server), knock(t, server)]
    await Promise.all([late, latest].map(({ socket }) => once(socket, 'open')))
    await Promise.all(Array.from({ length: 15 }, () => look(t, server, { headers })))
    const token = await tokenFor('ann', { claims: { scope: 'inspect' } })
    late.send({ type: 'auth', token })
    await late.next('welcome')
    t.match(await late.ask({ type: 'auth', token }), { type: 'ok' }, 'who has a seat keeps it')
    latest.send({ type: 'auth', token })
    t.match(await latest.next('error'), { code: 'overloaded' })
    t.equal((await latest.close()).code, 4103)
  })

  t.test('the limits on one address hold as well', async (t) => {
    const limits = { CHARTROOM_MAX_CONNECTIONS_PER_ADDRESS: '2', CHARTROOM_MAX_AUTH_FAILURES_PER_ADDRESS: '1' }
    const server = await serverHere(t, { ...production, ...limits })
    const [one] = await Promise.all([look(t, server, { headers }), look(t, server, { headers })])
    t.equal(await refusal(t, server, { headers }), 429)
    await one?.leave()
    t.equal(await refusal(t, server, { headers: { authorization: 'Bearer nonsense' } }), 401)
    t.equal(await refusal(t, server, { headers }), 429, 'after a refused token')
  })
})

t.test('the gate in development', async (t) => {
  const server = await serverHere(t, { ...MACHINES, CHARTROOM_AUTH_TIMEOUT: '100' })

  t.test('whoever sits at this machine gets in, from a page of the same host as well', async (t) => {
    t.match((await look(t, server)).frames[0], { type: 'welcome', maySend: true })
    const host = `localhost:${server.port}`
    await look(t, server, { headers: { host, origin: `http://${host}` } })
    await look(t, server, { headers: { host: `[::1]:${server.port}` } })
  })

  t.test('a page of another site does not, by its Origin or by a name of its own', async (t) => {
    t.equal(await refusal(t, server, { headers: { origin: 'http://evil.example' } }), 403)
    t.equal(await refusal(t, server, { headers: { origin: `http://127.0.0.1:${server.port + 1}` } }), 403)
    const host = `evil.example:${server.port}`
    const rebound = knock(t, server, { headers: { host, origin: `http://${host}` } })
    t.equal((await rebound.close()).code, 4008, 'the gate waits for a token')
    t.equal((await http(server, '/inspect/export/light/a', { host })).status, 401)
  })

  t.test('what a proxy passes on comes from elsewhere, whichever header says so, an empty one as well', async (t) => {
    const passedOn = knock(t, server, { headers: { 'x-forwarded-for': '192.0.2.1' } })
    t.equal((await passedOn.close()).code, 4008)
    const headers = ['Forwarded', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-Real-IP', 'Via']
    for (const name of [...headers, 'CF-Connecting-IP', 'True-Client-IP'])
      for (const value of ['1.1 proxy', ''])
        t.equal((await http(server, '/inspect/export/light/a', { [name]: value })).status, 401, `${name}: ${value}`)
  })

  t.test('with trustProxy as well, also where the header says that it is this machine', async (t) => {
    const other = await serverHere(t, { ...MACHINES, CHARTROOM_TRUST_PROXY: '1' })
    const status = async (headers: Record<string, string>) =>
      (await http(other, '/inspect/export/light/a', headers)).status
    t.equal(await status({ 'x-forwarded-for': '127.0.0.1' }), 401)
    t.equal(await status({}), 404)
  })

  t.test('a page of another site cannot set off an export, by an image or a link', async (t) => {
    const status = async (site: string) =>
      (await http(server, '/inspect/export/light/a', { 'sec-fetch-site': site })).status
    t.same([await status('cross-site'), await status('same-site'), await status('something')], [401, 401, 401])
    t.same([await status('same-origin'), await status('none')], [404, 404], 'one’s own gets in')
    for (const path of ['', '/', '/page.js', '/none', '/feed', '/export/light/a'])
      t.match((await http(server, `/inspect${path}`)).headers, { 'cross-origin-resource-policy': 'same-origin' }, path)
  })

  t.test('one export is made at a time; the next is told to come back', async (t) => {
    const { reached, passage } = holdNextExport(t)
    const first = http(server, '/inspect/export/light/a')
    await reached.opened
    t.match(await http(server, '/inspect/export/light/a'), { status: 503, headers: { 'retry-after': '1' } })
    passage.open()
    t.equal((await first).status, 404)
    t.equal((await http(server, '/inspect/export/light/a')).status, 404, 'nothing stands in the way any more')
  })

  t.test('an Origin on the list is let in, but not without a token', async (t) => {
    const other = await serverHere(t, { ...MACHINES, CHARTROOM_ORIGINS: '*', CHARTROOM_AUTH_TIMEOUT: '100' })
    const stranger = knock(t, other, { headers: { origin: 'http://evil.example' } })
    t.equal((await stranger.close()).code, 4008)
  })

  t.test('the page’s own origin needs no place on the list', async (t) => {
    const other = await serverHere(t, { ...MACHINES, CHARTROOM_ORIGINS: 'https://app.example' })
    await look(t, other, { headers: { origin: `http://127.0.0.1:${other.port}` } })
    t.equal(await refusal(t, other, { headers: { origin: 'http://evil.example' } }), 403)
  })

  t.test('this machine’s addresses, as sockets write them', async (t) => {
    for (const ours of ['127.0.0.1', '127.9.9.9', '::1', '0000:0000:0000:0000:0000:0000:0000:0001', '::ffff:127.0.0.1'])
      t.ok(isOurs(ours), ours)
    for (const other of ['10.0.0.1', '::', '0000:0000:0000:0000:0000:ffff:0a00:0001', '', 'localhost'])
      t.notOk(isOurs(other), other)
  })
})

t.test('the feed', async (t) => {
  const server = await serverHere(t, MACHINES)
  const ann = await Tab.open(server, 'ann')

  t.test('what is not understood is answered, and the socket lives', async (t) => {
    const eye = await look(t, server)
    t.match(await eye.ask({ type: 'dance' }), { code: 'unknown_type' })
    t.match(await eye.ask({ type: 'watch' }), { code: 'bad_frame', path: '/actor' })
    t.match(await eye.ask({ type: 'watch', actor: 'inbox:ann' }), { code: 'bad_frame', path: '/actor' })
    t.match(await eye.ask({ type: 'watch', actor: 'room:nothing/a' }), { code: 'unknown_machine' })
    t.match(await eye.ask({ type: 'watch', actor: 'room:light/a b' }), { code: 'bad_room' })
    t.match(await eye.ask({ type: 'watch', actor: 'room:light/unborn' }), { code: 'unknown_seq' })
    t.match(await eye.ask({ type: 'watch', actor: 'connection:c_none' }), { code: 'unknown_type' })
    t.match(await eye.ask({ type: 'chart', machine: 'none' }), { code: 'unknown_machine' })
    t.match(await eye.ask({ type: 'unwatch', actor: 'room:light/a' }), { code: 'not_joined' })
    eye.socket.send('{')
    t.match(await eye.next('error'), { code: 'bad_json' })
    t.match(await eye.ask({ type: 'chart', machine: 'x'.repeat(70_000) }), { code: 'too_large' })
    t.match(
      await eye.ask({ type: 'watch', actor: 'session:a\nb' }),
      { code: 'unknown_type' },
      'a name may have two lines',
    )
    t.match(await eye.ask({ type: 'chart', machine: 'light' }), { chart: { kind: 'room', root: { id: 'light' } } })
    t.match(await eye.ask({ type: 'chart', machine: 'session' }), { chart: { kind: 'session' } })
  })

  t.test('a watch begins with a state, then has each step once and in order, up to what the room is', async (t) => {
    const room = 'light/watched'
    await send(ann, room, 'switch')
    const eye = await look(t, server)
    const first = await eye.ask({ type: 'watch', actor: `room:${room}` })
    t.match(first, {
      type: 'state',
      machine: 'light',
      seq: 2,
      value: 'on',
      active: ['light', 'light.on'],
      can: ['switch'],
      first: 1,
      last: 2,
    })
    t.match(first.timers, [{ event: 'xstate.after.patience.light.on', delay: 60_000 }])
    const sent = Array.from({ length: 20 }, () => send(ann, room, 'switch'))
    await Promise.all(sent)
    const steps: Frame[] = []
    for (let seq = 3; seq <= 22; seq++) steps.push(await eye.next('step'))
    t.same(
      steps.map(({ seq }) => seq),
      Array.from({ length: 20 }, (_, i) => i + 3),
    )
    t.match(steps[0], {
      actor: `room:${room}`,
      from: 'ann',
      event: { type: 'switch' },
      value: 'off',
      edges: ['light.on:0'],
      can: ['switch'],
      timers: [],
    })
    t.match(steps[1], { edges: ['light.off:0'], active: ['light', 'light.on'], timers: [{ delay: 60_000 }] })
    const document = jsonpatch.applyPatch<Frame>(
      { ...first },
      steps.flatMap(({ ops }) => ops.filter(({ path }: Frame) => /^.(value|context)/.test(path))),
    ).newDocument
    const { value, context } = await eye.ask({ type: 'moment', actor: `room:${room}`, seq: 22 })
    t.same([document.value, document.context], [value, context])
    t.match(await eye.ask({ type: 'unwatch', actor: `room:${room}` }), { type: 'ok' })
    await send(ann, room, 'switch')
    await eye.ask({ type: 'chart', machine: 'light' })
    t.notOk(eye.hasUnread('step'), 'nothing comes after unwatch')
  })

  t.test('whoever watches is not in the room', async (t) => {
    const room = 'fragile/quiet'
    await send(ann, room, 'go')
    const eye = await look(t, server)
    await eye.ask({ type: 'watch', actor: `room:${room}` })
    await send(ann, room, 'go')
    t.match(await eye.next('step'), { seq: 3 })
    t.match(await eye.ask({ type: 'moment', actor: `room:${room}`, seq: 3 }), { context: { here: [] }, present: [] })
    await ann.join(room)
    t.match(await eye.next('step'), { seq: 4, event: { type: 'room.joined', user: 'ann' }, from: null })
    t.match(await eye.ask({ type: 'moment', actor: `room:${room}`, seq: 4 }), { present: ['ann'] })
  })

  t.test('a room that sleeps is looked at asleep, and a watch of it sees it wake', async (t) => {
    const room = 'brief/asleep'
    await send(ann, room, 'turn')
    const eye = await look(t, server)
    const listed = async (): Promise<Frame> => (await eye.ask({ type: 'actors', search: 'asleep' })).actors[0]
    while (!(await listed())?.asleep);
    t.match(await listed(), { actor: `room:${room}`, kind: 'room', machine: 'brief', state: 'b', seq: 2, asleep: true })
    t.match(await eye.ask({ type: 'watch', actor: `room:${room}` }), { seq: 2, value: 'b' })
    t.match(await eye.ask({ type: 'history', actor: `room:${room}` }), {
      steps: [{ seq: 1 }, { seq: 2 }],
      first: 1,
      last: 2,
      more: false,
    })
    t.match(await listed(), { asleep: true }, 'looking wakes nobody')
    await send(ann, room, 'turn')
    t.match(await eye.next('step'), { seq: 3, value: 'a' })
  })

  t.test('time travel: a room at each seq of its log, and a page of history at a time', async (t) => {
    const room = 'light/past'
    for (let i = 0; i < 6; i++) await send(ann, room, 'switch')
    const eye = await look(t, server)
    const actor = `room:${room}`
    const values: unknown[] = []
    for (let seq = 1; seq <= 7; seq++) values.push((await eye.ask({ type: 'moment', actor, seq })).value)
    t.same(values, ['off', 'on', 'off', 'on', 'off', 'on', 'off'])
    const page = await eye.ask({ type: 'history', actor, since: 2, limit: 2 })
    t.match(page, {
      first: 1,
      last: 7,
      more: true,
      steps: [
        { seq: 3, edges: ['light.on:0'] },
        { seq: 4, edges: ['light.off:0'] },
      ],
    })
    t.equal(typeof page.steps[0].ms, 'number')
    t.match(await eye.ask({ type: 'moment', actor, seq: 8 }), { code: 'unknown_seq', first: 1, last: 7 })
    t.match(await eye.ask({ type: 'moment', actor, seq: 0 }), { code: 'unknown_seq' })
    t.match(await eye.ask({ type: 'history', actor, since: 99 }), { steps: [], first: 1, last: 7, more: false })
    t.match(await eye.ask({ type: 'history', actor, since: 2 ** 48 - 2 }), { steps: [], more: false })
    for (const type of ['history', 'moment', 'fork'])
      t.match(await eye.ask({ type, actor, since: 2 ** 48 - 1, seq: 2 ** 48 - 1, events: [] }), { code: 'bad_frame' })
  })

  t.test(
    'where the head of the log was trimmed, every record that is held has its state, as it was live',
    async (t) => {
      const room = 'brief/trimmed'
      const live = new Map<number, { value: unknown; context: unknown }>()
      for (let i = 0; i < 32; i++) {
        await send(ann, room, i % 3 === 0 ? 'turn' : 'count')
        const { seq, state } = await ann.ask({ type: 'get', room })
        live.set(seq, { value: state.value, context: state.context })
      }
      const eye = await look(t, server)
      const actor = `room:${room}`
      const { first, last, steps } = await eye.ask({ type: 'history', actor })
      t.ok(first > 10 && first <= 33 - 7 + 1, `the head is gone, and the policy is kept: ${first}`)
      t.equal(last, 33)
      const held = Array.from({ length: last - first + 1 }, (_, i) => first + i)
      t.same(
        steps.map(({ seq, value }: Frame) => ({ seq, value })),
        held.map((seq) => ({ seq, value: live.get(seq)?.value })),
      )
      t.ok(
        steps.every(({ edges }: Frame) => edges.length === 1),
        'also of the first it is known what it was before',
      )
      for (const seq of held)
        t.match(await eye.ask({ type: 'moment', actor, seq }), { seq, first, last, ...live.get(seq) })
      t.match(await eye.ask({ type: 'moment', actor, seq: first - 1 }), { code: 'unknown_seq', first, last })
      const [heading = '', ...records] = (await http(server, `/inspect/export/${room}`)).body.trim().split('\n')
      t.match(JSON.parse(heading), { start: { seq: first - 1, document: live.get(first - 1) } })
      t.same(
        records.map((line) => JSON.parse(line).seq),
        held,
      )
    },
  )

  t.test('a failed room is listed with why, and its past is there', async (t) => {
    const room = 'fragile/broken'
    await send(ann, room, 'go')
    t.match(await send(ann, room, 'drop'), { code: 'event_failed' })
    const eye = await look(t, server)
    t.match(await send(ann, room, 'go'), { code: 'room_failed' })
    t.match(await eye.ask({ type: 'actors', failed: true }), {
      total: 1,
      actors: [{ name: room, failed: /threw once/ }],
    })
    t.match(await eye.ask({ type: 'watch', actor: `room:${room}` }), { seq: 2, value: 'whole', failed: /threw/ })
    t.match(await eye.ask({ type: 'history', actor: `room:${room}` }), { steps: [{ seq: 1 }, { seq: 2 }] })
    const before = await eye.ask({ type: 'moment', actor: `room:${room}`, seq: 1 })
    t.match(before, { value: 'whole' })
    t.notOk('failed' in before, 'it had not failed then')
  })

  t.test('S4 once a machine has come to its end nothing is possible', async (t) => {
    const room = 'match/over'
    await send(ann, room, 'ABORT')
    const eye = await look(t, server)
    t.match(await eye.ask({ type: 'watch', actor: `room:${room}` }), { can: ['ABORT', 'ARCHIVE'] })
    await send(ann, room, 'ARCHIVE')
    const { value, can } = await eye.next('step')
    t.same({ value, can }, { value: 'archived', can: [] })
  })

  t.test('a watcher is told by a fresh state that its room failed, and that it was revived', async (t) => {
    const room = 'fragile/revived'
    await send(ann, room, 'go')
    const eye = await look(t, server)
    await eye.ask({ type: 'watch', actor: `room:${room}` })
    t.match(await send(ann, room, 'drop'), { code: 'event_failed' })
    t.match(await eye.next('state'), { actor: `room:${room}`, seq: 2, failed: /threw once/ })
    const headers = await bearer('operator', 'service')
    await fetch(`http://127.0.0.1:${server.port}/v1/rooms/${room}/revive`, { method: 'POST', headers })
    const revived = await eye.next('state')
    t.match(revived, { actor: `room:${room}`, seq: 2, value: 'whole' })
    t.notOk('failed' in revived)
    t.notOk(eye.hasUnread('skipped'), 'nothing was left out')
    await send(ann, room, 'go')
    t.match(await eye.next('step'), { seq: 3 }, 'and the steps go on')
  })

  t.test('what policy.redact names is in nothing that is told', async (t) => {
    const room = 'vault/hidden'
    const secret = '1234-5678'
    const eye = await look(t, server)
    await send(ann, room, 'close', { pin: secret, by: { pin: secret } })
    const state = await eye.ask({ type: 'watch', actor: `room:${room}` })
    t.match(state, { context: { pin: '(hidden)', log: [{ pin: '(hidden)' }], tries: 0 } })
    await send(ann, room, 'open', { pin: 'wrong' })
    await send(ann, room, 'open', { pin: secret })
    await send(ann, room, 'close', { pin: secret })
    for (let i = 0; i < 3; i++) await eye.next('step')
    const { steps } = await eye.ask({ type: 'history', actor: `room:${room}` })
    t.match(steps[1].event, { type: 'close', pin: '(hidden)', by: { pin: '(hidden)' } })
    await eye.ask({ type: 'moment', actor: `room:${room}`, seq: 2 })
    await eye.ask({ type: 'fork', actor: `room:${room}`, seq: 2, events: [{ type: 'open', pin: secret }] })
    await eye.ask({ type: 'send', room, event: { type: 'close', pin: secret } })
    const { body, headers } = await http(server, `/inspect/export/${room}`)
    t.equal(headers['content-type'], 'application/jsonl')
    t.equal(body.trim().split('\n').length, 6)
    t.notOk((JSON.stringify(eye.frames) + body).includes(secret))
    const context = jsonpatch.applyPatch<Frame>(
      {},
      steps.flatMap(({ ops }: Frame) => ops),
    ).newDocument.context
    t.same(
      context,
      (await eye.ask({ type: 'moment', actor: `room:${room}`, seq: 5 })).context,
      'the ops fit what is shown',
    )
  })

  t.test('a fork goes on in memory: nothing is stored, no effect runs', async (t) => {
    const { effects } = await import('./fixtures/inspected/light.ts')
    const room = 'light/forked'
    await send(ann, room, 'switch')
    const before = effects().length
    const eye = await look(t, server)
    const events = [{ type: 'switch' }, { type: 'dance' }, { type: 'xstate.init' }, { type: 'switch' }]
    const { steps } = await eye.ask({ type: 'fork', actor: `room:${room}`, seq: 1, events })
    t.match(steps, [
      {
        accepted: true,
        value: 'on',
        context: { changes: 1 },
        edges: ['light.off:0'],
        timers: [{ delay: 60_000 }],
        status: 'active',
      },
      { accepted: false, why: 'it is not accepted now', value: 'on', edges: [] },
      { accepted: false, why: /not beginning with/ },
      { accepted: true, value: 'off', timers: [] },
    ])
    t.equal(effects().length, before)
    t.match(await eye.ask({ type: 'history', actor: `room:${room}` }), { last: 2 })
    t.match(await eye.ask({ type: 'fork', actor: `room:${room}`, seq: 9, events }), { code: 'unknown_seq' })
  })

  t.test('a delay that is pending in a fork ends there at its time, any other is refused', async (t) => {
    const room = 'light/patient'
    await send(ann, room, 'switch')
    const eye = await look(t, server)
    const { timers } = await eye.ask({ type: 'watch', actor: `room:${room}` })
    const { dueAt } = timers[0]
    const patience = { type: 'xstate.after.patience.light.on' }
    const forked = async (seq: number, ...events: object[]): Promise<Frame[]> =>
      (await eye.ask({ type: 'fork', actor: `room:${room}`, seq, events })).steps
    const [ended, again, on, off] = await forked(2, patience, patience, { type: 'switch' }, patience)
    t.match(ended, { accepted: true, time: dueAt, value: 'off', edges: ['light.on:1'], timers: [] })
    t.match(again, { accepted: false, why: 'no such delay is pending here', value: 'off' })
    t.match(on, { accepted: true, time: dueAt, timers: [{ dueAt: dueAt + 60_000 }] }, 'the clock goes on from there')
    t.match(off, { accepted: true, time: dueAt + 60_000, value: 'off' })
    t.match(await forked(1, patience), [{ accepted: false, why: 'no such delay is pending here' }])
    t.match(await forked(2, { ...patience, more: 1 }), [{ accepted: false }], 'it is its name alone')
    t.match(await eye.ask({ type: 'history', actor: `room:${room}` }), { last: 2 })
  })

  t.test('a fork tells nothing of what a machine throws, which may be what is hidden', async (t) => {
    const room = 'tattler/secret'
    await send(ann, room, 'keep', { pin: '1234-5678' })
    const eye = await look(t, server)
    const { steps } = await eye.ask({ type: 'fork', actor: `room:${room}`, seq: 2, events: [{ type: 'tell' }] })
    t.match(steps, [{ accepted: false, why: 'the machine threw', context: { pin: '(hidden)' } }])
    t.notOk(JSON.stringify(eye.frames).includes('1234-5678'))
  })

  t.test('a fork asks the access rule of the machine', async (t) => {
    await send(ann, 'vault/forked', 'close', { pin: '1' })
    const events = [{ type: 'look' }, { type: 'open', pin: '1' }]
    const { steps } = await (await look(t, server)).ask({ type: 'fork', actor: 'room:vault/forked', seq: 2, events })
    t.match(steps, [
      { accepted: false, why: 'inspector may not send it here' },
      { accepted: true, value: 'open' },
    ])
  })

  t.test('a fork ends where it takes too long or tells too much, and others have their turn meanwhile', async (t) => {
    const room = 'tattler/greedy'
    await send(ann, room, 'keep', { pin: '1' })
    const eye = await look(t, server)
    const forked = (...events: object[]) => eye.ask({ type: 'fork', actor: `room:${room}`, seq: 2, events })
    const large = { type: 'swell', size: 300_000 }
    t.match(await forked(large), { type: 'fork', steps: [{ accepted: true }] })
    t.match(await forked(large, large), { code: 'too_large', message: /from 2 events/ })
    const long = forked(...Array.from({ length: 100 }, () => ({ type: 'ponder', ms: 50 })))
    let isOver = false
    const over = long.then(() => {
      isOver = true
    })
    let pongs = 0
    for (; !isOver; pongs++) await ann.ask({ type: 'ping' })
    await over
    t.match(await long, { code: 'too_large', message: /events took longer than 1000 ms/ })
    t.ok(pongs > 2, 'pings are answered between its events')
  })

  t.test('in development the inspector sends as itself', async (t) => {
    const eye = await look(t, server)
    t.match(await eye.ask({ type: 'send', room: 'light/dev', event: { type: 'switch' } }), { type: 'ok', seq: 2 })
    t.match(await eye.ask({ type: 'send', room: 'light/dev', event: { type: 'dance' } }), { code: 'not_accepted' })
    t.match(await eye.ask({ type: 'history', actor: 'room:light/dev' }), { steps: [{}, { from: 'inspector' }] })
  })

  t.test('and with a token as whom that names, with what it allows', async (t) => {
    const eye = await look(t, server, { headers: await bearer('zoe', 'inspect inspect:send') })
    t.match(await eye.ask({ type: 'send', room: 'light/zoe', event: { type: 'switch' } }), { type: 'ok', seq: 2 })
    t.match(await eye.ask({ type: 'history', actor: 'room:light/zoe' }), { steps: [{}, { from: 'zoe' }] })
    t.equal(await refusal(t, server, { headers: await bearer('zoe', 'chat') }), 403)
  })

  t.test('an overview: rooms by state, edges by how often they were taken while somebody looks', async (t) => {
    const eye = await look(t, server)
    await send(ann, 'light/seen', 'switch')
    const before = await eye.ask({ type: 'overview', machine: 'light' })
    t.same(before.edges, {}, 'counting begins with the first look')
    await send(ann, 'light/seen', 'switch')
    await send(ann, 'light/seen', 'switch')
    const { read, states, edges } = await eye.ask({ type: 'overview', machine: 'light' })
    t.equal(states.light, read)
    t.equal(states['light.on'] + states['light.off'], read)
    t.same(edges, { 'light.on:0': 1, 'light.off:0': 1 })
  })

  t.test('an overview counts the rooms that sleep, wakes none, and follows those that move', async (t) => {
    const own = await serverHere(t, MACHINES)
    const bob = await Tab.open(own, 'bob')
    for (let i = 0; i < 5; i++) await send(bob, `brief/${i}`, i < 2 ? 'turn' : 'count')
    const eye = await look(t, own)
    const tally = async (): Promise<Frame> =>
      (await eye.ask({ type: 'machines' })).machines.find(({ machine }: Frame) => machine === 'brief')
    while ((await tally()).asleep < 5) await setImmediate()
    let overview = await eye.ask({ type: 'overview', machine: 'brief' })
    while (overview.read < 5) overview = await eye.ask({ type: 'overview', machine: 'brief' })
    t.match(overview, { rooms: 5, asleep: 5, failed: 0, states: { brief: 5, 'brief.a': 3, 'brief.b': 2 } })
    await send(bob, 'brief/4', 'turn')
    await send(bob, 'brief/new', 'count')
    overview = await eye.ask({ type: 'overview', machine: 'brief' })
    t.match(overview, { rooms: 6, read: 6, states: { brief: 6, 'brief.a': 3, 'brief.b': 3 } })
  })

  t.test('of more than 200 steps a second the rest is left out, and that is said', async (t) => {
    const room = 'light/hot'
    await send(ann, room, 'switch')
    const eye = await look(t, server)
    await eye.ask({ type: 'watch', actor: `room:${room}` })
    ann.burst(Array.from({ length: 500 }, () => ({ type: 'send', room, event: { type: 'switch' } })))
    const skipped = await eye.next('skipped')
    const state = await eye.next('state')
    const steps = eye.frames.filter(({ type }) => type === 'step')
    t.same(
      steps.map(({ seq }) => seq),
      Array.from({ length: 200 }, (_, i) => i + 3),
    )
    t.match(skipped, { actor: `room:${room}`, steps: 300 })
    t.match(state, { actor: `room:${room}`, seq: 502 })
    await send(ann, room, 'switch')
    t.match(
      await eye.next(({ type, seq }) => type === 'step' && seq > 202),
      { seq: 503 },
      'it goes on behind the state',
    )
  })

  t.test(
    'for a watcher that does not read nothing is queued; when it reads again it is told where things stand',
    async (t) => {
      const slow = await serverHere(t, { ...MACHINES, CHARTROOM_MAX_LAG: '20000' })
      const bob = await Tab.open(slow, 'bob')
      const room = 'heavy/a'
      await send(bob, room, 'fill', { text: '' })
      const eye = await look(t, slow)
      await eye.ask({ type: 'watch', actor: `room:${room}` })
      const { _socket: wire } = eye.socket as unknown as { _socket: { pause(): void; resume(): void } }
      wire.pause()
      const text = 'x'.repeat(60_000)
      for (let i = 0; i < 180; i++) await send(bob, room, 'fill', { text: `${i}${text}` })
      wire.resume()
      const skipped = await eye.next('skipped')
      const state = await eye.next('state')
      const steps = eye.frames.filter(({ type }) => type === 'step').length
      t.ok(skipped.steps > 0, 'what it did not read was left out')
      t.equal(steps + skipped.steps, state.seq - 2, 'and counted, every step')
      await send(bob, room, 'fill', { text: 'end' })
      t.match(await eye.next(({ type, seq }) => type === 'step' && seq === 183), {
        event: { type: 'fill', text: 'end' },
      })
    },
  )

  t.test('S7 one that asks and does not read is closed 4211, told so once, and the server lives', async (t) => {
    const slow = await serverHere(t, { ...MACHINES, CHARTROOM_MAX_LAG: '20000' })
    const bob = await Tab.open(slow, 'bob')
    const room = 'heavy/unread'
    for (let i = 0; i < 20; i++) await send(bob, room, 'fill', { text: `${i}`.padEnd(60_000, 'x') })
    const eye = await look(t, slow)
    const { _socket: wire } = eye.socket as unknown as { _socket: { pause(): void; resume(): void } }
    wire.pause()
    const noticed = new Gate()
    around(t, Inspector.prototype, 'tooSlow', (_self, _args, whole) => {
      noticed.open()
      whole()
    })
    for (let id = 0; id < 60; id++) eye.send({ type: 'history', id, actor: `room:${room}` })
    await noticed.opened
    wire.resume()
    t.equal((await eye.close()).code, 4211)
    t.equal(eye.frames.filter(({ type }) => type === 'closing').length, 1)
    t.match((await look(t, slow)).frames[0], { type: 'welcome' }, 'the next one gets in')
  })

  t.test(
    'a thousand actors: a list has a limit, says how many there are, and can be searched and filtered',
    async (t) => {
      const crowd = await serverHere(t, MACHINES)
      const bob = await Tab.open(crowd, 'bob')
      for (let i = 0; i < 1000; i += 250) {
        const rooms = Array.from({ length: 250 }, (_, n) => `light/r${i + n}`)
        await Promise.all(rooms.map((room) => send(bob, room, 'switch')))
      }
      await send(bob, 'light/r7', 'switch')
      const eye = await look(t, crowd)
      const all = await eye.ask({ type: 'actors' })
      t.match([all.actors.length, all.total, all.more], [200, 1002, true], 'the rooms, a connection, a session')
      t.match((await eye.ask({ type: 'actors', kind: 'room', limit: 1000 })).actors.length, 1000)
      t.match(await eye.ask({ type: 'actors', search: 'R99', limit: 5 }), { total: 11, more: true })
      t.match(await eye.ask({ type: 'actors', machine: 'light', state: 'off' }), {
        total: 1,
        actors: [{ name: 'light/r7', seq: 3 }],
      })
      t.match(await eye.ask({ type: 'actors', user: 'bob' }), {
        actors: [
          { kind: 'session', name: 'bob', state: 'active', present: 1 },
          { kind: 'connection', user: 'bob', state: 'open.token.fresh | refresh.idle' },
        ],
        total: 2,
      })
    },
  )
})

t.test('connections and sessions are charts, too', async (t) => {
  const server = await serverHere(t, MACHINES)
  const eye = await look(t, server)
  const connections = async (): Promise<Frame[]> => (await eye.ask({ type: 'actors', kind: 'connection' })).actors

  t.test('C3 a handshake that hangs: where it waits, for what, and how long', async (t) => {
    const hung = await Tab.open(server, '', { token: null })
    const [listed] = await connections()
    t.match(listed, { machine: 'connection', state: 'connecting.waiting' })
    t.notOk('user' in (listed as Frame))
    const state = await eye.ask({ type: 'watch', actor: listed?.actor })
    t.match(state, {
      value: { connecting: 'waiting' },
      active: ['connection', 'connection.connecting', 'connection.connecting.waiting'],
      context: { token: null, principal: null, ending: null },
      can: ['auth', 'end', 'socket.closed'],
      timers: [{ event: 'xstate.after.authTimeout.connection.connecting.waiting', delay: 10_000 }],
      status: 'active',
    })
    t.ok(Math.abs(state.timers[0].dueAt - state.time - 10_000) < 1000)
    const token = await tokenFor('ann')
    hung.send({ type: 'auth', token })
    const events = ['auth', 'proved', 'joined']
    const edges = [
      ['connection.connecting.waiting:0'],
      ['connection.connecting.verifying:0'],
      ['connection.authenticated:0'],
    ]
    for (const [i, type] of events.entries()) t.match(await eye.next('step'), { event: { type }, edges: edges[i] })
    await hung.leave()
    t.match(await eye.next('step'), {
      event: { type: 'socket.closed' },
      value: 'closed',
      cause: '1000',
      edges: ['connection:0'],
    })
    t.notOk(JSON.stringify(eye.frames).includes(token), 'the token is in nothing that is told')
  })

  t.test('one that is closed is remembered, step by step, and at any of them', async (t) => {
    const bob = await Tab.open(server, 'bob')
    const { connection } = bob.frames[0] as Frame
    const actor = `connection:${connection}`
    await bob.leave()
    let state = await eye.ask({ type: 'watch', actor })
    if (state.value !== 'closed') state = await eye.next('step')
    const { steps, first, last } = await eye.ask({ type: 'history', actor })
    t.same([first, last], [1, steps.length])
    t.match(steps[0], { seq: 1, event: { type: 'xstate.init' }, edges: ['connection.connecting.arriving:0'] })
    t.match(steps.at(-1), { event: { type: 'socket.closed' }, cause: '1000', value: 'closed' })
    const open = steps.find(({ event }: Frame) => event.type === 'joined')
    const moment = await eye.ask({ type: 'moment', actor, seq: open.seq })
    t.match(moment, {
      value: { open: { token: 'fresh' } },
      context: { token: null, principal: { user: 'bob' } },
      timers: [],
    })
    t.match(await eye.ask({ type: 'actors', search: connection }), {
      total: 1,
      actors: [{ state: 'closed', user: 'bob' }],
    })
    t.match(await eye.ask({ type: 'moment', actor, seq: 99 }), { code: 'unknown_seq', first: 1 })
    t.match(await eye.ask({ type: 'watch', actor }), { status: 'done', can: [] })
  })

  t.test('a session: its connections come and go', async (t) => {
    const one = await Tab.open(server, 'cho')
    t.match(await eye.ask({ type: 'watch', actor: 'session:cho' }), {
      value: 'active',
      context: { user: 'cho', connections: [one.frames[0]?.connection] },
    })
    const two = await Tab.open(server, 'cho')
    t.match(await eye.next('step'), {
      event: { type: 'connection.joining' },
      ops: [{ op: 'add', path: '/context/connections/1' }],
    })
    await two.leave()
    const eitherWay = ['session.active:0', 'session.lingering:1', 'session.active:1']
    t.match(await eye.next('step'), { edges: eitherWay, value: 'active' })
    await one.leave()
    t.match(await eye.next('step'), { edges: ['session.active:0'], value: 'lingering', timers: [{ delay: 1000 }] })
    t.match(await eye.next('step'), { event: { type: 'xstate.after.linger.session.lingering' }, value: 'ended' })
  })
})

t.test('the page is served under a strict policy, and sent again only where it changed', async (t) => {
  const server = await serverHere(t, MACHINES)
  const page = await http(server, '/inspect')
  t.match(page, { status: 200, body: /^<!doctype html>/i, headers: { 'content-type': 'text/html; charset=utf-8' } })
  const policy = `${page.headers['content-security-policy']}`.split('; ')
  for (const rule of ["script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"])
    t.ok(policy.includes(rule), rule)
  const script = await http(server, '/inspect/page.js')
  t.match(script, { status: 200, headers: { 'content-type': 'text/javascript; charset=utf-8' } })
  const known = { headers: { 'if-none-match': `${script.headers.etag}` } }
  t.equal((await fetch(`http://127.0.0.1:${server.port}/inspect/page.js`, known)).status, 304)
  t.equal((await fetch(`http://127.0.0.1:${server.port}/inspect/page.css`, known)).status, 200)
  t.equal((await http(server, '/inspect/none.js')).status, 404)
  t.equal((await http(server, '/inspected')).status, 404)
  const slashed = await fetch(`http://127.0.0.1:${server.port}/inspect/`)
  t.same(
    [slashed.url, slashed.status],
    [`http://127.0.0.1:${server.port}/inspect`, 200],
    'a slash behind it leads to it',
  )
  t.equal((await http(server, '/inspect/')).status, 308)
  const posted = await fetch(`http://127.0.0.1:${server.port}/inspect`, { method: 'POST' })
  t.equal(posted.status, 405)
})

t.test('chartroom replay: an exported room is played back, and compared with the machine as it is', async (t) => {
  const server = await serverHere(t, MACHINES)
  const ann = await Tab.open(server, 'ann')
  const folder = t.testdir()
  const save = async (room: string, change = (text: string) => text): Promise<string> => {
    const file = join(folder, `${room.replace('/', '-')}.jsonl`)
    writeFileSync(file, change((await http(server, `/inspect/export/${room}`)).body))
    return file
  }
  const replay = (...args: string[]) => {
    const command = ['--import', 'tsx', 'src/main.ts', 'replay', ...args, '--machines', MACHINES.CHARTROOM_MACHINES]
    return spawnSync(process.execPath, command, { cwd: ROOT, encoding: 'utf8' })
  }
  await send(ann, 'light/a', 'switch')
  await send(ann, 'light/a', 'switch')

  const sound = replay(await save('light/a'))
  t.match(sound.stdout, /^ {4}2 {2}\d{4}-.*Z {2}ann +\{"type":"switch"\} {2}→ on$/m)
  t.match(sound.stdout, /light\/a: 3 records, 3 compared, 0 come out otherwise now$/m)
  t.equal(sound.status, 0)

  const changed = replay(
    await save('light/a', (text) =>
      text.replaceAll('"path":"/context/changes","value":1', '"path":"/context/changes","value":7'),
    ),
    '--json',
  )
  const steps = changed.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(steps[1], {
    seq: 2,
    from: 'ann',
    value: 'on',
    difference: { changes: [{ path: '/context/changes', stored: 7, now: 1 }] },
  })
  t.notOk('difference' in steps[2], 'one difference does not bring about another')
  t.equal(changed.status, 1)

  for (let i = 0; i < 22; i++) await send(ann, 'brief/b', 'count')
  t.match(
    replay(await save('brief/b')).stdout,
    /brief\/b: \d+ records, \d+ compared, 0 come out otherwise now/,
    'its head was trimmed',
  )
  await send(ann, 'vault/c', 'close', { pin: '1' })
  t.match(replay(await save('vault/c')).stdout, /0 come out otherwise now; 2 have hidden parts and were not/)
  t.match(
    replay(await save('light/a', (text) => text.replace('"machine":"light"', '"machine":"gone"'))).stdout,
    /there is no machine file/,
  )
  t.match(replay(join(ROOT, 'package.json')).stderr, /package.json:1: this is not JSON/)
})

t.test('what is hidden: redacted ops lead from one redacted document to the next', async (t) => {
  const redactor = new Redactor(['pin', 'a/b'])
  const key = fc.constantFrom('pin', 'a/b', 'x', 'y')
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.integer(),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(key, tie('tree')),
    ),
  }))
  const document = fc.record({ context: tree, value: tree }) as unknown as fc.Arbitrary<RoomDocument>
  fc.assert(
    fc.property(document, document, (before, after) => {
      const shown = jsonpatch.applyPatch(
        structuredClone(redactor.document(before)),
        structuredClone([...redactor.ops(diff(before, after))]),
      )
      t.same(shown.newDocument, redactor.document(after))
      t.notMatch(JSON.stringify(redactor.document(after).context), /"pin":(?!"\(hidden)/)
    }),
  )
  const plain = { x: [{ y: 1 }] }
  t.equal(redactor.value(plain), plain, 'what holds nothing to hide is the same object')
})

/** A log of `room` with the counts 1 to `last`, a snapshot each ten records, and its head trimmed to `trim`. */
async function countedTo(log: Log, room: string, { last, trim, keep }: { last: number; trim: number; keep: boolean }) {
  for (let seq = 1; seq <= last; seq++) {
    const document = { value: {}, context: { count: seq }, children: {}, invokes: {}, delays: [], present: [] }
    const ops =
      seq === 1 ? [{ op: 'add', path: '', value: document }] : [{ op: 'replace', path: '/context/count', value: seq }]
    const lines = [encodeLine({ seq, event: { type: 'count' }, from: 'ann', time: seq, ops })]
    const snapshot = seq % 10 === 0 && { snapshot: encodeLine({ seq, state: { document, keys: [] } }) }
    await log.commit([{ topic: room, after: seq - 1, lines, ...snapshot, ...(snapshot && keep && { keep }) }])
  }
  await log.commit([{ topic: room, after: last, lines: [], trim }])
}

const countAt = async (moments: Moments, room: string, seq: number) =>
  ((await moments.at(room, seq))?.document.context as { count: number } | undefined)?.count

t.test('a log that was trimmed before there were keyframes: what is not known is not guessed', async (t) => {
  const log = new MemoryLog()
  await countedTo(log, 'light/old', { last: 45, trim: 23, keep: false })
  const moments = new Moments(log)
  t.match(await moments.extentOf('light/old'), { held: 24, first: 40, last: 45 })
  t.equal(await countAt(moments, 'light/old', 39), undefined)
  const known: (number | undefined)[] = []
  for await (const { before, after } of moments.passages('light/old', 23, 45))
    known.push((before?.context as { count: number })?.count, (after?.context as { count: number })?.count)
  t.same(
    known.filter((count) => count !== undefined),
    [40, 40, 41, 41, 42, 42, 43, 43, 44, 44, 45],
  )
  t.equal(await countAt(new Moments(log), 'light/old', 41), 41)
})

t.test('a past of large records is read some of them at a time', async (t) => {
  const log = new MemoryLog()
  const room = 'light/large'
  const document = { value: {}, context: {}, children: {}, invokes: {}, delays: [], present: [] }
  for (let seq = 1; seq <= 20; seq++) {
    const value = seq === 1 ? document : 'x'.repeat(100_000)
    const ops = [{ op: 'add', path: seq === 1 ? '' : '/context/text', value }]
    const lines = [encodeLine({ seq, event: { type: 'fill' }, from: 'ann', time: seq, ops })]
    await log.commit([{ topic: room, after: seq - 1, lines }])
  }
  const read = log.read.bind(log)
  const sizes: number[] = []
  log.read = async (...range) => {
    const records = await read(...range)
    sizes.push(records.length)
    return records
  }
  const seqs: number[] = []
  for await (const { record } of new Moments(log).passages(room, 0, 20)) seqs.push(record.seq)
  t.same(
    seqs,
    Array.from({ length: 20 }, (_, i) => i + 1),
  )
  t.ok(Math.max(...sizes) <= 4, `${sizes}`)
})

t.test('a keyframe that is damaged takes the states behind it with it, and nothing else', async (t) => {
  const folder = t.testdir()
  const made = openLmdbLog(folder)
  await countedTo(made, 'light/a', { last: 45, trim: 20, keep: true })
  await made.close()
  await tamper(folder, ({ snapshots }) => snapshots.putSync(segmentKey(1, 30), Buffer.from('nonsense')))
  const log = openLmdbLog(folder)
  t.teardown(() => log.close())
  const counts = async (...seqs: number[]) => {
    const found: unknown[] = []
    for (const seq of seqs) found.push(await countAt(new Moments(log), 'light/a', seq).catch(({ name }: Error) => name))
    return found
  }
  t.match(await new Moments(log).extentOf('light/a'), { held: 21, first: 21, last: 45 })
  t.same(await counts(21, 29, 30, 39, 40, 45), [21, 29, 'DamagedLog', 'DamagedLog', 40, 45])
  t.match(await recover(log, 'light/a'), { seq: 45, document: { context: { count: 45 } }, keyframes: [20, 30, 40] })
})

t.test('very many stored rooms are named a page at a time, once for all who ask, and counted by machine', async (t) => {
  const names = Array.from({ length: 3000 }, (_, i) => `light/r${`${i}`.padStart(4, '0')}`)
  const asked: string[] = []
  const log = {
    topics: async (prefix: string, { after, limit }: { after: string; limit: number }) => {
      asked.push(`${prefix} ${after}`)
      return names.filter((name) => name.startsWith(prefix) && name > after).slice(0, limit)
    },
    last: async () => 0,
  }
  const young: { name: string; place: { document?: object } }[] = []
  const born = (name: string) => ({ name, place: { document: {} } })
  const failures = new Map<string, string>()
  const rooms = {
    all: () => young,
    failures,
    hasFailed: (name: string) => failures.has(name),
    resident: () => undefined,
  }
  const machines = new Map(['light', 'vault'].map((name) => [name, {}]))
  const census = new Census({ log, rooms, machines } as unknown as CensusSurroundings)
  const population = new Population({ census, log, rooms } as unknown as PopulationSurroundings)
  let turns = 0
  let isOver = false
  const others = async (): Promise<void> => {
    for (; !isOver; turns++) await setImmediate()
  }
  void others()
  const listed = (machine?: string) => population.list({ kind: 'room', machine, limit: 2 })
  const [list] = await Promise.all([listed(), listed(), listed('vault')])
  t.match(list, { total: 3000, more: true, actors: [{ name: 'light/r0000' }, { name: 'light/r0001' }] })
  const pages = ['light/ ', 'light/ light/r0999', 'light/ light/r1999', 'light/ light/r2999', 'vault/ ']
  t.same(asked, pages, 'three who ask at a time have one reading')
  t.ok(turns >= 10, `${turns} turns of others`)
  isOver = true
  young.push(born('light/r0000a'), born('light/r0007'), born('vault/x'), { name: 'vault/unborn', place: {} })
  const again = await listed('light')
  t.same([again.total, again.actors[1]?.name], [3001, 'light/r0000a'], 'one that was just born stands in it, too')
  failures.set('light/r0009', 'it threw')
  t.same(await census.tallies(), [
    { machine: 'light', rooms: 3001, asleep: 2998, failed: 1 },
    { machine: 'vault', rooms: 1, asleep: 0, failed: 0 },
  ])
  t.same(asked, pages)
})

t.test(
  'of very many rooms that sleep an overview reads some at a time, ten thousand at most, and says so',
  async (t) => {
    const names = Array.from({ length: 10_100 }, (_, i) => `connection/${i}`)
    const tally = { machine: 'connection', rooms: names.length, asleep: names.length, failed: 0 }
    const around = {
      rooms: { all: () => [] },
      log: { last: async () => 1 },
      moments: {
        at: async (room: string) => {
          if (room === 'connection/7') throw new DamagedLog('a segment is damaged')
          return { document: { value: 'closed' } }
        },
      },
      census: { names: async () => new Map([['connection', names]]), tallies: async () => [tally] },
      lookout: new Lookout(new Journal(), createLogger('silent')),
      logger: createLogger('silent'),
    }
    const overviews = new Overviews(around as unknown as OverviewSurroundings)
    const index = new ChartIndex(serverCharts.find(({ machine }) => machine === 'connection') as Chart)
    const reads: number[] = []
    for (let read = -1; read < 10_000; ) {
      const overview = await overviews.of('connection', index)
      read = overview.read
      reads.push(read)
      await setImmediate()
    }
    t.ok(new Set(reads).size > 5, 'others have their turn in between')
    t.match(await overviews.of('connection', index), {
      ...tally,
      read: 10_000,
      states: { connection: 9999, 'connection.closed': 9999 },
    })
  },
)

t.test('what a machine throws as it goes on from a stored state is told to nobody', async (t) => {
  const migrate = () => {
    throw new Error('no room for the pin 1234')
  }
  const grounds = { machine: { host: () => ({ migrate, restore: migrate }) }, logger: createLogger('silent') }
  const moment = { seq: 1, document: {} as RoomDocument }
  const principal = { user: 'ann', scopes: [], claims: {} }
  const forked = await fork(moment, [{ type: 'go' }], principal, grounds as unknown as Grounds)
  t.match(forked, { code: 'room_failed' })
  t.notMatch(JSON.stringify(forked), /pin/)
})

t.test('a room that is set aside says why it cannot be read', async (t) => {
  const log = new MemoryLog()
  log.quarantine('light/bad', 'a segment is damaged')
  const moments = new Moments(log)
  const asleep = { resident: () => undefined, failures: new Map(), all: () => [], isName: () => true }
  const rooms = asleep as unknown as Rooms
  const lookout = new Lookout(new Journal(), createLogger('silent'))
  const lens = { machine: 'light', index: undefined, redactor: new Redactor([]) }
  const sight = new RoomSight('light/bad', () => lens, { rooms, moments, lookout })
  const why = { code: 'room_failed', message: /cannot be read: .*a segment is damaged/ }
  t.match(await sight.now(), why)
  t.match(await sight.moment(1), why)
  t.match(await sight.history({ since: 0, limit: 10 }), why)
})

t.test('docs/inspector.md: its conversation frame for frame, and its chart', async (t) => {
  const page = readFileSync(join(ROOT, 'docs/inspector.md'), 'utf8')
  const server = await serverHere(t)
  const eye = knock(t, server)
  for (const line of blocks(page, 'feed').join('').split('\n').filter(Boolean)) {
    const frame = JSON.parse(line.slice(2)) as Frame
    if (line.startsWith('> ')) eye.send(frame)
    else
      t.same(
        asWritten(await eye.next(({ type, id }) => type === frame.type && id === frame.id), frame),
        frame,
        line.slice(0, 50),
      )
  }
  t.same(eye.frames.length, blocks(page, 'feed').join('').match(/^< /gm)?.length, 'and nothing else')
  const command = ['--import', 'tsx', 'src/main.ts', 'chart', 'auction']
  t.same(blocks(page, 'mermaid'), [spawnSync(process.execPath, command, { cwd: ROOT, encoding: 'utf8' }).stdout])
})

t.test('switched off, nothing of it is served, and no step of a live actor is noted', async (t) => {
  const noted: unknown[] = []
  around(t, Journal.prototype, 'step', (_self, [kind], whole) => {
    noted.push(kind)
    return whole()
  })
  const off = await serverHere(t, { ...MACHINES, CHARTROOM_INSPECTOR: 'false' })
  const tab = await Tab.open(off, 'ann')
  t.match(await send(tab, 'light/unseen', 'switch'), { type: 'ok', seq: 2 })
  await tab.leave()
  t.same(noted, [])
  for (const path of ['/inspect', '/inspect/', '/inspect/feed', '/inspect/export/light/unseen'])
    t.equal((await http(off, path)).status, 404, path)
  t.equal(await refusal(t, off, {}), 404)
  const on = await serverHere(t, MACHINES)
  await (await Tab.open(on, 'ann')).leave()
  t.ok(noted.includes('connection') && noted.includes('session'), 'otherwise both are')
})

t.test('a start says where the inspector is, unless it is switched off', async (t) => {
  const [on, off] = await Promise.all([startServer(t), startServer(t, { env: { CHARTROOM_INSPECTOR: 'false' } })])
  t.match(on.stdout, `Inspector   http://127.0.0.1:${on.port}/inspect\n`)
  t.notMatch(off.stdout, 'Inspector')
})

t.test('nothing is told while nobody looks, and one listener that fails takes no other with it', async (t) => {
  const journal = new Journal()
  const lookout = new Lookout(journal, createLogger('silent'))
  t.equal(lookout.onlooker.committed, undefined)
  const heard: string[] = []
  const ends = [
    lookout.rooms(() => {
      throw new Error('it cannot look')
    }),
    lookout.rooms((room) => heard.push(room)),
    lookout.lives((kind, name) => heard.push(`${kind} ${name}`)),
  ]
  lookout.onlooker.committed?.('light/a', [], undefined)
  journal.step('session', 'ann', {
    event: 'xstate.init',
    cause: undefined,
    value: 'active',
    status: 'active',
    context: {},
    time: 0,
  })
  t.same(heard, ['light/a', 'session ann'])
  for (const end of ends) end()
  t.equal(lookout.onlooker.committed, undefined)
  t.equal(journal.onStep, undefined)
})

t.test(
  'S1 a watch that begins while steps come has none doubled and none missing; behind a gap it begins anew',
  async (t) => {
    let tell = (_seq: number): void => {}
    const states = new Map<number, (seq: number) => void>()
    const sight = {
      now: () => new Promise((resolve) => states.set(states.size, (seq) => resolve({ seq }))),
      follow: (onStep: (seq: number, look: () => { seq: number }) => void) => {
        tell = (seq) => onStep(seq, () => ({ seq }))
        return () => {}
      },
    }
    const told: string[] = []
    const behind: Watch[] = []
    const onto = {
      mayStep: () => true,
      tell: ({ type, seq, steps }: Frame) => told.push(`${type} ${seq ?? steps}`),
      fellBehind: (watch: Watch) => behind.push(watch),
    }
    const watch = new Watch('room:light/a', sight as unknown as Sight, onto)
    const begun = watch.begin((state) => onto.tell({ ...state, type: 'state' }))
    for (const seq of [1, 2, 3, 4, 5]) tell(seq)
    states.get(0)?.(3)
    await begun
    t.same(told.splice(0), ['state 3', 'step 4', 'step 5'])
    for (const seq of [6, 8, 9]) tell(seq)
    t.same(told.splice(0), ['step 6'])
    t.same(behind, [watch], 'it asks once to be looked after')
    const refreshed = watch.refresh()
    tell(10)
    states.get(1)?.(9)
    await refreshed
    t.same(told.splice(0), ['skipped 3', 'state 9', 'step 10'])
    watch.stop()
  },
)

t.test('a watch whose state cannot be read says so once, by its actor, and goes on when it can', async (t) => {
  let tell = (_seq: number): void => {}
  let now = async (): Promise<object> => ({ seq: 1 })
  const sight = {
    now: () => now(),
    follow: (onStep: (seq: number, look: () => { seq: number }) => void) => {
      tell = (seq) => onStep(seq, () => ({ seq }))
      return () => {}
    },
  }
  const told: Frame[] = []
  const behind: Watch[] = []
  const waits: (number | undefined)[] = []
  const onto = {
    mayStep: () => true,
    tell: (frame: Frame) => told.push(frame),
    fellBehind: (w: Watch, wait?: number) => {
      behind.push(w)
      waits.push(wait)
    },
  }
  const watch = new Watch('room:light/a', sight as unknown as Sight, onto)
  await watch.begin(() => {})
  tell(5)
  now = async () => failure('room_failed', 'it is damaged')
  for (let i = 0; i < 3; i++) await behind.pop()?.refresh()
  t.match(told.splice(0), [{ type: 'error', code: 'room_failed', actor: 'room:light/a' }])
  now = () => Promise.reject(new Error('the disk'))
  await t.rejects(async () => behind.pop()?.refresh(), { message: 'the disk' }, 'the visitor’s log has it')
  t.same(behind, [watch], 'and it is tried again')
  for (let i = 0; i < 4; i++)
    await behind
      .pop()
      ?.refresh()
      .catch(() => {})
  t.same(waits, [undefined, ...[1, 2, 4, 8, 16, 32, 60, 60].map((s) => 1000 * s)], 'less and less often')
  now = async () => ({ seq: 7 })
  await behind.pop()?.refresh()
  tell(8)
  t.match(told, [
    { type: 'skipped', steps: 6 },
    { type: 'state', seq: 7 },
    { type: 'step', seq: 8 },
  ])
  t.same(behind, [])
  watch.stop()
})

t.test('a life is remembered longer while it goes on, and for as long as it is followed', async (t) => {
  const journal = new Journal()
  const context = { hasToken: false, proof: { principal: { user: '' } }, ending: { reason: 'normal' } }
  const step = (name: string, status = 'active'): void =>
    journal.step('connection', name, { event: 'auth', cause: undefined, value: 'open', status, context, time: 1 })
  const seqOf = (name: string) => journal.lifeOf('connection', name)?.at(-1)?.seq
  for (const name of ['quiet', 'watched', 'quiet', 'watched']) step(name)
  for (let i = 0; i < 1500; i++) for (const status of ['active', 'done']) step(`short${i}`, status)
  step('quiet')
  t.match([seqOf('quiet'), seqOf('short1499'), seqOf('short501')], [3, 2, undefined], 'those that are over go first')
  t.equal([...journal.names('connection')].length, 1000)

  const lookout = new Lookout(journal, createLogger('silent'))
  const chart = serverCharts.find(({ machine }) => machine === 'connection')
  const index = new ChartIndex(chart as Chart)
  const sight = new LifeSight('connection', 'watched', { journal, lookout, index, lifeOf: () => undefined })
  const told: Frame[] = []
  const onto = { mayStep: () => true, tell: (frame: Frame) => told.push(frame), fellBehind: () => {} }
  const watch = new Watch('connection:watched', sight, onto)
  await watch.begin(() => {})
  for (let i = 0; i < 1500; i++) step(`long${i}`)
  step('watched')
  await setImmediate()
  t.match(told, [{ type: 'step', seq: 3 }])
  t.equal([...journal.names('connection')].length, 1000)
  t.equal(seqOf('quiet'), undefined, 'of those that go on the oldest went')
  watch.stop()
  for (let i = 0; i < 1000; i++) step(`later${i}`)
  t.equal(seqOf('watched'), undefined, 'nobody follows it any more')
})
