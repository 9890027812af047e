/** The server API: every route, what it answers, and everything it refuses; and the lines of docs/api.md, run. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { ROOT, SECRET, type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

interface Got {
  readonly status: number
  readonly body: Frame
  readonly allow: string | null
}

/** Asks, and gives back status and frame; `body` is sent as it is where it is a string. */
async function ask(service: Service, method: string, path: string, body?: object | string): Promise<Got> {
  const sent = typeof body === 'object' ? JSON.stringify(body) : body
  const response = await service.fetch(method, path, sent)
  return {
    status: response.status,
    body: (await response.json()) as Frame,
    allow: response.headers.get('allow'),
  }
}

const post = { type: 'message.post', text: 'hello' }
const increment = { type: 'increment' }

/** One request that each route understands. */
const ROUTES: readonly (readonly [method: string, path: string, allow: string, body?: object])[] = [
  ['POST', '/v1/rooms/counter/a/events', 'POST', { event: increment }],
  ['GET', '/v1/rooms/counter/a', 'GET'],
  ['GET', '/v1/rooms/counter/a/history', 'GET'],
  ['GET', '/v1/rooms/counter/a/dead-letters', 'GET, POST'],
  ['POST', '/v1/rooms/counter/a/dead-letters', 'GET, POST', { seq: 1 }],
  ['GET', '/v1/rooms/counter/a/dead-letters/1', 'GET, DELETE'],
  ['DELETE', '/v1/rooms/counter/a/dead-letters/1', 'GET, DELETE'],
  ['POST', '/v1/rooms/counter/a/revive', 'POST', {}],
  ['POST', '/v1/users/ann/messages', 'POST', { data: 1 }],
  ['GET', '/v1/users/ann/inbox', 'GET'],
  ['GET', '/v1/users/ann/dead-letters', 'GET, POST'],
  ['POST', '/v1/users/ann/dead-letters', 'GET, POST', { seq: 1 }],
  ['DELETE', '/v1/users/ann/dead-letters/1', 'DELETE'],
  ['DELETE', '/v1/users/nobody/connections', 'DELETE'],
  ['DELETE', '/v1/tokens/nothing', 'DELETE'],
  ['GET', '/v1/connections/c_none', 'GET'],
]

