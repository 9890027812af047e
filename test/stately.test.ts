/** The feed in the words of Stately's tools: who gets in, what is said of each actor and step, and what never is. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { createMachine } from 'xstate'
import { loadMachineFiles } from '../src/check/load.ts'
import { chartOf } from '../src/inspect/chart.ts'
import { definitionOf } from '../src/inspect/definition.ts'
import { serverCharts } from '../src/inspect/own-charts.ts'
import type { Chart } from '../src/inspect/shapes.ts'
import { asWritten, blocks } from './fixtures/as-written.ts'
import { serverHere } from './fixtures/here.ts'
import { ROOT, type ServerProcess, tokenFor } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

const MACHINES = { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/inspected') }
const PRODUCTION = { ...MACHINES, NODE_ENV: 'production', CHARTROOM_AUTH_TIMEOUT: '300' }

interface Door {
  readonly path?: string
  readonly headers?: Record<string, string>
}

function knock(t: Test, { port }: ServerProcess, { path = '/inspect/stately', headers = {} }: Door = {}): Tab {
  const eye = new Tab(new WebSocket(`ws://127.0.0.1:${port}${path}`, [], { headers }))
  t.teardown(() => eye.socket.terminate())
  return eye
}

async function refusal(t: Test, server: ServerProcess, door: Door): Promise<number> {
  const [, response] = await once(knock(t, server, door).socket, 'unexpected-response')
  return response.statusCode
}

const only = (...actors: string[]): Door => ({
  path: `/inspect/stately?${actors.map((actor) => `actor=${encodeURIComponent(actor)}`).join('&')}`,
})

const bearer = async (scope: string): Promise<Record<string, string>> => ({
  authorization: `Bearer ${await tokenFor('ann', { claims: { scope } })}`,
})

const send = (tab: Tab, room: string, type: string, given: object = {}): Promise<Frame> =>
  tab.ask({ type: 'send', room, event: { type, ...given } })

/** The next message of a kind that is about an actor. */
const about = (eye: Tab, kind: string, actor: string): Promise<Frame> =>
  eye.next(({ type, sessionId }) => type === `@xstate.${kind}` && sessionId === actor)

t.test('the gate is the feed’s', async (t) => {
  const server = await serverHere(t, PRODUCTION)
  const ann = await Tab.open(server, 'ann')
  await send(ann, 'light/a', 'switch')
  t.equal(await refusal(t, server, { headers: { authorization: 'Bearer nonsense' } }), 401)
  t.equal(await refusal(t, server, { headers: await bearer('service') }), 403)
  const foreign = { ...(await bearer('inspect')), origin: 'http://evil.example' }
  t.equal(await refusal(t, server, { headers: foreign }), 403)
  t.equal((await fetch(`http://127.0.0.1:${server.port}/inspect/stately`)).status, 426)
  const silent = knock(t, server)
  t.equal((await silent.close()).code, 4008)
  t.same(silent.frames, [], 'without a token nothing is told')
  t.match(await about(knock(t, server, { headers: await bearer('inspect') }), 'actor', 'room:light/a'), {})
  const late = knock(t, server)
  await once(late.socket, 'open')
  late.send({ type: 'auth', token: await tokenFor('ann', { claims: { scope: 'inspect' } }) })
  t.match(await about(late, 'actor', 'room:light/a'), {}, 'a token may come as the first frame')
})

t.test('the places are shared with the feed', async (t) => {
  const server = await serverHere(t, MACHINES)
  for (let i = 0; i < 16; i++) await once(knock(t, server, { path: '/inspect/feed' }).socket, 'open')
  t.equal(await refusal(t, server, {}), 503)
})

