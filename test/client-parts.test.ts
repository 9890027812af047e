/**
 * The parts of `chartroom/client`: what it does with frames that no real server sends, how it measures time, how it applies
 * patches, how large it is, and that its page (docs/client.md) tells the truth.
 */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import {
  type Client,
  type ClientOptions,
  createClient,
  type Gap,
  type RoomRecord,
  type Status,
} from '../src/client/client.ts'
import { type Clock, wallClock } from '../src/client/clock.ts'
import { type ClientState, type LifeEvent, next, Patience, pause, reasons, verdict } from '../src/client/life.ts'
import { applyPatch } from '../src/client/patch.ts'
import { closeCodes, comesBack } from '../src/errors.ts'
import { diff, type Operation, applyPatch as serverApplies } from '../src/patch.ts'
import { startServer } from '../src/testing/index.ts'
import { blocks } from './fixtures/as-written.ts'
import { compiled } from './fixtures/compiled.ts'
import { MovedClock } from './fixtures/moved-clock.ts'
import { ROOT } from './fixtures/server.ts'
import { StandIn } from './fixtures/stand-in.ts'
import type { Frame } from './fixtures/tab.ts'

function begin(t: Test, url: string, clock: Clock = wallClock, options: Partial<ClientOptions> = {}): Client {
  const client = createClient({ url, token: () => 'token', WebSocket, backoff: { base: 1, cap: 1 }, ...options }, clock)
  t.teardown(() => client.close())
  return client
}

const snapshot = (seq: number, n: number, epoch = 'e'): Frame => ({
  type: 'snapshot',
  room: 'x/y',
  epoch,
  seq,
  state: { n, kept: {} },
})
const patch = (base: number, n: number, epoch = 'e'): Frame => ({
  type: 'patch',
  room: 'x/y',
  epoch,
  base,
  seq: base + 1,
  ops: [{ op: 'replace', path: '/n', value: n }],
})

/** A server whose room, each time that it is joined, begins with a snapshot of `n` at seq `n`. */
async function hosting(t: Test, n: () => number): Promise<StandIn> {
  const server = await StandIn.open(t)
  server.answer = ({ type, room }, say) => {
    if (type !== 'join') return
    say({ type: 'ok', room, epoch: 'e', seq: n(), recovered: false })
    server.say(snapshot(n(), n()))
  }
  return server
}

interface Seen {
  readonly n: number
  readonly kept: object
}

t.test(
  'S2 a patch that does not begin where the client stands is not applied: the room is joined afresh',
  async (t) => {
    let n = 1
    const server = await hosting(t, () => n)
    const client = begin(t, server.url)
    const room = client.room<unknown, Seen>('x/y')
    const seen: number[] = []
    room.subscribe((state) => seen.push(state.n))
    const first = await room.waitFor((state) => state.n === 1)
    server.say(patch(1, 2))
    t.equal(
      (await room.waitFor((state) => state.n === 2)).kept,
      first.kept,
      'what a patch does not touch is the same object',
    )
    n = 5
    const wrong: Frame[] = [
      patch(3, 99),
      patch(2, 99, 'another life'),
      { ...patch(2, 99), ops: [{ op: 'replace', path: '/nothing/there', value: 1 }] },
      { ...patch(2, 99), ops: [{ op: 'test', path: '/n', value: 2 }] },
    ]
    for (const [i, frame] of wrong.entries()) {
      server.say(frame)
      server.say(patch(2, 98))
      t.notHas(await server.nth('join', i + 2), { since: {} }, 'without a place to resume from')
      await room.waitFor((state) => state.n === n)
      server.say(patch(n, 2))
      await room.waitFor((state) => state.n === 2)
      server.say(snapshot(2, 2))
      n++
    }
    t.notOk(seen.includes(99) || seen.includes(98), `nothing was applied meanwhile: ${seen}`)
    t.equal(server.dials, 1, 'on the same connection')
  },
)