t.test('api', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_INBOX_CAPACITY: '2', CHARTROOM_MAX_ATTEMPTS: '1' } })
  const service = await Service.of(server)

  t.test('401 without a good token, 403 without the scope, 405 with Allow, for every route', async (t) => {
    const stranger = await Service.of(server, { scope: 'services servic' })
    for (const [method, path, allow, body] of ROUTES) {
      const sent = body && JSON.stringify(body)
      const headers = { authorization: 'Bearer nonsense' }
      const url = `http://127.0.0.1:${server.port}${path}`
      for (const refused of [
        await fetch(url, { method, ...(sent && { body: sent }) }),
        await fetch(url, { method, headers, ...(sent && { body: sent }) }),
      ]) {
        t.equal(refused.status, 401, `${method} ${path}`)
        t.equal(refused.headers.get('www-authenticate'), 'Bearer error="invalid_token"')
        t.match(await refused.json(), { type: 'error', code: 'unauthorized', message: /./ })
      }
      t.match(await ask(stranger, method, path, body), { status: 403, body: { type: 'error', code: 'forbidden' } })
      for (const other of ['PUT', 'PATCH', 'GET', 'POST', 'DELETE'].filter((name) => !allow.includes(name))) {
        const got = await ask(service, other, path, other === 'POST' ? {} : undefined)
        t.match(got, { status: 405, allow, body: { type: 'error' } }, `${other} ${path}`)
      }
    }
    t.match((await ask(service, 'GET', '/v1/users/ann/inbox')).body, { total: 0 }, 'nothing was done meanwhile')
    t.match((await ask(service, 'GET', '/v1/rooms/counter/a')).body, { seq: 0 })
  })

  t.test('404 for what the API does not have', async (t) => {
    for (const path of ['/v1/', '/v1/rooms', '/v1/rooms/counter', '/v1/rooms/counter/a/b', '/v1/users/ann', '/v1/x']) {
      t.match(await ask(service, 'GET', path), { status: 404, body: { type: 'error' } }, path)
    }
    t.match(await ask(service, 'GET', '/v1/rooms/nothing/a'), { status: 404, body: { code: 'unknown_machine' } })
    t.match(await ask(service, 'GET', '/v1/connections/c_none'), { status: 404 })
  })

  t.test('an event: ok with its seq, in the name of whom it is sent, and everybody in the room sees it', async (t) => {
    const tab = await Tab.open(server, 'ann')
    await tab.join('chat/api')
    const events = '/v1/rooms/chat/api/events'
    const ok = { type: 'ok', room: 'chat/api', seq: 3 }
    t.same(await ask(service, 'POST', events, { event: post }), { status: 200, body: ok, allow: null })
    t.match(await ask(service, 'POST', events, { event: post, as: 'bob' }), { body: { seq: 4 } })
    await tab.reaches('chat/api', 4)
    t.match(tab.state('chat/api').context.messages, [{ from: 'backend' }, { from: 'bob' }])
  })

  t.test('L3 a key of the same name is dup with the first seq; it is its user’s own', async (t) => {
    const send = (fields: object) =>
      ask(service, 'POST', '/v1/rooms/counter/keys/events', { event: increment, ...fields })
    t.match(await send({ key: 'k' }), { status: 200, body: { seq: 2 } })
    t.match(await send({ key: 'k' }), { status: 200, body: { seq: 2, dup: true } })
    t.match(await send({ key: 'k', as: 'bob' }), { status: 200, body: { seq: 3 } })
    t.match(await send({ key: 'k', as: 'backend' }), { status: 200, body: { seq: 2, dup: true } })
    const message = { data: 1, key: 'k' }
    t.match(await ask(service, 'POST', '/v1/users/keys/messages', message), { body: { type: 'ok', seq: 1 } })
    t.match(await ask(service, 'POST', '/v1/users/keys/messages', message), { body: { seq: 1, dup: true } })
  })

  t.test('L4 if with a stale seq is 409 conflict, with expected and actual', async (t) => {
    const send = (seq: number) => ask(service, 'POST', '/v1/rooms/counter/if/events', { event: increment, if: seq })
    t.match(await send(0), { status: 200, body: { seq: 2 } })
    t.match(await send(1), { status: 409, body: { code: 'conflict', expected: 1, actual: 2, retry: true } })
    t.match(await ask(service, 'GET', '/v1/rooms/counter/if'), { body: { seq: 2, state: { context: { count: 1 } } } })
  })

  t.test('409 not_accepted, with value and can', async (t) => {
    const got = await ask(service, 'POST', '/v1/rooms/counter/no/events', { event: { type: 'explode' } })
    t.match(got, { status: 409, body: { code: 'not_accepted', value: {}, can: ['decrement', 'increment', 'reset'] } })
  })

  t.test('a room is shown as get does, its past as history does', async (t) => {
    const tab = await Tab.open(server, 'ann')
    for (const _ of [1, 2, 3]) await tab.ask({ type: 'send', room: 'counter/shown', event: increment })
    const { id: _, ...got } = await tab.ask({ type: 'get', room: 'counter/shown' })
    t.same((await ask(service, 'GET', '/v1/rooms/counter/shown')).body, got)
    const { id: __, ...page } = await tab.ask({ type: 'history', room: 'counter/shown', since: 1, limit: 2 })
    t.same((await ask(service, 'GET', '/v1/rooms/counter/shown/history?since=1&limit=2')).body, page)
    t.match(page, { events: [{ seq: 2 }, { seq: 3 }], more: true })
    const { id: ___, ...whole } = await tab.ask({ type: 'history', room: 'counter/shown' })
    t.same((await ask(service, 'GET', '/v1/rooms/counter/shown/history')).body, whole)
  })

  t.test('@me is the caller, or the user in whose name it acts', async (t) => {
    t.match(await ask(service, 'GET', '/v1/rooms/counter/@me'), { body: { room: 'counter/backend' } })
    t.match(await ask(service, 'GET', '/v1/rooms/counter/@me?as=bob'), { body: { room: 'counter/bob' } })
    t.match(await ask(service, 'GET', '/v1/rooms/counter/@me/history?as=bob'), { body: { room: 'counter/bob' } })
    t.match(await ask(service, 'POST', '/v1/rooms/counter/@me/events', { event: increment, as: 'bob' }), {
      body: { room: 'counter/bob', seq: 2 },
    })
  })

  t.test('400 for a body that is none, or not one that the route understands', async (t) => {
    const events = '/v1/rooms/counter/bad/events'
    const messages = '/v1/users/bad/messages'
    for (const [path, body, code, at] of [
      [events, '', 'bad_json', undefined],
      [events, '{"event":', 'bad_json', undefined],
      [events, '[]', 'bad_frame', ''],
      [events, '{}', 'bad_frame', '/event'],
      [events, '{"event":{}}', 'bad_frame', '/event/type'],
      [events, '{"event":{"type":"increment"},"if":-1}', 'bad_frame', '/if'],
      [events, '{"event":{"type":"increment"},"key":""}', 'bad_frame', '/key'],
      [events, '{"event":{"type":"increment"},"as":""}', 'bad_frame', '/as'],
      [events, '{"event":{"type":"increment","__proto__":1}}', 'bad_frame', '/event/__proto__'],
      [events, '{"event":{"type":"room.left"}}', 'bad_event', '/event/type'],
      [events, '{"event":{"type":"xstate.stop"}}', 'bad_event', '/event/type'],
      [events, `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`, 'bad_frame', ''],
      [events, '{"type":"error","code":"rate_limited"}', 'bad_frame', '/event'],
      [events, '{"type":"error","code":"no such code"}', 'bad_frame', '/event'],
      [events, '{"event":{"type":"error","code":"no such code"}}', 'not_accepted', undefined],
      [messages, '{}', 'bad_frame', '/data'],
      [messages, '{"data":1,"priority":"urgent"}', 'bad_frame', '/priority'],
      [messages, '{"data":1,"ttl":0}', 'bad_frame', '/ttl'],
      ['/v1/users/bad/dead-letters', '{"seq":0}', 'bad_frame', '/seq'],
      ['/v1/users/bad/dead-letters', '{}', 'bad_frame', '/seq'],
    ] as const) {
      const got = await ask(service, 'POST', path, body)
      t.match(got, { status: code === 'not_accepted' ? 409 : 400, body: { type: 'error', code } }, `${path} ${body}`)
      if (at !== undefined) t.equal(got.body.path, at, `${path} ${body}`)
    }
    t.match(await ask(service, 'GET', '/v1/rooms/counter/bad'), { body: { seq: 0 } }, 'nothing came of it')
  })

  t.test('400 for a path or a query that cannot be', async (t) => {
    const long = 'x'.repeat(129)
    for (const [method, path, code] of [
      ['GET', '/v1/rooms/counter/%E0%A4%A', 'bad_frame'],
      ['GET', '/v1/users/%ff/inbox', 'bad_frame'],
      ['GET', '/v1/rooms/counter/a%2Fb', 'bad_room'],
      ['GET', '/v1/rooms/Counter/a', 'bad_room'],
      ['GET', `/v1/rooms/counter/${long}`, 'bad_room'],
      ['GET', `/v1/users/${long}/inbox`, 'bad_frame'],
      ['GET', `/v1/users/${long}/dead-letters`, 'bad_frame'],
      ['GET', `/v1/users/${'x'.repeat(3000)}/inbox`, 'bad_frame'],
      ['POST', `/v1/users/${long}/messages`, 'bad_frame'],
      ['DELETE', `/v1/users/${long}/connections`, 'bad_frame'],
      ['GET', '/v1/rooms/counter/a?as=', 'bad_frame'],
      ['GET', `/v1/rooms/counter/a?as=${long}`, 'bad_frame'],
      ['GET', '/v1/rooms/counter/a/history?as=', 'bad_frame'],
      ['GET', '/v1/rooms/counter/a/history?since=-1', 'bad_frame'],
      ['GET', '/v1/rooms/counter/a/history?since=x', 'bad_frame'],
      ['GET', '/v1/rooms/counter/a/history?limit=0', 'bad_frame'],
      ['GET', '/v1/rooms/counter/a/history?limit=1001', 'bad_frame'],
    ] as const) {
      const body = method === 'POST' ? { data: 1 } : undefined
      t.match(await ask(service, method, path, body), { status: 400, body: { code } }, `${method} ${path.slice(0, 60)}`)
    }
  })

  t.test('400 too_large for a body larger than a frame may be; one as large as that goes through', async (t) => {
    const data = (length: number) => JSON.stringify({ data: 'x'.repeat(length - '{"data":""}'.length) })
    const path = '/v1/users/large/messages'
    t.match(await ask(service, 'POST', path, data(65_537)), { status: 400, body: { code: 'too_large' } })
    t.match(await ask(service, 'POST', path, data(1_000_000)), { status: 400, body: { code: 'too_large' } })
    t.match(await ask(service, 'POST', path, data(65_536)), { status: 200, body: { seq: 1 } })
  })

  t.test('429 inbox_full, and dead letters: listed, replayed, deleted, 404 for one that is not there', async (t) => {
    const at = (rest: string) => `/v1/users/full/${rest}`
    const tab = await Tab.open(server, 'full')
    for (const data of [1, 2]) {
      t.match(await ask(service, 'POST', at('messages'), { data, as: 'bob' }), { status: 200, body: { seq: data } })
      t.match(await tab.next('message'), { seq: data, from: 'bob', data })
    }
    const refused = await ask(service, 'POST', at('messages'), { data: 3 })
    t.match(refused, { status: 429, body: { code: 'inbox_full', retry: true } })
    await tab.ask({ type: 'nack', seq: [1, 2] })
    t.match(await ask(service, 'GET', at('inbox')), {
      status: 200,
      body: { type: 'inbox', user: 'full', normal: 0, high: 0, total: 0, deadLetters: 2, dropped: 0, expired: 0 },
    })
    const { body } = await ask(service, 'GET', at('dead-letters'))
    t.match(body, { type: 'dead-letters', user: 'full', letters: [{ seq: 1, from: 'bob' }, { seq: 2 }] })
    t.match(await ask(service, 'POST', at('dead-letters'), { seq: 1 }), { status: 200, body: { type: 'ok', seq: 3 } })
    t.match(await ask(service, 'POST', at('dead-letters'), { seq: 1 }), { status: 404, body: { code: 'unknown_seq' } })
    t.match(await ask(service, 'DELETE', at('dead-letters/2')), { status: 200, body: { type: 'ok' } })
    t.match(await ask(service, 'DELETE', at('dead-letters/2')), { status: 404, body: { code: 'unknown_seq' } })
    t.match(await ask(service, 'DELETE', at('dead-letters/x')), { status: 404 })
  })

  t.test('names are percent-encoded: a user of any kind, a room with an @', async (t) => {
    for (const user of ['a b', 'ü/ö?#', '%', '😀'.repeat(32)]) {
      const path = `/v1/users/${encodeURIComponent(user)}`
      t.match(await ask(service, 'POST', `${path}/messages`, { data: user }), { status: 200, body: { seq: 1 } })
      t.match(await ask(service, 'GET', `${path}/inbox`), { body: { user, total: 1 } })
      const tab = await Tab.open(server, user)
      t.match(await tab.next('message'), { data: user })
    }
    t.match(await ask(service, 'GET', '/v1/rooms/counter/ann%40home'), { body: { room: 'counter/ann@home' } })
    t.match(await ask(service, 'GET', '/v1/rooms/counter/ann%40home?as=%C3%BC'), { status: 200 })
  })

  t.test('A4 a user’s connections are ended, and how many is told; so are those of one token', async (t) => {
    const tab = await Tab.open(server, 'gone')
    const { connection } = tab.frames[0] as Frame
    t.same((await ask(service, 'DELETE', '/v1/users/gone/connections')).body, { type: 'ok', connections: 1 })
    t.match(await tab.close(), { code: 4010 })
    t.match(await ask(service, 'GET', `/v1/connections/${connection}`), {
      status: 200,
      body: { transitions: [{ to: 'connecting' }] },
    })
    const token = await tokenFor('jti', { claims: { jti: 'a/b' } })
    const other = await Tab.open(server, 'jti', { token })
    t.same((await ask(service, 'DELETE', '/v1/tokens/a%2Fb')).body, { type: 'ok', connections: 1 })
    t.match(await other.close(), { code: 4010 })
  })
})

