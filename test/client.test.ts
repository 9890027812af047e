/** `chartroom/client` against real servers, dead ports, a bad network, and a server that says what no real one would. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import type chat from '../machines/rooms/chat.ts'
import type counter from '../machines/rooms/counter.ts'
import {
  type ChartroomError,
  type Client,
  type ClientOptions,
  createClient,
  type Message,
  type RoomRecord,
  type Status,
} from '../src/client/client.ts'
import { type Clock, wallClock } from '../src/client/clock.ts'
import { freePort } from '../src/testing/free-port.ts'
import { blocks } from './fixtures/as-written.ts'
import { Dice } from './fixtures/dice.ts'
import { cut, TcpProxy } from './fixtures/proxy.ts'
import { ROOT, startServer, tokenFor } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { Tab } from './fixtures/tab.ts'

const QUICK = { base: 20, cap: 100 }

t.setTimeout(300_000)

/** A client of `ann` that ends with the test, and the statuses that it went through. */
function begin(
  t: Test,
  options: Partial<ClientOptions> & { url: string },
  clock?: Clock,
): { client: Client; statuses: Status[] } {
  const token = () => tokenFor('ann')
  const client = createClient({ token, WebSocket, backoff: QUICK, ...options }, clock)
  t.teardown(() => client.close())
  const statuses: Status[] = []
  client.subscribe((status) => statuses.push(status))
  return { client, statuses }
}

/** The next status that is as wanted. */
function next(client: Client, holds: (status: Status) => boolean): Promise<Status> {
  return new Promise((resolve) => {
    const end = client.subscribe((status) => {
      if (!holds(status)) return
      end()
      resolve(status)
    })
  })
}
const comesTo = (client: Client, state: Status['state']): Promise<Status> =>
  next(client, (status) => status.state === state)

const connectionOf = async (client: Client): Promise<string> =>
  ((await client.ask({ type: 'status' })) as { connection: string }).connection

const roomsOf = async (client: Client): Promise<string[]> =>
  ((await client.ask({ type: 'status' })) as { rooms: string[] }).rooms

/** Messages of this user's that are not settled. */
const unsettledOf = async (client: Client): Promise<number> =>
  ((await client.ask({ type: 'status' })) as { inbox: { total: number } }).inbox.total

/** Asks until it is so; the test's own limit ends it. */
async function comesAbout(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds()));
}

/** Listens to an inbox, and is through with a message when the test says so. */
class Letterbox {
  readonly told: Message[] = []
  readonly end: () => void
  readonly #finish: (() => void)[] = []
  #wake = (): void => {}