t.test('every actor that is there is introduced with its machine, then each of its steps is told', async (t) => {
  const server = await serverHere(t, MACHINES)
  const ann = await Tab.open(server, 'ann')
  await send(ann, 'light/a', 'switch')
  const eye = knock(t, server)
  const room = await about(eye, 'actor', 'room:light/a')
  t.match(room, { name: 'room:light/a', rootId: 'room:light/a', id: '1', createdAt: /^\d{13}$/, _version: /^\d+\./ })
  t.same(room.snapshot, { status: 'active', value: 'on', context: { changes: 1 } })
  t.match(JSON.parse(room.definition), { id: 'light', initial: 'off', states: { off: { on: { switch: [{}] } } } })
  t.match(await about(eye, 'actor', 'session:ann'), { snapshot: { status: 'active', context: { user: 'ann' } } })
  t.match(await eye.next(({ sessionId }) => /^connection:/.test(sessionId)), {
    type: '@xstate.actor',
    snapshot: { context: { principal: { user: 'ann' } } },
  })
  await send(ann, 'light/a', 'switch')
  t.match(await about(eye, 'event', 'room:light/a'), { event: { type: 'switch' }, sourceId: 'session:ann' })
  t.match(await about(eye, 'snapshot', 'room:light/a'), {
    event: { type: 'switch' },
    snapshot: { status: 'active', value: 'off', context: { changes: 1 } },
  })
  await send(ann, 'light/b', 'switch')
  t.match(await about(eye, 'actor', 'room:light/b'), { snapshot: { value: 'on' } }, 'a room that comes later')
  const bob = await Tab.open(server, 'bob')
  t.match(await about(eye, 'actor', 'session:bob'), {}, 'and a session')
  await bob.leave()
  const over = await eye.next((frame) => frame.type === '@xstate.snapshot' && frame.snapshot.status === 'done')
  t.match(over, { sessionId: /^connection:/, snapshot: { value: 'closed' } })
  t.same(new Set(eye.frames.map(({ type }) => type)), new Set(['@xstate.actor', '@xstate.event', '@xstate.snapshot']))
  t.same(new Set(eye.frames.map(({ id }) => id)).size, eye.frames.length, 'each has an id of its own')
  t.notMatch(JSON.stringify(eye.frames), /eyJ/, 'and no token is in any')
})

t.test(
  '?actor= narrows it to some, also to one that sleeps or is yet to come; what cannot be is refused',
  async (t) => {
    const server = await serverHere(t, MACHINES)
    const ann = await Tab.open(server, 'ann')
    await send(ann, 'light/a', 'switch')
    const eye = knock(t, server, only('room:light/a', 'room:light/later'))
    await about(eye, 'actor', 'room:light/a')
    await send(ann, 'light/other', 'switch')
    await send(ann, 'light/later', 'switch')
    await about(eye, 'actor', 'room:light/later')
    await send(ann, 'light/a', 'switch')
    await about(eye, 'snapshot', 'room:light/a')
    t.same([...new Set(eye.frames.map(({ sessionId }) => sessionId))], ['room:light/a', 'room:light/later'])
    for (const actor of ['inbox:ann', 'room:nothing/a', 'room:light/a b'])
      t.equal((await knock(t, server, only(actor)).close()).code, 4000, actor)
  },
)

t.test('fifty are seen at a time; a connection or a session that ends makes room for the next', async (t) => {
  const server = await serverHere(t, { ...MACHINES, CHARTROOM_SESSION_LINGER: '0' })
  const eye = knock(t, server)
  await once(eye.socket, 'open')
  for (let i = 0; i < 30; i++) {
    const tab = await Tab.open(server, `user${i}`)
    await about(eye, 'actor', `session:user${i}`)
    await tab.leave()
  }
  const ann = await Tab.open(server, 'ann')
  for (let i = 0; i < 60; i++) await send(ann, `light/${i}`, 'switch')
  const crowd = knock(t, server)
  await about(crowd, 'actor', 'room:light/49')
  await send(ann, 'light/0', 'switch')
  await about(crowd, 'snapshot', 'room:light/0')
  t.equal(crowd.frames.filter(({ type }) => type === '@xstate.actor').length, 50)
})

