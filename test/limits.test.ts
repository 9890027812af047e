/** What a connection may do so often, so long or so large and no further: each limit that an operator sets, with its outcome. */
import { once } from 'node:events'
import { request } from 'node:http'
import { isIP } from 'node:net'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { idOf } from '../src/connection/glance.ts'
import { clientAddress } from '../src/transport/forwarded.ts'
import { Raw } from './fixtures/raw.ts'
import { type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { Tab } from './fixtures/tab.ts'

/** A request to upgrade from an address of this machine; who is let in stays until the test ends. */
async function knock(t: Test, { port }: ServerProcess, localAddress: string, token: string, forwardedFor?: string) {
  const asked = request({
    port,
    host: '127.0.0.1',
    path: '/ws',
    localAddress,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      Authorization: `Bearer ${token}`,
      ...(forwardedFor !== undefined && { 'X-Forwarded-For': forwardedFor }),
    },
  }).end()
  const [response, socket] = await Promise.race([once(asked, 'upgrade'), once(asked, 'response')])
  if (socket) t.teardown(() => socket.destroy())
  let body = ''
  if (!socket) for await (const chunk of response) body += chunk
  const leave = (): void => socket.destroy()
  return { status: response.statusCode as number, retryAfter: response.headers['retry-after'], body, leave }
}

t.test('connections', async (t) => {
  const limits = {
    CHARTROOM_MAX_CONNECTIONS: '4',
    CHARTROOM_MAX_CONNECTIONS_PER_ADDRESS: '2',
    CHARTROOM_MAX_AUTH_FAILURES_PER_ADDRESS: '2',
  }
  const [server, token] = await Promise.all([startServer(t, { env: limits }), tokenFor('ann')])

  t.test('C5 maxConnectionsPerAddress: 429 with Retry-After, for that address alone', async (t) => {
    const first = await knock(t, server, '127.0.0.1', token)
    t.same([first.status, (await knock(t, server, '127.0.0.1', token)).status], [101, 101])
    t.match(await knock(t, server, '127.0.0.1', token), { status: 429, retryAfter: '5', body: /address/ })
    const other = await knock(t, server, '127.0.0.2', token)
    t.equal(other.status, 101)
    first.leave()
    other.leave()
    await frees(server, 1)
    t.equal((await knock(t, server, '127.0.0.1', token)).status, 101, 'a freed place is usable')
  })

  t.test('C5 maxConnections: 503 with Retry-After, for everybody', async (t) => {
    await frees(server, 0)
    for (const address of ['127.0.0.4', '127.0.0.4', '127.0.0.5', '127.0.0.5']) {
      t.equal((await knock(t, server, address, token)).status, 101)
    }
    t.match(await knock(t, server, '127.0.0.6', token), { status: 503, retryAfter: '5', body: /full/ })
  })

  t.test('C2 maxAuthFailuresPerAddress: 429 also for a good token, for that address alone', async (t) => {
    await frees(server, 0)
    for (const bad of ['a.b.c', `${token}x`]) t.equal((await knock(t, server, '127.0.0.3', bad)).status, 401)
    t.match(await knock(t, server, '127.0.0.3', token), { status: 429, retryAfter: '60', body: /refused tokens/ })
    t.equal((await knock(t, server, '127.0.0.1', token)).status, 101)
  })
})