  constructor(client: Client) {
    this.end = client.inbox((message) => {
      this.told.push(message)
      this.#wake()
      return new Promise<void>((resolve) => this.#finish.push(resolve))
    })
  }

  /** The message that was told as the first, the second, ... */
  async nth(count: number): Promise<Message> {
    while (this.told.length < count) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.told[count - 1] as Message
  }

  finish(count: number): void {
    this.#finish[count - 1]?.()
  }
}

/** What a promise is rejected with. */
const failureOf = (work: Promise<unknown>): Promise<ChartroomError> =>
  work.then(
    () => Promise.reject(new Error('it came about')),
    (error) => error,
  )

t.test('CONN-6 a listener that never answers: the client gives up at its timeout', async (t) => {
  const mute = createServer().listen(0, '127.0.0.1')
  await once(mute, 'listening')
  t.teardown(() => mute.close())
  const url = `ws://127.0.0.1:${(mute.address() as AddressInfo).port}/ws`
  const { client } = begin(t, { url, timeout: 100, attempts: 1 })
  const { code, message } = await failureOf(client.opened())
  t.equal(code, 'timeout')
  t.match(message, url)
  t.equal(client.status.state, 'closed')
})

t.test('CONN-7 nothing listens: the client reports that it was refused', async (t) => {
  const { client } = begin(t, { url: `ws://127.0.0.1:${await freePort()}/ws`, attempts: 1 })
  const { code, cause, retry } = await failureOf(client.opened())
  t.equal(code, 'unreachable')
  t.match(cause, { code: 'ECONNREFUSED' })
  t.equal(retry, true)
})

t.test('CONN-8 a URL that is none throws at once, with the URL in the message', (t) => {
  for (const url of ['nonsense', 'ftp://example.com/ws', 'ws://', 'ws://example.com/ws#part', '']) {
    t.throws(
      () => createClient({ url, token: 'x', WebSocket }),
      new TypeError(`not the URL of a WebSocket, such as wss://example.com/ws: ${url}`),
    )
  }
  t.throws(
    () => createClient({ url: 'ws://example.com', token: 'x' }),
    /there is no WebSocket here/,
    'Node 20 has none',
  )
  const noToken = { url: 'ws://example.com', WebSocket } as unknown as Parameters<typeof createClient>[0]
  t.throws(() => createClient(noToken), /a token is a text, or a function that gets one/)
  t.end()
})

t.test('CONN-12 a dead port is dialled with growing, jittered pauses, and the count is told', async (t) => {
  const url = `ws://127.0.0.1:${await freePort()}/ws`
  const pauses = async (random: () => number) => {
    const { client, statuses } = begin(t, { url, attempts: 7, backoff: { base: 4, cap: 50 } }, { ...wallClock, random })
    await failureOf(client.opened())
    t.equal(client.status.failures, 7, 'that many dials were in vain')
    const waiting = statuses.filter(({ state }) => state === 'waiting')
    t.same(
      waiting.map(({ failures }) => failures),
      [1, 2, 3, 4, 5, 6],
    )
    return waiting.map(({ delay }) => delay as number)
  }
  t.same(await pauses(() => 0.999), [3, 7, 15, 31, 49, 49], 'the bound doubles up to the cap')
  const dice = new Dice(12)
  const jittered = await pauses(() => dice.next())
  t.ok(
    jittered.every((pause, i) => pause < Math.min(50, 4 * 2 ** i)),
    `each is anything below it: ${jittered}`,
  )
  t.ok(new Set(jittered).size > 2, 'and no two clients come together')
})

t.test('CONN-13 a clean close is 1000 both ways; sending afterwards fails at the caller', async (t) => {
  const server = await startServer(t)
  const { client, statuses } = begin(t, { url: server.url })
  await client.opened()
  const connection = await connectionOf(client)
  const room = client.room<typeof counter>('counter/a')
  await client.close()
  t.same(
    statuses.map(({ state }) => state),
    ['open', 'closing', 'closed'],
  )
  t.match((await server.story(connection, 'closed')).at(-1), { to: 'closed', cause: /1000/ })
  t.equal((await failureOf(room.send({ type: 'increment' }))).code, 'closed')
  t.equal((await failureOf(client.ask({ type: 'ping' }))).code, 'lost')
  t.equal((await failureOf(room.waitFor(() => true))).code, 'closed')
})

t.test('CONN-5 a token that is refused ends the client, and the reason can be read', async (t) => {
  const server = await startServer(t)
  let asked = 0
  const expired = () => {
    asked++
    return tokenFor('ann', { life: -3600 })
  }
  const provided = begin(t, { url: server.url, token: expired })
  t.equal((await failureOf(provided.client.opened())).code, 'token_expired')
  t.equal(asked, 2, 'once more than a token that might have become old')
  const forged = begin(t, {
    url: server.url,
    token: await tokenFor('ann', { secret: 'another secret of more than 32 bytes!' }),
  })
  t.equal((await failureOf(forged.client.opened())).code, 'unauthorized')
})

t.test('R2 S2 a room is its state, what can happen in it, and what is sent to it', async (t) => {
  const server = await startServer(t)
  const { client, statuses } = begin(t, { url: server.url })
  const room = client.room<typeof counter>('counter/a')
  t.equal(room.state, undefined)
  t.equal(room.can('increment'), false, 'not known yet')
  const counts: number[] = []
  const end = room.subscribe(({ context }) => counts.push(context.count))
  await room.waitFor(({ status }) => status === 'active')
  t.equal(room.can('increment'), true)
  const before = room.state
  for (const by of [1, 2, 3]) {
    const { seq } = await room.send({ type: 'increment', by })
    t.equal(room.seq, seq, 'the state is there before the answer')
  }
  t.same(counts, [0, 1, 3, 6])
  t.equal(before?.context.count, 0, 'a state that was given out stays what it was')
  end()
  while ((await roomsOf(client)).length > 0);
  await room.send({ type: 'reset' })
  t.same(counts, [0, 1, 3, 6])
  t.equal((await room.waitFor(({ context }) => context.count === 0)).context.count, 0, 'it takes up where it was')
  t.same(
    statuses.map(({ state }) => state),
    ['open'],
  )
  t.equal(client.room('counter/a'), room, 'a name is one room')
})

t.test(
  'L2 L3 S3 kill -9 and the same port again: rooms go on, what was sent is stored once and in order',
  async (t) => {
    const server = await startServer(t)
    const { client, statuses } = begin(t, { url: server.url })
    const room = client.room<typeof chat>('chat/a', { events: true })
    const records: number[] = []
    room.records(({ seq }) => records.push(seq))
    await room.waitFor(() => true)
    const first = room.send({ type: 'message.post', text: '0' })
    await first
    const sent = Array.from({ length: 20 }, (_, n) => room.send({ type: 'message.post', text: `${n + 1}` }))
    await server.crashAndRestart()
    const seqs = (await Promise.all(sent)).map(({ seq }) => seq)
    t.same(
      seqs,
      [...seqs].sort((a, b) => a - b),
      'in order',
    )
    const { context } = await room.waitFor(({ context }) => context.messages.length === 21)
    t.same(
      context.messages.map(({ text }) => text),
      Array.from({ length: 21 }, (_, n) => `${n}`),
    )
    const from = records[0] as number
    t.same(
      records,
      records.map((_, i) => from + i),
      'no record is missing, none came twice',
    )
    t.match(statuses.find(({ state }) => state === 'waiting')?.error, { code: 'lost' })
  },
)

t.test('A2 a token is renewed ahead of its end, on the same connection', async (t) => {
  const server = await startServer(t)
  let asked = 0
  let thrice = (): void => {}
  const isAskedThrice = new Promise<void>((resolve) => (thrice = resolve))
  const token = () => {
    if (++asked === 3) thrice()
    return tokenFor('ann', { life: 2 })
  }
  const { client, statuses } = begin(t, { url: server.url, token })
  await client.opened()
  const connection = await connectionOf(client)
  await isAskedThrice
  t.equal(await connectionOf(client), connection, 'longer than one token lives')
  t.same(
    statuses.map(({ state }) => state),
    ['open'],
  )
})

t.test('A3 a token that cannot be renewed in time is renewed at the next dial', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_CLOCK_TOLERANCE: '0' } })
  let asked = 0
  const token = () => {
    if (++asked > 1 && client.status.state === 'open') throw new Error('no token today')
    return tokenFor('ann', { life: 2 })
  }
  const { client } = begin(t, { url: server.url, token })
  await client.opened()
  const { error, delay } = await comesTo(client, 'waiting')
  t.match({ code: error?.code, delay }, { code: 'token_expired', delay: 0 }, '4201: at once')
  t.ok(asked > 2, 'the provider was asked again and again')
  await client.opened()
})