t.test('a server whose snapshots are of no use is left, and dialled again', async (t) => {
  const server = await hosting(t, () => 1)
  const client = begin(t, server.url)
  const room = client.room<unknown, Seen>('x/y')
  const { answer } = server
  server.answer = (frame, say) => {
    answer(frame, say)
    if (frame.type === 'join' && server.dials === 1) server.say(patch(7, 99))
  }
  room.subscribe(() => {})
  t.match(await server.nth('join', 5), { since: { epoch: 'e', seq: 1 } }, 'after four on one connection')
  t.equal(server.dials, 2)
  t.equal(room.state?.n, 1)
})

t.test('a frame that is no JSON ends the connection, and the client comes back', async (t) => {
  const server = await hosting(t, () => 1)
  const client = begin(t, server.url)
  await client.opened()
  server.say('{')
  await client.room('x/y').waitFor(() => true)
  await client.opened()
  t.equal(server.dials, 2)
})

t.test('a frame that nobody knows changes nothing; JSON that is no object ends the connection', async (t) => {
  const server = await hosting(t, () => 1)
  const client = begin(t, server.url)
  const room = client.room<unknown, Seen>('x/y')
  const end = room.subscribe(() => {})
  await room.waitFor((state) => state.n === 1)
  server.say({ type: 'weather', room: 'x/y', state: { n: 9 } })
  server.say(patch(1, 2))
  await room.waitFor((state) => state.n === 2)
  t.equal(server.heard.filter(({ type }) => type === 'join').length, 1, 'the room is not joined afresh')
  end()
  for (const [i, text] of ['null', '1', '"x"', '[]'].entries()) {
    await client.opened()
    server.say(text)
    while (server.dials < i + 2) await setImmediate()
  }
  await client.opened()
})

t.test('what JSON cannot say is rejected at its caller, and nothing else notices', async (t) => {
  const server = await hosting(t, () => 1)
  const { answer } = server
  server.answer = (frame, say) => {
    answer(frame, say)
    if (frame.type === 'send') say({ type: 'ok', room: frame.room, seq: 1 })
  }
  const client = begin(t, server.url)
  const room = client.room<unknown, Seen>('x/y')
  const event = { type: 'kept', text: 'as it was said' }
  const early = room.send(event)
  event.text = 'as it became'
  await t.rejects(room.send({ type: 'large', by: 1n } as never), TypeError, 'off line')
  t.same(await early, { room: 'x/y', seq: 1 })
  t.match(await server.nth('send', 1), { event: { type: 'kept', text: 'as it was said' } })
  await t.rejects(room.send({ type: 'large', by: 1n } as never), TypeError, 'on line')
  await t.rejects(client.ask({ type: 'message', to: 'bob', data: 1n }), TypeError)
  server.cut()
  t.same(await room.send({ type: 'later' }), { room: 'x/y', seq: 1 }, 'on the next connection')
  t.equal(server.dials, 2)
})

t.test('Q2 whatever the listener throws, also what has no words, the message is refused', async (t) => {
  const server = await StandIn.open(t)
  const client = begin(t, server.url)
  const thrown = [new Error('no'), Symbol('no'), Object.create(null), undefined, 'x'.repeat(300)]
  client.inbox(({ seq }) => {
    throw thrown[seq - 1]
  })
  await client.opened()
  for (const i of thrown.keys()) server.say({ type: 'message', seq: i + 1, from: 'bob', data: 0, time: i })
  await server.nth('nack', thrown.length)
  t.match(
    server.heard.filter(({ type }) => type === 'nack').map(({ seq, reason }) => [seq, reason]),
    [
      [1, 'Error: no'],
      [2, 'Symbol(no)'],
      [3, String],
      [4, 'undefined'],
      [5, 'x'.repeat(256)],
    ],
  )
})

t.test('a token that comes when the dial it was for is over is used by none', async (t) => {
  const server = await hosting(t, () => 1)
  const asked: ((token: string) => void)[] = []
  const token = () => (asked.length < 1 ? new Promise<string>((resolve) => asked.push(resolve)) : 'newer')
  const dialled: string[] = []
  class Noted extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols)
      dialled.push(protocols[1] ?? '')
    }
  }
  const client = begin(t, server.url, wallClock, { token, timeout: 50, WebSocket: Noted })
  await client.opened()
  asked[0]?.('older')
  await setImmediate()
  server.cut()
  await client.room('x/y').waitFor(() => server.dials === 2)
  t.same(dialled, ['bearer.newer', 'bearer.newer'])
})