t.test('trustProxy', async (t) => {
  const limits = { CHARTROOM_MAX_CONNECTIONS_PER_ADDRESS: '1', CHARTROOM_MAX_AUTH_FAILURES_PER_ADDRESS: '1' }
  const token = await tokenFor('ann')
  const behind = (hops: string) => startServer(t, { env: { ...limits, CHARTROOM_TRUST_PROXY: hops } })
  const [none, one, two] = await Promise.all([startServer(t, { env: limits }), behind('1'), behind('2')])
  const status = async (server: ServerProcess, forwardedFor: string, given = token) =>
    (await knock(t, server, '127.0.0.1', given, forwardedFor)).status

  t.test('C5 without it a forged header is not read', async (t) => {
    t.same([await status(none, '203.0.113.7'), await status(none, '203.0.113.8')], [101, 429])
  })

  t.test('C5 the address that the proxy has written is counted, not what stands before it', async (t) => {
    t.equal(await status(one, '203.0.113.7'), 101)
    t.equal(await status(one, '203.0.113.8, 203.0.113.7'), 429, 'whatever a client has written')
    t.equal(await status(one, '203.0.113.8'), 101)
    t.same([await status(one, '2001:db8::1'), await status(one, '[2001:DB8:0::1]:4711')], [101, 429])
    t.same([await status(one, '::ffff:192.0.2.1'), await status(one, '192.0.2.1:4711')], [101, 429])
  })

  t.test('C5 the addresses of one IPv6 network (/64) count as one', async (t) => {
    t.same([await status(one, '2001:db8:0:1::1'), await status(one, '2001:db8:0:1:a:b:c:d')], [101, 429])
    t.same([await status(one, '2001:db8:0:2::'), await status(one, '2001:db8::2:0:0:0:1')], [101, 429])
    t.equal(await status(one, '2001:db8:0:3::1'), 101)
  })

  t.test('C2 a refused token counts against the address that the proxy has written', async (t) => {
    t.equal(await status(one, '203.0.113.9', 'a.b.c'), 401)
    t.equal(await status(one, '203.0.113.9'), 429)
    t.equal(await status(one, '203.0.113.10'), 101)
  })

  t.test('C5 what names no address there, or too few, is the peer’s own', async (t) => {
    t.same([await status(one, 'unknown'), await status(one, '203.0.113.11, ')], [101, 429])
    t.same([await status(two, '203.0.113.7'), await status(two, '203.0.113.8')], [101, 429])
    t.same([await status(two, '203.0.113.7, 10.0.0.1'), await status(two, '203.0.113.7, 10.0.0.2')], [101, 429])
  })

  t.test('the story of a connection tells the address', async (t) => {
    const tab = await Tab.open(one, 'bob', { headers: { 'x-forwarded-for': '198.51.100.4, 203.0.113.12' } })
    const { connection } = await tab.ask({ type: 'status' })
    const service = await Service.of(one)
    t.match(await service.get(`/v1/connections/${connection}`), { user: 'bob', address: '203.0.113.12' })
  })
})

t.test('trustProxy: an address is counted by one spelling', (t) => {
  const mapped = '0000:0000:0000:0000:0000:ffff:7f00:0001'
  t.equal(clientAddress(mapped, '203.0.113.7', 0), '127.0.0.1')
  t.equal(clientAddress('0000:0000:0000:0000:0000:0000:0000:0001', '', 1), '::1')
  const rows: [header: string, hops: number, address: string][] = [
    ['', 1, '127.0.0.1'],
    [',', 1, '127.0.0.1'],
    ['a, 203.0.113.7 ', 1, '203.0.113.7'],
    ['203.0.113.7,b', 2, '203.0.113.7'],
    ['203.0.113.7, b', 3, '127.0.0.1'],
    ['203.0.113.7:80', 1, '203.0.113.7'],
    ['::FFFF:203.0.113.7', 1, '203.0.113.7'],
    ['[::ffff:cb00:7107]:80', 1, '203.0.113.7'],
    ['2001:DB8:0:0:0:0:0:7', 1, '2001:db8::7'],
    ['203.0.113.07', 1, '127.0.0.1'],
    ['203.0.113.7/8', 1, '127.0.0.1'],
    ['[203.0.113.7', 1, '127.0.0.1'],
  ]
  for (const [header, hops, address] of rows) t.equal(clientAddress('127.0.0.1', header, hops), address, header)
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.ipV6(),
        fc.ipV4(),
        fc.string().map((zone) => `fe80::1%${zone}`),
      ),
      (header) => {
        t.not(isIP(clientAddress('127.0.0.1', header, 1)), 0)
      },
    ),
  )
  t.end()
})