t.test('R4 an access rule sees the caller’s scopes, and the user in whose name it acts', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/machines') } })
  const service = await Service.of(server)
  const say = { event: { type: 'say' } }
  for (const [method, path, body] of [
    ['GET', '/v1/rooms/members/of:ann', undefined],
    ['GET', '/v1/rooms/members/of:ann/history', undefined],
    ['POST', '/v1/rooms/members/of:ann/events', say],
  ] as const) {
    t.match(await ask(service, method, path, body), { status: 403, body: { code: 'forbidden' } }, path)
    const asAnn = body ? ask(service, method, path, { ...body, as: 'ann' }) : ask(service, method, `${path}?as=ann`)
    t.equal((await asAnn).status, 200, `${path} as ann`)
  }
  t.match(await ask(service, 'GET', '/v1/rooms/members/any?as=ann'), { status: 403 }, 'the scopes stay the caller’s')
  const failed = await ask(service, 'POST', '/v1/rooms/faulty/a/events', { event: { type: 'fail.assign' } })
  t.match(failed, { status: 409, body: { code: 'event_failed' } })
})

t.test('E2 what looks like a failure of ours is a frame like any other', async (t) => {
  const server = await startServer(t)
  const tab = await Tab.open(server, 'ann')
  for (const code of ['rate_limited', 'anything at all']) {
    t.match(await tab.ask({ type: 'error', code, message: 'mine' }), { code: 'unknown_type' })
    const event = { type: 'error', code, message: 'mine' }
    t.match(await tab.ask({ type: 'send', room: 'counter/x', event }), { code: 'not_accepted' })
  }
  const metrics = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()
  t.notMatch(metrics, /anything at all/, 'nor does it make a label of a metric')
})