t.test('what policy.redact names is in nothing that is told', async (t) => {
  const server = await serverHere(t, MACHINES)
  const ann = await Tab.open(server, 'ann')
  const secret = '1234-5678'
  await send(ann, 'vault/a', 'close', { pin: secret })
  const eye = knock(t, server, only('room:vault/a'))
  t.match(await about(eye, 'actor', 'room:vault/a'), { snapshot: { context: { pin: '(hidden)' } } })
  await send(ann, 'vault/a', 'open', { pin: secret })
  await send(ann, 'vault/a', 'close', { pin: secret, by: { pin: secret } })
  t.match(await about(eye, 'event', 'room:vault/a'), { event: { type: 'open', pin: '(hidden)' } })
  await about(eye, 'snapshot', 'room:vault/a')
  const { snapshot } = await about(eye, 'snapshot', 'room:vault/a')
  t.same(snapshot.context, { pin: '(hidden)', tries: 0, log: [{ pin: '(hidden)' }, { pin: '(hidden)' }] })
  t.notOk(JSON.stringify(eye.frames).includes(secret))
})

t.test('of more steps than anybody can look at the rest is left out, and how it stands is told', async (t) => {
  const server = await serverHere(t, MACHINES)
  const ann = await Tab.open(server, 'ann')
  await send(ann, 'light/a', 'switch')
  const eye = knock(t, server, only('room:light/a'))
  await about(eye, 'actor', 'room:light/a')
  await Promise.all(Array.from({ length: 600 }, () => send(ann, 'light/a', 'switch')))
  const fresh = await eye.next((frame) => frame.event?.type === 'skipped')
  t.ok(eye.frames.filter(({ type }) => type === '@xstate.event').length < 600)
  await send(ann, 'light/a', 'switch')
  const { snapshot } = await eye.next(({ type, id }) => type === '@xstate.snapshot' && Number(id) > Number(fresh.id))
  const { state } = await ann.ask({ type: 'get', room: 'light/a' })
  t.same(snapshot, { status: 'active', value: state.value, context: state.context }, 'and goes on from there')
})

t.test('a machine that is made of a definition has the same chart', async (t) => {
  const folders = ['machines/rooms', 'test/fixtures/inspected', 'test/fixtures/machines']
  const files = await Promise.all(folders.map((folder) => loadMachineFiles(join(ROOT, folder))))
  const heads = files.flatMap((loaded) =>
    [...loaded].map(([machine, { default: logic }]) => chartOf(logic, { machine, kind: 'room', version: '1' })),
  )
  const inherited = createMachine({
    id: 'odd',
    on: { constructor: '.b', toString: '.a' },
    initial: 'a',
    states: { a: {}, b: {} },
  })
  const odd = chartOf(inherited, { machine: 'odd', kind: 'room', version: '1' })
  for (const chart of [...heads, odd, ...serverCharts] as Chart[]) {
    const { root } = chartOf(createMachine(JSON.parse(definitionOf(chart))), chart)
    t.same(root, chart.root, chart.machine)
  }
})

t.test('docs/inspector.md: what Stately’s tools are told', async (t) => {
  const page = readFileSync(join(ROOT, 'docs/inspector.md'), 'utf8')
  const server = await serverHere(t)
  const ann = await Tab.open(server, 'ann')
  await send(ann, 'counter/demo', 'increment')
  const eye = knock(t, server, only('room:counter/demo'))
  await about(eye, 'actor', 'room:counter/demo')
  await send(ann, 'counter/demo', 'increment')
  await about(eye, 'snapshot', 'room:counter/demo')
  const lines = blocks(page, 'stately').join('').split('\n').filter(Boolean)
  const written = lines.map((line) => JSON.parse(line) as Frame)
  t.same(asWritten(eye.frames, written), written)
})