/** Waits until the server has so many open connections. */
async function frees(server: ServerProcess, open: number): Promise<void> {
  while ((await server.metric('chartroom_connections{state="open"}')) > open);
}

t.test('one connection', async (t) => {
  const limits = {
    CHARTROOM_AUTH_TIMEOUT: '1000',
    CHARTROOM_ERROR_WINDOW: '500',
    CHARTROOM_MAX_AUTH_FRAME: '2048',
    CHARTROOM_MAX_CONNECTIONS_PER_USER: '2',
    CHARTROOM_MAX_ERRORS: '3',
    CHARTROOM_MAX_FRAME: '4096',
    CHARTROOM_MAX_FRAMES_BEFORE_AUTH: '5',
    CHARTROOM_MAX_HEADER: '4096',
    CHARTROOM_MAX_ROOMS_PER_CONNECTION: '2',
  }
  const server = await startServer(t, { env: limits })
  const stranger = () => Tab.open(server, '', { token: null })

  t.test('C5 maxConnectionsPerUser: closing and 4104, and the others do not notice', async (t) => {
    const tabs = [await Tab.open(server, 'many'), await Tab.open(server, 'many')]
    const third = Tab.connect(server, { token: await tokenFor('many') })
    t.match(await third.next('closing'), { code: 4104, reconnect: true, reason: /2 connections/ })
    t.same(await third.close(), { code: 4104, reason: 'too_many_connections' })
    for (const tab of tabs) t.equal((await tab.ask({ type: 'status' })).session.connections, 2)
  })

  t.test('R4 maxRoomsPerConnection: forbidden, until one is left', async (t) => {
    const tab = await Tab.open(server, 'rooms')
    const join = async (room: string) => (await tab.ask({ type: 'join', room })).code ?? 'ok'
    t.same([await join('chat/one'), await join('chat/two')], ['ok', 'ok'])
    t.same([await join('chat/three'), await join('chat/two')], ['forbidden', 'ok'], 'a joined one again is no third')
    t.equal((await tab.ask({ type: 'send', room: 'counter/three', event: { type: 'increment' } })).type, 'ok')
    await tab.ask({ type: 'leave', room: 'chat/one' })
    t.equal(await join('chat/three'), 'ok')
  })

  t.test('R4 R2 maxRoomsPerConnection: also for joins at once, each refused in its turn', async (t) => {
    const tab = await Tab.open(server, 'hasty')
    const join = (room: string) => ({ type: 'join', room, id: `join ${room}` })
    const full = { type: 'send', room: 'counter/c', event: { type: 'increment' }, id: 'send' }
    tab.burst([join('counter/a'), join('counter/a'), join('counter/b'), full, join('counter/c'), join('counter/d')])
    for (const room of ['a', 'a', 'b'])
      t.match(await tab.next(({ id }) => id === `join counter/${room}`), { type: 'ok' })
    for (const room of ['c', 'd'])
      t.match(await tab.next(({ id }) => id === `join counter/${room}`), { code: 'forbidden' })
    t.same((await tab.ask({ type: 'status' })).rooms, ['counter/a', 'counter/b'])
    const [first] = tab.frames.filter(({ id }) => id === 'send' || id === 'join counter/c')
    t.equal(first?.id, 'send')
    await tab.ask({ type: 'leave', room: 'counter/a' })
    t.match(
      await tab.ask(join('counter/c')),
      { type: 'ok' },
      'a place that was left is free, and one refused takes none',
    )
  })

  t.test('E1 maxErrors: so many bad frames, each with its error, then closing and 4000', async (t) => {
    const tab = await Tab.open(server, 'errors')
    tab.burst(['{', '{', { type: 'ping', id: 'between' }, '{', { type: 'ping', id: 'behind' }])
    t.match(await tab.next('closing'), { code: 4000, reconnect: false })
    t.same(await tab.close(), { code: 4000, reason: 'bad_request' })
    const types = tab.frames.slice(1).map(({ type }) => type)
    t.same(types, ['error', 'error', 'pong', 'error', 'closing'], 'what came behind was not looked at')
  })

  t.test('E1 errorWindow: a bad frame counts for so long', async (t) => {
    const tab = await Tab.open(server, 'window')
    const clock = async (): Promise<number> => (await tab.ask({ type: 'ping' })).time
    tab.burst(['{', '{'])
    const began = await clock()
    await tab.until(async () => (await clock()) - began > 500)
    tab.burst(['{', '{'])
    await clock()
    tab.burst(['{'])
    t.equal((await tab.close()).code, 4000)
    t.equal(tab.frames.filter(({ type }) => type === 'error').length, 5)
  })

  t.test('E3 maxFrame: too_large and the connection lives; over four times that it ends', async (t) => {
    const tab = await Tab.open(server, 'large')
    t.equal((await tab.ask({ type: 'ping', data: 'x'.repeat(4000) })).type, 'pong')
    tab.send({ type: 'ping', data: 'x'.repeat(4096) })
    t.match(await tab.next('error'), { code: 'too_large', message: /4096/ })
    t.equal((await tab.ask({ type: 'ping' })).type, 'pong')
    tab.send({ type: 'ping', data: 'x'.repeat(4 * 4096) })
    t.ok([1006, 1009].includes((await tab.close()).code))
  })

  t.test('C3 authTimeout: closing and 4008', async (t) => {
    const tab = await stranger()
    t.match(await tab.next('closing'), { code: 4008, reconnect: false })
    t.same(await tab.close(), { code: 4008, reason: 'auth_timeout' })
  })

  t.test('C3 maxFramesBeforeAuth: one error with the id, then closing and 4129', async (t) => {
    const tab = await stranger()
    tab.burst(Array.from({ length: 8 }, (_, id) => ({ type: 'ping', id })))
    t.match(await tab.next('closing'), { code: 4129, reconnect: true })
    t.same(await tab.close(), { code: 4129, reason: 'rate_limited' })
    t.same(
      tab.frames.map(({ type, id, code }) => [type, id ?? code]),
      [...[0, 1, 2, 3, 4].map((id) => ['pong', id]), ['error', 5], ['closing', 4129]],
    )
    t.match(tab.frames[5], { code: 'rate_limited', retry: true, retryAfter: 1000 })
  })

  t.test('C3 maxFramesBeforeAuth: behind the welcome they do not count', async (t) => {
    const tab = await stranger()
    for (let i = 0; i < 4; i++) await tab.ask({ type: 'ping' })
    t.equal((await tab.ask({ type: 'auth', token: await tokenFor('early') })).type, 'welcome')
    for (let i = 0; i < 10; i++) t.equal((await tab.ask({ type: 'ping' })).type, 'pong')
  })

  t.test('C3 maxAuthFrame: too_large before the welcome, not behind it', async (t) => {
    const tab = await stranger()
    const large = { type: 'ping', data: 'x'.repeat(2048) }
    tab.send(large)
    t.match(await tab.next('error'), { code: 'too_large', message: /2048/ })
    t.equal((await tab.ask({ type: 'auth', token: await tokenFor('long') })).type, 'welcome')
    t.equal((await tab.ask(large)).type, 'pong')
  })

  t.test('CONN-1 maxHeader: a longer head that comes in pieces is 431', async (t) => {
    // Two round trips lie between the pieces, so that they are read apart.
    const status = async (length: number): Promise<number | undefined> => {
      const raw = await Raw.connect(server.port)
      t.teardown(() => raw.destroy())
      const lines = ['GET /ws HTTP/1.1', 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket']
      raw.send([...lines, 'Sec-WebSocket-Version: 13', ''].join('\r\n'))
      await raw.flushed()
      for (let i = 0; i < 2; i++) await server.metric('chartroom_sessions')
      raw.send(`Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX: ${'x'.repeat(length)}\r\n\r\n`)
      return (await raw.response())?.status
    }
    t.equal(await status(3000), 101)
    // Pieces that the kernel hands over together are one piece: a deviation of uWebSockets.js (docs/websocket.md).
    let refused: number | undefined
    for (let i = 0; i < 20 && refused !== 431; i++) refused = await status(5000)
    t.equal(refused, 431)
  })
})

t.test('how much in a second', async (t) => {
  const limits = { CHARTROOM_MAX_FRAMES_PER_SECOND: '20', CHARTROOM_MAX_BYTES_PER_SECOND: '20000' }
  const server = await startServer(t, { env: limits })

  t.test('R1 maxFramesPerSecond: every frame beyond is refused by its id, and 20 of them close 4129', async (t) => {
    const tab = await Tab.open(server, 'flood')
    tab.burst(Array.from({ length: 100 }, (_, id) => ({ type: 'ping', id })))
    t.match(await tab.next('closing'), { code: 4129, reconnect: true })
    t.same(await tab.close(), { code: 4129, reason: 'rate_limited' })
    const replies = tab.frames.slice(1, -1)
    const refused = replies.filter(({ type }) => type === 'error')
    t.same(
      replies.map(({ id }) => id),
      replies.map((_, at) => at),
      'one reply each, in order',
    )
    t.equal(refused.length, 20)
    for (const error of refused) t.match(error, { code: 'rate_limited', retry: true, retryAfter: 1000 })
    t.ok(replies.length >= 40 && replies.length < 100, `${replies.length} were answered, the rest not looked at`)
  })

  t.test('R1 maxBytesPerSecond: what is too much is refused, and less of it passes', async (t) => {
    const tab = await Tab.open(server, 'bytes')
    tab.burst(Array.from({ length: 10 }, (_, at) => ({ type: 'ping', data: 'x'.repeat(5000), id: `q${at}` })))
    const refused = await tab.next('error')
    t.match(refused, { code: 'rate_limited', retry: true, retryAfter: 1000 })
    t.ok(Number(refused.id.slice(1)) >= 3, 'a second’s worth is let through at once')
    await tab.until(async () => (await tab.ask({ type: 'ping' })).type === 'pong')
  })

  t.test('R1 a refused frame is answered as such and by its id, whatever else is wrong with it', async (t) => {
    const rows: [frame: string | Buffer, id: string | number | undefined][] = [
      ['{"type":"ping","id":1}', 1],
      ['{"data":{"id":2},"type":"dance", "id" : "b\\"c" }', 'b"c'],
      ['{"id":3,"broken', 3],
      ['{"id":4.5}', undefined],
      [`{"id":"${'x'.repeat(129)}"}`, undefined],
      ['[{"id":5}]', undefined],
      ['hello', undefined],
      [Buffer.from('{"id":6}'), 6],
      [`{"id":7,"data":"${'x'.repeat(66_000)}"}`, undefined],
    ]
    const tab = await Tab.open(server, 'wrong')
    for (const [frame, id] of rows) {
      tab.socket.send(Buffer.concat([Buffer.from(frame), Buffer.alloc(20_000, ' ')]), {
        binary: Buffer.isBuffer(frame),
      })
      const error = await tab.next('error')
      t.same([error.code, error.id], ['rate_limited', id], String(frame).slice(0, 60))
    }
    t.equal((await tab.ask({ type: 'ping' })).type, 'pong', 'and the connection lives')
  })
})

t.test('R1 the id of a frame that is not read is the one that reading it finds', (t) => {
  const id = fc.oneof(fc.string(), fc.integer(), fc.constantFrom('', 'id', '"', '\\', 'é', '\u2028', 0, -1))
  const fields = fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('id', 'i', '"id"', '{')), fc.jsonValue())
  fc.assert(
    fc.property(fields, id, fields, fc.constantFrom(undefined, 1, '\t'), (before, id, after, space) => {
      const { id: _, ...behind } = after
      const frame = { ...behind, nested: before, list: [before, 'id'], id, more: behind }
      const text = new TextEncoder().encode(JSON.stringify(frame, null, space))
      t.equal(idOf(text.buffer as ArrayBuffer), id)
    }),
  )
  t.end()
})