t.test('A3 without a provider the end of the token is the end', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_CLOCK_TOLERANCE: '0' } })
  const { client } = begin(t, { url: server.url, token: await tokenFor('ann', { life: 1 }) })
  t.match((await comesTo(client, 'closed')).error, { code: 'token_expired' })
})

t.test('A4 a user that is revoked stays away', async (t) => {
  const server = await startServer(t)
  const { client, statuses } = begin(t, { url: server.url })
  const room = client.room('chat/a')
  const refused = new Promise<ChartroomError>((resolve) => room.subscribe(() => {}, resolve))
  await client.opened()
  await (await Service.of(server)).delete('/v1/users/ann/connections')
  t.equal((await refused).code, 'revoked', 'who listens is told')
  t.same(
    statuses.map(({ state }) => state),
    ['open', 'closed'],
  )
})

t.test('C5 too many connections: backs off, and comes in when a place is free', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_MAX_CONNECTIONS_PER_USER: '1' } })
  const first = await Tab.open(server, 'ann')
  const { client } = begin(t, { url: server.url })
  t.match((await comesTo(client, 'waiting')).error, { code: 'too_many_connections', retry: true })
  await first.leave()
  await client.opened()
})

t.test('X1 a server that is drained says when to come back', async (t) => {
  const server = await startServer(t)
  const { client } = begin(t, { url: server.url })
  await client.opened()
  const waiting = comesTo(client, 'waiting')
  const ended = server.end('SIGTERM')
  const { error, delay } = await waiting
  t.match(error, { code: 'going_away', frame: { code: 1001, retryAfter: delay } })
  await ended
  await server.start()
  client.wake()
  await client.opened()
})

