/** The benchmark's own instruments: what the generator counts is true, what is wrong ends a run, a report says what was measured. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import { FrameReader } from '../bench/frames.ts'
import { Generator } from '../bench/generator.ts'
import type { Figures, Round, Scenario } from '../bench/measure.ts'
import { draw } from '../bench/plots.ts'
import { type Circumstances, report } from '../bench/report.ts'
import { keep } from '../bench/results.ts'
import { chartroom, peers } from '../bench/servers.ts'
import { Ledger, Watch } from '../bench/watch.ts'

const CONNECTIONS = 8

async function generator(t: Test): Promise<Generator> {
  const load = await Generator.start()
  t.teardown(() => load.end())
  return load
}

/** A server of the test's own, that counts what it hears, and answers as `answer` says. */
async function listening(t: Test, answer: (message: Buffer, count: number) => Buffer[]) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  t.teardown(() => server.close())
  const heard = { count: 0, port: (server.address() as AddressInfo).port }
  server.on('connection', (socket) => {
    socket.on('message', (message: Buffer) => {
      for (const one of answer(message, ++heard.count)) socket.send(one, { binary: false })
    })
  })
  return heard
}

async function echoing(load: Generator, port: number): Promise<void> {
  await load.ask('open', { dialect: 'raw', port, count: CONNECTIONS, user: 'user' })
  await load.ask('flow', { kind: 'echo', dialect: 'raw', ring: 64 })
}

/** Lets it run until so many are answered. */
async function answered(load: Generator, count: number): Promise<number> {
  for (;;) {
    const { answers } = await load.ask('count')
    if (answers >= count) return answers
  }
}

t.test(
  'BENCH-1 every message that a server heard is counted as answered, once, in a window and at a rate',
  async (t) => {
    const server = await listening(t, (message) => [message])
    const load = await generator(t)
    await echoing(load, server.port)
    await load.ask('start', { inFlight: 4 })
    await answered(load, 2000)
    await load.ask('stop')
    const { answers } = await load.ask('count')
    t.equal(answers, server.count)
    const rated = await load.ask('rate', { perSecond: 500, seconds: 1 })
    t.equal(rated.answers, 500)
    t.equal(server.count, answers + 500)
    t.ok(rated.latency.p50 <= rated.latency.p99 && rated.latency.p99 <= rated.latency.most)
  },
)

