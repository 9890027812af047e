/** Getting in, being known, getting out: one WebSocket from the upgrade to the close. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import t from 'tap'
import { startServer, tokenFor } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

/** The status, headers and body of a request to upgrade; a 101 counts as a status like any other. */
async function upgrade(port: number, headers: Record<string, string>, { path = '/ws', method = 'GET' } = {}) {
  const asked = request({ port, path, method, headers })
  asked.end()
  const answer = await Promise.race([once(asked, 'upgrade'), once(asked, 'response')])
  const [response, socket] = answer
  let body = ''
  if (socket) socket.destroy()
  else for await (const chunk of response) body += chunk
  return { status: response.statusCode as number, headers: response.headers, body }
}

const asked = (headers: Record<string, string> = {}) => ({
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': KEY,
  ...headers,
})

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] as number

t.test('connections', async (t) => {
  const server = await startServer(t, {
    env: { CHARTROOM_LOG_LEVEL: 'debug', CHARTROOM_MAX_CONNECTIONS_PER_USER: '5' },
  })
  const token = await tokenFor('ann')
  const authorization = `Bearer ${token}`

  t.test('CONN-1 a valid token is answered 101 with the Sec-WebSocket-Accept of RFC 6455', async (t) => {
    const { status, headers } = await upgrade(server.port, asked({ authorization }))
    t.equal(status, 101)
    const accept = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    t.equal(headers['sec-websocket-accept'], accept)
  })

  t.test('CONN-2 C6 the five states are seen in order from outside', async (t) => {
    const tab = await Tab.open(server, 'two')
    const status = await tab.ask({ type: 'status' })
    t.match(status, { type: 'status', user: 'two', state: 'open', session: { connections: 1 }, rooms: [] })
    await tab.leave()
    const states = (await server.story(status.connection, 'closed')).map(({ to }) => to)
    t.same(states, ['connecting', 'authenticated', 'open', 'closed'])
  })

  t.test('CONN-2 a connection that the server ends goes through closing, and its story says why', async (t) => {
    const tab = await Tab.open(server, 'two')
    const { connection } = await tab.ask({ type: 'status' })
    for (let i = 0; i < 20; i++) tab.socket.send('no json')
    t.same(await tab.close(), { code: 4000, reason: 'bad_request' })
    t.match(await server.story(connection, 'closed'), [
      { from: null, to: 'connecting', event: 'xstate.init' },
      { from: 'connecting', to: 'authenticated' },
      { from: 'authenticated', to: 'open', event: 'joined' },
      { from: 'open', to: 'closing', event: 'end', cause: 'bad_request', ms: Number },
      { from: 'closing', to: 'closed', event: 'socket.closed', cause: '4000' },
    ])
  })

  t.test('C6 the state of a connection is in status, in its story and in the metrics', async (t) => {
    const [waiting, open] = [await Tab.open(server, '', { token: null }), await Tab.open(server, 'six')]
    t.match(await waiting.ask({ type: 'status' }), { code: 'not_in_state', state: 'connecting' })
    const { connection, state } = await open.ask({ type: 'status' })
    t.equal(state, 'open')
    t.equal((await server.story(connection, 'open')).at(-1)?.to, 'open')
    t.ok((await server.metric('chartroom_connections{state="connecting"}')) >= 1)
    t.ok((await server.metric('chartroom_connections{state="open"}')) >= 1)
  })

  t.test('CONN-3 a frame gets its answer, and the counters agree with what was sent and received', async (t) => {
    const tab = await Tab.open(server, 'three')
    for (let i = 0; i < 4; i++) await tab.ask({ type: 'ping', data: i })
    await tab.ask({ type: 'send', room: 'counter/three', event: { type: 'increment' } })
    const { frames } = await tab.ask({ type: 'status' })
    t.same(frames, { received: 6, sent: tab.frames.length - 1 })
    t.equal(tab.frames.length - 1, 6, 'a welcome, four pongs and an ok came before the status')
  })

  t.test('CONN-4 C1 the subprotocol is negotiated, a foreign one and the token are never echoed', async (t) => {
    const offers: [string, string | undefined][] = [
      ['chartroom.v1', 'chartroom.v1'],
      [`chartroom.v1, bearer.${token}`, 'chartroom.v1'],
      [`bearer.${token}, chartroom.v1`, 'chartroom.v1'],
      [`bearer.${token}`, undefined],
      ['mqtt', undefined],
      ['mqtt, chartroom.v1', 'chartroom.v1'],
    ]
    for (const [offer, chosen] of offers) {
      const { status, headers } = await upgrade(
        server.port,
        asked({ 'Sec-WebSocket-Protocol': offer, 'User-Agent': 'x/1' }),
      )
      t.equal(status, 101, offer)
      t.equal(headers['sec-websocket-protocol'], chosen, offer)
    }
    const tab = await Tab.open(server, 'four')
    tab.socket.ping('are you there')
    const [answer] = await once(tab.socket, 'pong')
    t.equal(String(answer), 'are you there')
  })

  t.test('CONN-5 C2 an invalid token is refused with a reason that the client can read', async (t) => {
    const { status, headers, body } = await upgrade(server.port, asked({ authorization: 'Bearer a.b.c' }))
    t.equal(status, 401)
    t.equal(headers['www-authenticate'], 'Bearer error="invalid_token"')
    t.match(JSON.parse(body), { type: 'error', code: 'unauthorized', message: String, retry: false })
  })

  t.test('CONN-9 100 connections, one after the other', async (t) => {
    const took: number[] = []
    for (let i = 0; i < 100; i++) {
      const began = performance.now()
      const tab = await Tab.open(server, 'nine', { token: await tokenFor('nine') })
      took.push(performance.now() - began)
      await tab.leave()
    }
    t.ok(Math.max(...took) < 5000, `the slowest took ${Math.max(...took)} ms`)
    t.comment(`median ${median(took).toFixed(1)} ms`)
  })

  t.test('CONN-10 100 users at once', async (t) => {
    const users = Array.from({ length: 100 }, (_, i) => `user${i}`)
    const tabs = await Promise.all(users.map((user) => Tab.open(server, user)))
    t.same(
      tabs.map((tab) => tab.frames[0]?.user),
      users,
    )
    await Promise.all(tabs.map((tab) => tab.leave()))
  })

  t.test('CONN-11 every ping comes back, each to its own', async (t) => {
    const tab = await Tab.open(server, 'eleven')
    const took: number[] = []
    for (let i = 0; i < 50; i++) {
      const began = performance.now()
      const pong = await tab.ask({ type: 'ping', data: i })
      took.push(performance.now() - began)
      t.equal(pong.data, i)
    }
    t.comment(`median round trip ${median(took).toFixed(2)} ms`)
  })

  t.test('CONN-13 X2 a clean close is 1000 both ways, and nothing of the connection stays', async (t) => {
    const [one, two] = [await Tab.open(server, 'thirteen'), await Tab.open(server, 'thirteen')]
    one.socket.close(1000, 'bye')
    t.equal((await one.close()).code, 1000)
    await two.until(async () => (await two.ask({ type: 'status' })).session.connections === 1)
    const sending = new Promise((sent, failed) =>
      one.socket.send('{}', (error) => (error ? failed(error) : sent(true))),
    )
    await t.rejects(sending, /not open/, 'sending afterwards fails at the caller')
  })

  t.test('C1 a token as the first frame opens the connection, and its reply has the id', async (t) => {
    const tab = await Tab.open(server, 'ann', { token: null })
    const welcome = await tab.ask({ type: 'auth', token })
    t.match(welcome, {
      type: 'welcome',
      v: 1,
      connection: /^c_/,
      user: 'ann',
      session: { connections: Number },
      state: 'open',
    })
    t.match(welcome, {
      heartbeat: { interval: 25_000, timeout: 10_000 },
      limits: { frame: 65_536 },
      expiresAt: Number,
      time: Number,
    })
  })

  t.test('C1 a token in the query counts only where the operator switched it on', async (t) => {
    const tab = Tab.connect(server, { token: null, query: `?access_token=${token}` })
    await once(tab.socket, 'open')
    const refused = await tab.ask({ type: 'status' })
    t.equal(refused.code, 'not_in_state')
    const other = await startServer(t, { env: { CHARTROOM_QUERY_TOKEN: 'true' } })
    const welcomed = Tab.connect(other, { token: null, query: `?access_token=${token}` })
    t.equal((await welcomed.next('welcome')).user, 'ann')
  })

  t.test('C3 frames behind an auth wait for it; a 17th is told to come again', async (t) => {
    const tab = await Tab.open(server, 'ann', { token: null })
    const fresh = await tokenFor('ann', { claims: { jti: 'never seen before' } })
    tab.burst([
      { type: 'auth', token: fresh, id: 'in' },
      ...Array.from({ length: 17 }, (_, id) => ({ type: 'ping', id })),
    ])
    t.match(await tab.next((frame) => frame.id === 16), { type: 'error', code: 'overloaded', retry: true })
    for (let i = 0; i < 16; i++) await tab.next((frame) => frame.id === i && frame.type === 'pong')
    const order = tab.frames.filter((frame) => frame.type !== 'error').map((frame) => frame.id)
    t.same(order, ['in', ...Array.from({ length: 16 }, (_, i) => i)])
  })

  t.test('C4 an origin that is not on the list is refused, a plain GET is told to upgrade', async (t) => {
    const at = (origin: string) => upgrade(server.port, asked({ authorization, origin })).then(({ status }) => status)
    t.equal(await at(`http://localhost:${server.port}`), 101, 'the same host')
    t.equal(await at('http://localhost:1'), 403, 'another port')
    t.equal(await at('http://evil.example'), 403)
    t.equal(await at('null'), 403)
    const plain = await upgrade(server.port, {})
    t.equal(plain.status, 426)
    t.equal(plain.headers.upgrade, 'websocket')
    const other = await startServer(t, { env: { CHARTROOM_ORIGINS: 'https://app.example,https://b.example' } })
    const there = (origin: string) => upgrade(other.port, asked({ authorization, origin })).then(({ status }) => status)
    t.equal(await there('https://b.example'), 101)
    t.equal(await there(`http://localhost:${other.port}`), 403)
    t.equal(await there('null'), 403)
  })

  t.test('C4 what is no handshake is refused by its fault, and the server goes on', async (t) => {
    const { 'Sec-WebSocket-Key': _, ...withoutKey } = asked()
    const cases: [number, Record<string, string>, { method?: string }?][] = [
      [426, asked({ 'Sec-WebSocket-Version': '8' })],
      [426, asked({ 'Sec-WebSocket-Version': '99' })],
      [426, asked({ 'Sec-WebSocket-Version': '' })],
      [400, withoutKey],
      [400, asked({ 'Sec-WebSocket-Key': '!'.repeat(24) })],
      [400, asked({ 'Sec-WebSocket-Key': 'short' })],
      [400, asked({ Connection: 'keep-alive' })],
      [426, asked({ Upgrade: 'h2c' })],
      [405, asked(), { method: 'POST' }],
    ]
    for (const [status, headers, options] of cases) {
      t.equal((await upgrade(server.port, headers, options)).status, status, JSON.stringify([headers, options]))
    }
    const { headers } = await upgrade(server.port, asked({ 'Sec-WebSocket-Version': '8' }))
    t.equal(headers['sec-websocket-version'], '13')
    t.equal((await upgrade(server.port, asked({ authorization }))).status, 101)
  })

  t.test('CONC-2 C5 over the limit of a user: five open, three refused, a freed place is usable', async (t) => {
    const tabs = await Promise.all(
      Array.from({ length: 8 }, async () => Tab.connect(server, { token: await tokenFor('crowd') })),
    )
    const outcomes = await Promise.all(
      tabs.map((tab) => tab.next((frame) => ['welcome', 'closing'].includes(frame.type))),
    )
    const opened = tabs.filter((_, i) => outcomes[i]?.type === 'welcome')
    const refused = tabs.filter((_, i) => outcomes[i]?.type === 'closing')
    t.equal(opened.length, 5)
    for (const tab of refused) t.same(await tab.close(), { code: 4104, reason: 'too_many_connections' })
    t.match(
      outcomes.filter((frame) => frame.type === 'closing'),
      Array(3).fill({ code: 4104, reconnect: true, reason: String }),
    )
    const [first, second] = opened as [Tab, Tab]
    t.equal((await first.ask({ type: 'status' })).session.connections, 5)
    await second.leave()
    await first.until(async () => (await first.ask({ type: 'status' })).session.connections === 4)
    await Tab.open(server, 'crowd')
  })

  t.test('C5 over the limit of the server: 503 with Retry-After', async (t) => {
    const small = await startServer(t, { env: { CHARTROOM_MAX_CONNECTIONS: '1' } })
    const tab = await Tab.open(small, 'ann')
    const { status, headers } = await upgrade(small.port, asked({ authorization }))
    t.equal(status, 503)
    t.match(headers, { 'retry-after': /^\d+$/ })
    await tab.leave()
    await tab.until(async () => (await upgrade(small.port, asked({ authorization }))).status === 101)
  })

  t.test('X1 SIGTERM: every client is told when to come back, and the server ends with 0', async (t) => {
    const other = await startServer(t)
    const tabs = await Promise.all(['ann', 'bob', 'cat'].map((user) => Tab.open(other, user)))
    const ended = other.end('SIGTERM')
    for (const tab of tabs) {
      t.match(await tab.next('closing'), { code: 1001, reconnect: true, retryAfter: Number })
      t.equal((await tab.close()).code, 1001)
    }
    t.equal(await ended, 0)
  })

  t.test('no connection attempt left a word on stderr that is no log line', async (t) => {
    for (const line of server.stderr.split('\n').filter(Boolean)) t.doesNotThrow(() => JSON.parse(line), line)
    t.notMatch(server.stderr, token.slice(-20), 'nor a token')
  })
})