t.test('a signal that outlives its clients keeps none of them', async (t) => {
  const server = await StandIn.open(t)
  const { signal } = new AbortController()
  for (let i = 0; i < 2; i++) {
    const client = begin(t, server.url, wallClock, { signal })
    await client.opened()
    t.equal(getEventListeners(signal, 'abort').length, 1)
    await client.close()
  }
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('S3 records between two connections are fetched, and what is gone is told as a gap', async (t) => {
  const event = (seq: number): Frame => ({
    type: 'event',
    room: 'x/y',
    epoch: 'e',
    seq,
    event: { type: 'go' },
    from: 'ann',
    time: 1,
  })
  let n = 1
  const server = await hosting(t, () => n)
  const { answer } = server
  server.answer = (frame, say) => {
    answer(frame, say)
    if (frame.type !== 'history') return
    if (server.dials === 2) return say({ type: 'error', code: 'overloaded', message: 'later', retry: true })
    const events = [5, 6, 7].map(event).filter(({ seq }) => seq > frame.since)
    server.say(event(8))
    say({ type: 'history', room: 'x/y', epoch: 'e', events, more: false, ...(frame.since < 4 && { first: 5 }) })
  }
  const client = begin(t, server.url)
  const room = client.room<unknown, Seen>('x/y', { events: true })
  const told: (number | Gap)[] = []
  let wake = (): void => {}
  const tell = (one: RoomRecord | Gap) => {
    told.push('seq' in one ? one.seq : one)
    wake()
  }
  const has = async (count: number) => {
    while (told.length < count) await new Promise<void>((resolve) => (wake = resolve))
  }
  room.records(tell, tell)
  await room.waitFor((state) => state.n === 1)
  server.say(event(2))
  server.say(event(2))
  await has(1)
  n = 7
  server.cut()
  await has(6)
  t.same(told, [2, { after: 2, upTo: 4 }, 5, 6, 7, 8])
  t.equal(server.dials, 3, 'where the history could not be read it was asked for again')
})

t.test('a listener may close the client at any moment, and nothing is left behind', async (t) => {
  for (const state of ['waiting', 'connecting', 'open', 'closing'] as const) {
    const server = await StandIn.open(t)
    const clock = new MovedClock()
    const client = begin(t, server.url, clock, { backoff: { base: 1000, cap: 1000 } })
    await client.opened()
    const closed = new Promise<void>((resolve) =>
      client.subscribe((status) => {
        if (status.state === state) void client.close()
        if (status.state === 'closed') resolve()
      }),
    )
    if (state === 'open' || state === 'closing') void client.close()
    else server.cut()
    while (client.status.state === 'open') await setImmediate()
    clock.move(1000)
    await closed
    t.same(clock.pending, [], state)
  }
})

t.test('L3 what was on its way longer than keys are remembered is not sent again', async (t) => {
  const server = await StandIn.open(t)
  const clock = new MovedClock()
  const client = begin(t, server.url, clock)
  await client.opened()
  const room = client.room<unknown, Seen>('x/y')
  const sent = room.send({ type: 'first' }).catch((error) => error)
  await server.nth('send', 1)
  const again = async (milliseconds: number) => {
    const waiting = new Promise<void>((resolve) => {
      const end = client.subscribe(({ state }) => {
        if (state !== 'waiting') return
        end()
        resolve()
      })
    })
    server.cut()
    await waiting
    clock.move(milliseconds)
    await client.opened()
  }
  await again(8 * 60_000)
  const [one, two] = [await server.nth('send', 1), await server.nth('send', 2)]
  t.equal(two.key, one.key, 'the key is the same')
  t.same(two.event, one.event)
  const late = room.send({ type: 'second' })
  await server.nth('send', 3)
  await again(2 * 60_000)
  t.match(await sent, { code: 'unknown', retry: false, frame: { key: one.key } })
  server.answer = ({ type }, say) => type === 'send' && say({ type: 'ok', room: 'x/y', seq: 9, dup: true })
  t.match(await server.nth('send', 4), { event: { type: 'second' } }, 'only what is younger')
  await again(1000)
  t.same(await late, { room: 'x/y', seq: 9, dup: true })
})

t.test('H1 a heartbeat of a year, as the test kit’s servers have it, keeps nothing busy', async (t) => {
  const server = await startServer({ machines: join(ROOT, 'machines/rooms') })
  t.teardown(() => server.stop())
  const delays: number[] = []
  const later = t.capture(globalThis, 'setTimeout', setTimeout)
  const client = begin(t, server.url, wallClock, { token: () => server.token('ann') })
  await client.opened()
  for (const { args } of later()) delays.push(Number(args[1] ?? 0))
  t.ok(delays.length > 0)
  t.same(
    delays.filter((delay) => delay > 2 ** 31 - 1),
    [],
    'longer ones a timer takes for 1 ms',
  )
})

t.test('H1 silence is asked about after an interval, and is an answer after the time-out', async (t) => {
  const server = await StandIn.open(t)
  const clock = new MovedClock()
  const client = begin(t, server.url, clock)
  await client.opened()
  t.same(clock.pending, [25_000])
  clock.move(24_999)
  t.same(
    server.heard.map(({ type }) => type),
    [],
  )
  clock.move(1)
  await server.nth('ping', 1)
  t.same(clock.pending, [10_000])
  server.say({ type: 'pong', time: 1 })
  server.answer = ({ type }, say) => type === 'status' && say({ type: 'status' })
  const asked = client.ask({ type: 'status' })
  await asked
  void client.ask({ type: 'get', room: 'x/y' }).catch(() => {})
  t.same(clock.pending, [10_000], 'sooner where an answer is due')
  clock.move(10_000)
  await server.nth('ping', 2)
  clock.move(9999)
  t.equal(client.status.state, 'open')
  const statuses: Status[] = []
  client.subscribe((status) => statuses.push(status))
  clock.move(1)
  t.match(statuses, [{ state: 'waiting', delay: 0, error: { code: 'timeout' } }, { state: 'connecting' }], 'at once')
})

t.test('the table has no way out of closed, and knows every way that there is', (t) => {
  const states: ClientState[] = ['connecting', 'open', 'closing', 'waiting', 'closed']
  const events: LifeEvent[] = ['welcomed', 'leaving', 'lost', 'due', 'ended']
  const ways = states.flatMap((state) => events.map((event) => `${state} ${event} ${next(state, event) ?? '-'}`))
  t.same(
    ways.filter((way) => !way.endsWith('-')),
    [
      'connecting welcomed open',
      'connecting lost waiting',
      'connecting ended closed',
      'open leaving closing',
      'open lost waiting',
      'open ended closed',
      'closing lost waiting',
      'closing ended closed',
      'waiting due connecting',
      'waiting ended closed',
    ],
  )
  t.end()
})

t.test('every close code is taken as the server means it, and by its range where nobody knows it', (t) => {
  t.same(
    new Map(Object.entries(reasons)),
    new Map(Object.entries(closeCodes).map(([reason, code]) => [`${code}`, reason])),
  )
  for (const code of Object.values(closeCodes)) t.equal(verdict(code) !== 'stop', comesBack(code), `${code}`)
  const unknown: [number, string][] = [
    [1007, 'stop'],
    [1009, 'stop'],
    [4000, 'stop'],
    [4099, 'stop'],
    [4100, 'back off'],
    [4199, 'back off'],
    [4200, 'at once'],
    [4299, 'at once'],
    [4300, 'back off'],
    [1005, 'back off'],
    [1006, 'back off'],
    [1012, 'back off'],
    [3000, 'back off'],
  ]
  for (const [code, expected] of unknown) t.equal(verdict(code), expected, `${code}`)
  t.end()
})

t.test('a pause is anything up to a bound that doubles; at once is once; a connection that held begins anew', (t) => {
  const backoff = { base: 100, cap: 1000 }
  t.same(
    [0, 1, 2, 3, 4, 40].map((failures) => pause(failures, backoff, 0.999)),
    [99, 199, 399, 799, 999, 999],
  )
  t.equal(pause(3, backoff, 0), 0)
  const patience = new Patience(backoff)
  const delays = (milliseconds: number) => {
    patience.ended(milliseconds)
    return [
      patience.delay('at once', undefined, 0.5),
      patience.delay('back off', undefined, 0.5),
      patience.delay('back off', 77, 0.5),
    ]
  }
  t.same(delays(0), [0, 50, 77])
  t.same(delays(4999), [100, 100, 77], 'open, but not for long')
  t.same(delays(0), [200, 200, 77])
  t.same(delays(5000), [0, 50, 77])
  t.end()
})

type Json = null | number | string | Json[] | { [key: string]: Json }
const { json } = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<Json>(null, 0, 1, 'a', 'b'),
    fc.array(tie('json'), { maxLength: 5 }),
    fc.dictionary(fc.constantFrom('', 'a', 'b', 'a/b', '~', '~1', '0', '-', 'toString'), tie('json'), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ),
}))