t.test('BENCH-2 latency counts from when a frame was to be sent', async (t) => {
  const server = await listening(t, (message, count) => {
    if (count === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    return [message]
  })
  const load = await generator(t)
  await echoing(load, server.port)
  const { latency } = await load.ask('rate', { perSecond: 100, seconds: 1 })
  t.ok(latency.most >= 300, `the frame that waited longest: ${latency.most} ms`)
  t.ok(latency.p50 < latency.most)
})

const other = (message: Buffer): Buffer => Buffer.from(String(message).replace('"data":"x', '"data":"y'))
const wrongs: [string, (message: Buffer, count: number) => Buffer[], RegExp][] = [
  ['is answered twice', (message) => [message, message], /not asked, or is answered already/],
  ['is answered by other bytes', (message) => [other(message)], /a wrong answer/],
  ['is answered by too few bytes', (message) => [message.subarray(0, -1)], /a wrong answer/],
]

for (const [what, answer, told] of wrongs) {
  t.test(`BENCH-3 a frame that ${what} ends the run`, async (t) => {
    const server = await listening(t, answer)
    const load = await generator(t)
    await echoing(load, server.port)
    await t.rejects(
      async () => {
        await load.ask('start', { inFlight: 2 })
        await answered(load, 5000)
      },
      { message: told },
    )
  })
}

t.test('BENCH-4 raw uWebSockets.js: all that a window was answered comes to the same bytes', async (t) => {
  const server = await peers.uws()()
  t.teardown(() => server.end())
  const load = await generator(t)
  await echoing(load, server.port)
  await load.ask('start', { inFlight: 16 })
  await answered(load, 10_000)
  await load.ask('stop')
  const usage = await server.usage()
  t.ok(usage.cpu > 0 && usage.rss > usage.heap && usage.heap > 0)
})

t.test('BENCH-5 Chartroom: every event has a seq of its own, and who watches has the state of the room', async (t) => {
  const server = await chartroom()()
  t.teardown(() => server.end())
  const { dialect, port, key } = server
  const load = await generator(t)
  const room = 'counter/bench'
  await load.ask('open', { dialect, port, count: 5, user: 'user', ...(key && { key }) })
  await load.ask('join', { rooms: Array(5).fill(room) })
  await load.ask('flow', { kind: 'event', rooms: Array(4).fill([room]), event: { type: 'increment' }, ring: 64 })
  await load.ask('start', { inFlight: 8 })
  await answered(load, 500)
  await load.ask('stop')
  const { answers } = await load.ask('count')
  const { seq, state } = await load.ask('ask', { from: 4, frame: { type: 'get', room } })
  t.equal(state.context.count, answers)
  t.equal(seq, answers + 1, 'behind the record that created the room')
})

t.test('BENCH-11 whoever looks by the feed is shown the room that is written to, or the run ends', async (t) => {
  const server = await chartroom()()
  t.teardown(() => server.end())
  const { dialect, port, key } = server as Required<typeof server>
  const load = await generator(t)
  await load.ask('open', { dialect, port, count: 2, user: 'user', key })
  await load.ask('join', { rooms: ['counter/bench', 'counter/other'] })
  const event = { type: 'increment' }
  await load.ask('flow', { kind: 'event', rooms: [['counter/bench']], event, ring: 64 })
  await load.ask('look', { port, key, room: 'counter/bench' })
  await load.ask('start', { inFlight: 8 })
  await answered(load, 500)
  await load.ask('stop')
  await load.ask('look', { port, key, room: 'counter/other' })
  await load.ask('start', { inFlight: 8 })
  await answered(load, 1000)
  await t.rejects(load.ask('stop'), { message: 'whoever looks was shown no step' })
})

t.test('BENCH-6 a hole, a double and a patch that leads elsewhere are noticed', async (t) => {
  const ledger = new Ledger('counter/a')
  for (const seq of [2, 3, 5]) ledger.acknowledged(seq)
  t.throws(() => ledger.check(), /4 seqs, 3 acknowledgements/)
  ledger.acknowledged(4)
  ledger.check()
  t.throws(() => ledger.acknowledged(4), /twice/)
  const state = { value: {}, context: { count: 1 }, status: 'active', can: [], timers: [] }
  const held = { room: 'counter/a', epoch: 'e', seq: 2, state }
  const patch = (base: number, seq: number, value: number): Buffer => {
    const ops = [{ op: 'replace', path: '/context/count', value }]
    return Buffer.from(JSON.stringify({ type: 'patch', room: 'counter/a', epoch: 'e', base, seq, ops }))
  }
  const read = (watch: Watch, bytes: Buffer): void => watch.patch(bytes, 0, bytes.length)
  t.throws(() => read(new Watch(held, false), patch(3, 4, 3)), /a patch from 3, held is 2/)
  t.throws(() => read(new Watch(held, false), patch(2, 3, 7)), /the count is 7 at seq 3/)
  const watch = new Watch(held, true)
  read(watch, patch(2, 4, 3))
  watch.compare({ seq: 4, state: { ...state, context: { count: 3 } } })
  t.throws(() => watch.compare({ seq: 4, state: { ...state, context: { count: 4 } } }), /lead elsewhere/)
})

t.test('BENCH-7 frames are found however the stream is cut', async (t) => {
  const texts = ['a', 'b'.repeat(200), 'c'.repeat(70_000), '']
  const frames = texts.map((text) => Buffer.concat([headOf(text.length), Buffer.from(text)]))
  const stream = Buffer.concat(frames)
  for (const size of [1, 3, 1000, stream.length]) {
    const found: string[] = []
    const reader = new FrameReader((_, bytes, start, end) => found.push(bytes.toString('latin1', start, end)))
    for (let at = 0; at < stream.length; at += size) reader.read(stream.subarray(at, at + size))
    assert.deepEqual(found, texts, `in pieces of ${size}`)
  }
  t.throws(() => new FrameReader(() => {}).read(Buffer.from([0x01, 0x00])), /fragmented/)
})

function headOf(length: number): Buffer {
  if (length < 126) return Buffer.from([0x81, length])
  const head = Buffer.alloc(length < 65_536 ? 4 : 10)
  head.set([0x81, length < 65_536 ? 126 : 127])
  if (length < 65_536) head.writeUInt16BE(length, 2)
  else head.writeBigUInt64BE(BigInt(length), 2)
  return head
}

const figures = (perCpu: number): Figures => ({
  'one.perCpu': perCpu,
  'one.perSecond': perCpu / 2,
  'one.busy': 0.5,
  'one.generator': 0.95,
  'one.rss': 2 ** 20,
})
const rounds: Round[] = [1, 3, 2].map((n) => ({ Chartroom: figures(n * 1000), other: figures(2000) }))
const scenario: Scenario = {
  name: 'sample',
  title: 'A sample',
  reference: 'other',
  contestants: () => [],
  goals: () => [
    { title: 'as much', bound: '>=', value: 1, of: (round) => (round.Chartroom?.['one.perCpu'] ?? 0) / 2000 },
    { title: 'no more', bound: '<=', value: 999, unit: 'ms', of: (round) => round.Chartroom?.['one.perCpu'] ?? 0 },
  ],
  drawn: { 'one.perCpu': 'messages per CPU second' },
}
const circumstances: Circumstances = {
  machine: 'a machine',
  date: '2026-01-01',
  command: 'npm run bench',
  generator: 'proven',
  isQuick: false,
  isPinned: true,
  load: [0, 1],
}
const outcome = { scenario, circumstances, rounds }

t.test(
  'BENCH-8 a report has the median, the spread and the verdict of each goal, and says who was the limit',
  async (t) => {
    const text = report([outcome])
    t.match(text, '| as much | 1.00 (0.500 to 1.50) | >= 1 | yes |')
    t.match(text, '| no more | 2000 (1000 to 3000) ms | <= 999 ms | **no** |')
    t.match(
      text,
      '| Chartroom | 1.00 (0.500 to 1.50) | 2000 (1000 to 3000) | 1000 (500 to 1500) | 1 MB | the generator was the limit |',
    )
    t.match(text, 'proven')
  },
)

t.test('BENCH-9 a drawing has a bar for each that took part, and its title', async (t) => {
  const svg = await draw(outcome)
  t.match(svg, /^<svg/)
  for (const text of ['A sample', 'messages per CPU second', '>Chartroom<', '>other<']) t.ok(svg.includes(text), text)
  t.equal(svg.match(/aria-roledescription="bar"/g)?.length, 2)
})

t.test('BENCH-10 a run replaces what it measured, and leaves the rest of the results as it was', async (t) => {
  const folder = t.testdir()
  const another: Scenario = { ...scenario, name: 'another', title: 'Another' }
  const known = [scenario, another]
  await keep(outcome, folder, known)
  await keep({ ...outcome, scenario: another }, folder, known)
  const later = { scenario, circumstances: { ...circumstances, date: '2026-02-02' }, rounds: rounds.slice(0, 1) }
  const text = await keep(later, folder, known)
  t.equal(readFileSync(join(folder, 'report.md'), 'utf8'), text)
  const [, first, second] = text.split('\n## ')
  t.match(first, /^A sample\n\n2026-02-02,(.|\n)*\n1 rounds/)
  t.match(second, /^Another\n\n2026-01-01,(.|\n)*\n3 rounds/)
  t.strictSame(readdirSync(folder).sort(), ['another.svg', 'report.md', 'sample.svg', 'samples.json'])
})