t.test('the bad network of these tests lets go of a connection that is just ending', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(server, 'connection')
  const closed = once(near, 'close')
  near.end()
  cut(near)
  t.same(await closed, [false], 'without an error')
})

t.test('H2 a connection through which nothing comes any more is noticed, and another one made', async (t) => {
  const env = { CHARTROOM_HEARTBEAT_INTERVAL: '300', CHARTROOM_HEARTBEAT_TIMEOUT: '300' }
  const server = await startServer(t, { env })
  for (const fate of ['half-open', 'deaf', 'mute'] as const) {
    const proxy = await TcpProxy.before(server.port)
    t.teardown(() => proxy.close())
    const { client } = begin(t, { url: proxy.url })
    await client.opened()
    proxy.meet(fate)
    const waiting = comesTo(client, 'waiting')
    const sent = client.room<typeof counter>(`counter/${fate}`).send({ type: 'increment' })
    t.match((await waiting).error, { code: 'timeout' }, fate)
    t.equal((await sent).seq, 2, 'what was on its way arrives')
    await client.close()
  }
})

t.test('a client that is off line keeps as many events as it may, and refuses more at once', async (t) => {
  const server = await startServer(t)
  await server.end('SIGTERM')
  const { client } = begin(t, { url: server.url, queue: 2 })
  const room = client.room<typeof chat>('chat/a')
  const sent = ['a', 'b'].map((text) => room.send({ type: 'message.post', text }))
  const { code, retry } = await failureOf(room.send({ type: 'message.post', text: 'c' }))
  t.same({ code, retry }, { code: 'queue_full', retry: true })
  await server.start()
  t.same(
    (await Promise.all(sent)).map(({ seq }) => seq),
    [2, 3],
    'in the order in which they were sent',
  )
  t.equal((await room.send({ type: 'message.post', text: 'c' })).seq, 4, 'there is room again')
})

t.test('an AbortSignal takes back what waits, ends what is waited for, and closes a client', async (t) => {
  const server = await startServer(t)
  const over = new AbortController()
  const { client } = begin(t, { url: `ws://127.0.0.1:${await freePort()}/ws`, signal: over.signal })
  const room = client.room<typeof counter>('counter/a')
  const one = new AbortController()
  const sent = failureOf(room.send({ type: 'increment' }, { signal: one.signal }))
  const seen = failureOf(room.waitFor(() => false, { signal: one.signal }))
  one.abort(new Error('enough'))
  t.match(await sent, { message: 'enough' })
  t.match(await seen, { message: 'enough' })
  t.match(
    await failureOf(room.send({ type: 'increment' }, { signal: one.signal })),
    { message: 'enough' },
    'or beforehand',
  )
  t.equal((await failureOf(room.waitFor(() => false, { timeout: 10 }))).code, 'timeout')
  over.abort()
  t.equal(client.status.state, 'closed')
  const never = begin(t, { url: server.url, signal: AbortSignal.abort() })
  t.equal(never.client.status.state, 'closed')
})