t.test('S2 every patch that the server makes is applied as the server would', (t) => {
  const same = fc.property(json, json, (before, after) => {
    const kept = JSON.stringify(before)
    assert.deepEqual(applyPatch(before, diff(before, structuredClone(after))), after)
    assert.equal(JSON.stringify(before), kept)
  })
  t.equal(fc.defaultReportMessage(fc.check(same, { numRuns: 3000 })), undefined)
  t.end()
})

t.test('E4 a patch that does not fit is refused, where the server would refuse it too', (t) => {
  const document = { a: [1, 2], b: { c: 1 }, d: null }
  const all: unknown[] = [
    { op: 'replace', path: '/x', value: 1 },
    { op: 'remove', path: '/x' },
    { op: 'add', path: '/x/y', value: 1 },
    { op: 'add', path: '/d/y', value: 1 },
    { op: 'add', path: '/a/3', value: 1 },
    { op: 'add', path: '/a/01', value: 1 },
    { op: 'replace', path: '/a/2', value: 1 },
    { op: 'replace', path: '/a/-', value: 1 },
    { op: 'remove', path: '/a/length' },
    { op: 'replace', path: '/b/toString', value: 1 },
    { op: 'add', path: '/__proto__/z', value: 1 },
    { op: 'add', path: '/__proto__', value: {} },
    { op: 'add', path: 'b', value: 1 },
    { op: 'test', path: '/d', value: 1 },
    { op: 'nothing', path: '/d' },
  ]
  for (const op of all) {
    t.throws(() => applyPatch(document, [op as Operation]), JSON.stringify(op))
    t.throws(() => serverApplies(document, [op as Operation]))
  }
  t.equal(({} as { z?: number }).z, undefined)
  t.end()
})