/** What of an answer is the same in every run: names, kinds, lengths, and every value but what is the moment's own. */
function shapeOf(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((one) => shapeOf(one))
  if (typeof value !== 'object' || value === null) return VARYING.has(name) ? typeof value : value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner, key)]))
}

const VARYING = new Set(['time', 'diedAt', 'oldestAge', 'epoch', 'connection', 'ms'])

/** A terminal on which the lines of the docs are typed; what a line exports is there for the next. */
class Shell {
  readonly #env: Record<string, string | undefined> = { ...process.env, CHARTROOM_JWT_SECRET: SECRET }

  async type(line: string): Promise<string> {
    const { stdout } = await promisify(execFile)('bash', ['-euc', `${line}\necho "TOKEN $TOKEN"`], {
      cwd: ROOT,
      env: this.#env,
    })
    const [, answer = '', token = ''] = /^(.*)TOKEN (\S+)\n$/s.exec(stdout) ?? []
    this.#env.TOKEN = token
    return answer
  }
}

t.test('the lines of docs/api.md, each with the answer that stands behind it', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_ACK_TIMEOUT: '100' } })
  const ann = await Tab.open(server, 'ann')
  const text = readFileSync(join(ROOT, 'docs/api.md'), 'utf8')
  const steps = [...text.matchAll(/^```sh\n(.*?)^```\n(?:```json\n(.*?)^```\n)?/gms)]
  t.ok(steps.length > 12, `${steps.length} lines`)
  const shell = new Shell()
  for (const [, line = '', answer] of steps) {
    if (line.includes('users/ann/dead-letters')) await ann.until(async () => (await died(server, 'ann')) >= 1)
    const typed = line
      .replaceAll('127.0.0.1:8080', `127.0.0.1:${server.port}`)
      .replaceAll(/c_\w+/g, (ann.frames[0] as Frame).connection)
    const got = await shell.type(typed)
    if (answer) t.same(shapeOf(JSON.parse(got)), shapeOf(JSON.parse(answer)), line)
  }
})

/** How many messages of a user were ever given up on: those replayed meanwhile are too. */
async function died(server: ServerProcess, user: string): Promise<number> {
  return ((await (await Service.of(server)).get(`/v1/users/${user}/inbox`)) as Frame).deadLetters
}