t.test('an iterator has the newest state each time, and ends with the client', async (t) => {
  const server = await startServer(t)
  const { client } = begin(t, { url: server.url })
  const room = client.room<typeof counter>('counter/a')
  const counts: number[] = []
  for await (const { context } of room) {
    counts.push(context.count)
    if (context.count === 0) await Promise.all([1, 2, 3].map((by) => room.send({ type: 'increment', by })))
    if (context.count === 6) void client.close()
  }
  t.same(counts, [0, 6], 'who was busy missed what was in between')
  t.equal(client.status.state, 'closed')
})

t.test('a room that lets nobody in says so to who listens; one by another name is the same room', async (t) => {
  const server = await startServer(t)
  const { client } = begin(t, { url: server.url })
  t.equal((await failureOf(client.room('nothing/a').waitFor(() => true))).code, 'unknown_machine')
  t.equal((await failureOf(client.room('counter/ä').waitFor(() => true))).code, 'bad_room')
  t.match(await failureOf(client.room<typeof chat>('chat/a').send({ type: 'message.post', text: '' })), {
    code: 'bad_event',
    frame: { path: '/event/text' },
  })
  t.equal(
    (await failureOf(client.room<typeof chat>('chat/a').send({ type: 'message.post', text: 'x'.repeat(70_000) }))).code,
    'too_large',
  )
  t.equal(
    (await failureOf(client.room<typeof counter>('counter/a').send({ type: 'reset' }, { if: 7 }))).code,
    'conflict',
  )
  const chatroom = client.room('chat/a')
  t.throws(() => chatroom.records(() => {}), /events: true/)
  await chatroom.waitFor(() => true)
  const record = new Promise<RoomRecord>((resolve) =>
    client.room('chat/a', { events: true }).records((one) => one.event.type === 'message.post' && resolve(one)),
  )
  await chatroom.send({ type: 'message.post', text: 'late' })
  t.match((await record).event, { text: 'late' }, 'records can be asked for later on')
  const own = client.room<typeof counter>('counter/@me')
  await own.send({ type: 'increment' })
  t.equal((await own.waitFor(({ context }) => context.count === 1)).context.count, 1)
  t.equal(client.user, 'ann')
})

t.test('what was said as one user is not sent as another', async (t) => {
  const server = await startServer(t)
  const proxy = await TcpProxy.before(server.port)
  t.teardown(() => proxy.close())
  const users = ['ann', 'bob']
  const { client } = begin(t, { url: proxy.url, token: () => tokenFor(users.shift() ?? 'bob', { life: 4 }) })
  await client.opened()
  proxy.meet('half-open')
  const sent = failureOf(client.room<typeof counter>('counter/a').send({ type: 'increment' }))
  proxy.meet('cut')
  t.equal((await sent).code, 'subject_mismatch')
  t.equal(client.user, 'bob')
})

t.test('Q1 a message is told once, and acknowledged behind what is done with it', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_ACK_TIMEOUT: '2000' } })
  const bob = await Tab.open(server, 'bob')
  await bob.ask({ type: 'message', to: 'ann', data: 'before she came' })
  const { client } = begin(t, { url: server.url })
  const inbox = new Letterbox(client)
  const first = await inbox.nth(1)
  t.match(first, { seq: 1, from: 'bob', data: 'before she came', priority: 'normal', attempt: 1 })
  t.throws(() => client.inbox(() => {}), /listens to this inbox already/)
  await bob.ask({ type: 'message', to: 'ann', data: 'now' })
  await inbox.nth(2)
  t.equal(await unsettledOf(client), 2, 'nothing is acknowledged yet')
  inbox.finish(2)
  await comesAbout(async () => (await unsettledOf(client)) === 1)
  inbox.finish(1)
  await comesAbout(async () => (await unsettledOf(client)) === 0)
  inbox.end()
  await bob.ask({ type: 'message', to: 'ann', data: 'to nobody' })
  await connectionOf(client)
  t.equal(inbox.told.length, 2)
  t.match(await new Letterbox(client).nth(1), { data: 'to nobody', attempt: 2 }, 'it comes again to the next listener')
})