t.test('the client is smaller than 8 KB, and brings nothing along', async (t) => {
  const entry = join(ROOT, 'src/client/client.ts')
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    absWorkingDir: ROOT,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    metafile: true,
  })
  const size = gzipSync(outputFiles[0]?.contents ?? '').length
  t.comment(`${size} bytes, minified and gzipped`)
  t.ok(size > 1000 && size < 8192, `${size} bytes`)
  t.same(
    Object.keys(metafile.inputs).filter((file) => !file.startsWith('src/client/')),
    [],
  )
})

t.test('the code of docs/client.md is right, with and without the types of a page; and so is what it catches', (t) => {
  const [page = '', node = '', messages = '', ...more] = blocks(
    readFileSync(join(ROOT, 'docs/client.md'), 'utf8'),
    'ts',
  )
  t.same(more, [], 'each block is checked')
  t.equal(compiled(t, { 'src/node.ts': node }), '')
  const wrong = [
    "await room.send({ type: 'incremnt' })",
    "await room.send({ type: 'increment', by: 'two' })",
    'room.subscribe(({ context }) => context.cuont)',
    "room.can('decrease')",
  ]
  const wronged = { 'src/page.ts': page, 'src/messages.ts': messages, 'src/wrong.ts': `${page}\n${wrong.join('\n')}` }
  const said = compiled(t, wronged, 'page')
  const errors = said.split('\n').filter((line) => /error TS/.test(line))
  t.equal(errors.length, wrong.length, said)
  t.ok(
    errors.every((line) => line.includes('wrong.ts')),
    said,
  )
  t.end()
})