t.test('Q1 what was done when the connection broke is acknowledged on the next, and not told again', async (t) => {
  const server = await startServer(t)
  const proxy = await TcpProxy.before(server.port)
  t.teardown(() => proxy.close())
  const bob = await Tab.open(server, 'bob')
  const { client } = begin(t, { url: proxy.url })
  const inbox = new Letterbox(client)
  await client.opened()
  proxy.meet('mute')
  for (const data of ['done', 'under way']) await bob.ask({ type: 'message', to: 'ann', data })
  await inbox.nth(2)
  inbox.finish(1)
  proxy.meet('cut')
  await comesTo(client, 'open')
  await comesAbout(async () => (await unsettledOf(client)) === 1)
  inbox.finish(2)
  await comesAbout(async () => (await unsettledOf(client)) === 0)
  t.same(
    inbox.told.map(({ data, attempt }) => [data, attempt]),
    [
      ['done', 1],
      ['under way', 1],
    ],
  )
})

t.test('Q2 a message on which the listener throws comes again at once, and is a dead letter in the end', async (t) => {
  const server = await startServer(t)
  const bob = await Tab.open(server, 'bob')
  const { client } = begin(t, { url: server.url })
  const attempts: number[] = []
  client.inbox(({ data, attempt }) => {
    attempts.push(attempt)
    if (data === 'thrown at' || attempt < 3) throw new Error('busy')
  })
  for (const data of ['thrown at', 'thrown at twice']) await bob.ask({ type: 'message', to: 'ann', data })
  await client.opened()
  await comesAbout(async () => (await unsettledOf(client)) === 0)
  t.same(attempts.sort(), [1, 1, 2, 2, 3, 3, 4, 5])
  t.match(await (await Service.of(server)).get('/v1/users/ann/dead-letters'), {
    letters: [{ data: 'thrown at', reason: 'max_attempts' }],
  })
})

t.test("Q1 what is done with one user's message acknowledges none of another's", async (t) => {
  const server = await startServer(t)
  const proxy = await TcpProxy.before(server.port)
  t.teardown(() => proxy.close())
  const carl = await Tab.open(server, 'carl')
  for (const to of ['ann', 'bob']) await carl.ask({ type: 'message', to, data: `to ${to}` })
  const users = ['ann', 'bob']
  const { client } = begin(t, { url: proxy.url, token: () => tokenFor(users.shift() ?? 'bob', { life: 4 }) })
  const inbox = new Letterbox(client)
  await inbox.nth(1)
  proxy.meet('cut')
  t.match(await inbox.nth(2), { seq: 1, data: 'to bob' })
  inbox.finish(1)
  await connectionOf(client)
  await carl.ask({ type: 'message', to: 'bob', data: 'behind what may have been acknowledged' })
  t.equal(await unsettledOf(client), 2)
  inbox.finish(2)
  await inbox.nth(3)
  inbox.finish(3)
  await comesAbout(async () => (await unsettledOf(client)) === 0)
})

t.test('the client of docs/client.md in Node, as it stands there', async (t) => {
  const server = await startServer(t)
  const [, text] = blocks(readFileSync(join(ROOT, 'docs/client.md'), 'utf8'), 'ts')
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-client-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'main.mts'), `${text}`.replace('chartroom/client', join(ROOT, 'src/client/client.ts')))
  const env = { ...process.env, CHARTROOM_URL: server.url, CHARTROOM_TOKEN: await tokenFor('ann') }
  const child = spawn(process.execPath, ['--import', 'tsx', join(folder, 'main.mts')], { cwd: ROOT, env })
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(`${data}`))
  const [code] = await once(child, 'close')
  t.equal(code, 0, said.join(''))
  t.match(said.join(''), /^1 true$/m)
})
