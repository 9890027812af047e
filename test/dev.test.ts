/** `chartroom dev`: machine files come, change and go under connections that stay open. */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { LogRecord } from '../src/log/log.ts'
import { openLmdbLogToRead } from '../src/log/log-lmdb.ts'
import { ROOT, type ServerProcess, startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

/** What stands in a file of a machine that counts up to its `step`; `more` goes in beside `up`. */
const counter = ({ step = 1, more = '', state = 'here', rest = '' } = {}): string => `
import { assign, createMachine } from 'xstate'

export default createMachine({
  context: { count: 0 },
  initial: '${state}',
  states: { ${state}: {} },
  on: { up: { actions: assign({ count: ({ context }) => context.count + ${step} }) }, ${more} },
})
${rest}`

interface Workshop {
  readonly server: ServerProcess
  readonly ann: Tab
  write(name: string, text: string): void
  remove(name: string): void
}

/** A development server with one machine, `count`, and somebody in its room. */
async function workshop(t: Test): Promise<Workshop> {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-machines-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
  write('count.ts', counter())
  const server = await startServer(t, { command: 'dev', env: { CHARTROOM_MACHINES: folder } })
  const ann = await Tab.open(server, 'ann')
  await ann.join('count/a')
  await ann.emit('count/a', { type: 'up' })
  return { server, ann, write, remove: (name) => rmSync(join(folder, name)) }
}

t.test('a changed machine is taken over, the room goes on, and nobody is disconnected', async (t) => {
  const { server, ann, write } = await workshop(t)
  write('count.ts', counter({ step: 10, more: 'reset: { actions: assign({ count: 0 }) }' }))
  await server.printed(/^count {2}was taken over; its 1 room goes on$/m)
  await ann.sees('count/a', ({ can }) => can.includes('reset'))
  t.same(ann.state('count/a').context, { count: 1 })
  t.match(await ann.emit('count/a', { type: 'up' }), { type: 'ok', seq: 3 })
  t.same(ann.state('count/a').context, { count: 11 })
  t.equal(ann.frames.filter(({ type }) => type === 'welcome').length, 1)
  t.equal(ann.closed, undefined)
})

t.test('whoever watches a room is told of its new machine, and sees no more of it than that shows', async (t) => {
  const { server, ann, write } = await workshop(t)
  const protocols = ['chartroom.inspect.v1']
  const feed = Tab.connect({ url: `${server.origin.replace('http', 'ws')}/inspect/feed` }, { protocols, token: null })
  await feed.next('welcome')
  const chartOf = async () => JSON.stringify((await feed.ask({ type: 'chart', machine: 'count' })).chart.root)
  t.match(await feed.ask({ type: 'watch', actor: 'room:count/a' }), {
    active: ['(machine)', '(machine).here'],
    context: { count: 1 },
  })
  t.notMatch(await chartOf(), /machine\)\.there/)
  const more = "move: { target: '.there' }"
  const rest = "export const policy = { redact: ['count'] }"
  write('count.ts', counter({ more, rest }).replace('here: {}', 'here: {}, there: {}'))
  await server.printed(/taken over/)
  const fresh = await feed.next('state')
  t.match(fresh, { actor: 'room:count/a', context: { count: '(hidden)' }, can: ['move', 'up'] })
  t.match(await chartOf(), /machine\)\.there/)
  await ann.emit('count/a', { type: 'up' })
  t.match(await feed.next('step'), { ops: [{ path: '/context/count', value: '(hidden)' }] })
  await ann.emit('count/a', { type: 'move' })
  t.match(await feed.next('step'), { edges: ['(machine):1'], active: ['(machine)', '(machine).there'] })
})

t.test('a change that nobody can see sends nothing', async (t) => {
  const { server, ann, write } = await workshop(t)
  const before = ann.frames.length
  write('count.ts', counter({ step: 5 }))
  await server.printed(/taken over/)
  t.match(await ann.ask({ type: 'ping' }), { type: 'pong' })
  t.equal(ann.frames.length, before + 1)
})

t.test('a file with a mistake is told with its line, and the machine stays as it was', async (t) => {
  const { server, ann, write } = await workshop(t)
  write('count.ts', counter({ more: "far: { target: '.nowhere' }" }))
  await server.said(/count\.ts:\d+ .*nowhere/)
  await server.printed(/^count {2}stays as it was$/m)
  t.match(await ann.emit('count/a', { type: 'up' }), { type: 'ok', seq: 3 })
  write('count.ts', 'export default {')
  await server.said(/count\.ts:1 .*no TypeScript/)
  t.match(await ann.emit('count/a', { type: 'up' }), { type: 'ok', seq: 4 })
  write('count.ts', counter({ step: 10 }))
  await server.printed(/taken over/)
  await ann.emit('count/a', { type: 'up' })
  t.same(ann.state('count/a').context, { count: 13 })
})

t.test(
  'a new file is a machine at once; of one that is gone whoever is in a room is told, and it can come back',
  async (t) => {
    const { server, ann, write, remove } = await workshop(t)
    write('other.ts', counter())
    await server.printed(/^other {2}is new$/m)
    await ann.join('other/a')
    await ann.emit('other/a', { type: 'up' })
    remove('other.ts')
    t.match(await ann.next((frame) => frame.type === 'error'), { code: 'unknown_machine', room: 'other/a' })
    t.match(await ann.ask({ type: 'get', room: 'other/a' }), { code: 'unknown_machine' })
    write('other.ts', counter())
    await server.printed(/is new[\s\S]*is new/)
    await ann.join('other/a')
    t.same(ann.state('other/a').context, { count: 1 })
    t.match(await ann.emit('count/a', { type: 'up' }), { type: 'ok', seq: 3 }, 'the other machine never knew')
  },
)

t.test(
  'S6 S9 a delay that passed while its machine was gone, or its room had failed, fires when the file comes',
  async (t) => {
    const { server, ann, write, remove } = await workshop(t)
    const alarm = (rest: string) => `
import { createMachine } from 'xstate'

export default createMachine({
  initial: 'silent',
  on: { set: '.waiting', fail: { guard: () => { throw new Error('no') } } },
  states: { silent: {}, waiting: { after: { 400: 'silent' } } },
})
export const policy = { idle: 100, ${rest} }`
    const last = async () => {
      const log = openLmdbLogToRead(server.data)
      const records = await log.read('alarm/a', { after: 0, limit: 10 })
      await log.close()
      return records.at(-1)
    }
    const seen = async () => (await server.metric('chartroom_rooms')) === 1
    write('alarm.ts', alarm(''))
    await server.printed(/^alarm {2}is new$/m)
    await ann.emit('alarm/a', { type: 'set' })
    for (let i = 0; i < 5; i++) await ann.emit('alarm/a', { type: 'fail' })
    await ann.until(seen)
    const { time } = (await last()) as LogRecord
    await ann.until(async () => Date.now() > time + 500)
    t.match(await last(), { seq: 2 }, 'a failed room is left alone')
    write('alarm.ts', alarm('timers: "absolute"'))
    await ann.until(async () => (await last())?.seq === 3)

    await ann.emit('alarm/a', { type: 'set' })
    remove('alarm.ts')
    await server.printed(/^alarm {2}is gone/m)
    await ann.until(async () => Date.now() > time + 1500)
    t.match(await last(), { seq: 4 })
    write('alarm.ts', alarm(''))
    await ann.until(async () => (await last())?.seq === 5)
  },
)

t.test('stored state that does not fit any more is told; it is there when the machine fits again', async (t) => {
  const { server, ann, write } = await workshop(t)
  write('count.ts', counter({ state: 'elsewhere' }))
  await server.said(/^chartroom: count\/a cannot be read.*--data/m)
  t.match(await ann.next((frame) => frame.type === 'error'), { code: 'room_failed', room: 'count/a' })
  write('count.ts', counter())
  await server.printed(/taken over[\s\S]*taken over/)
  await ann.join('count/a')
  t.same(ann.state('count/a').context, { count: 1 })
})

t.test('a new version migrates the rooms that are there', async (t) => {
  const { server, ann, write } = await workshop(t)
  const rest = `export const version = '2'
export const migrate = { 1: (room) => ({ ...room, context: { count: room.context.count + 100 } }) }`
  write('count.ts', counter({ rest }))
  await server.printed(/taken over/)
  await ann.sees('count/a', ({ context }) => context.count === 101)
  const { events } = await ann.ask({ type: 'history', room: 'count/a' })
  t.equal(events.at(-1).event.type, 'room.migrated')
})

t.test('who may be in a room is asked again', async (t) => {
  const { server, ann, write } = await workshop(t)
  write('count.ts', counter({ rest: "export const access = { join: (who) => who.user !== 'ann' }" }))
  await server.printed(/taken over/)
  t.match(await ann.next((frame) => frame.type === 'error'), { code: 'forbidden', room: 'count/a' })
})

t.test(
  'what is sent while a machine changes is answered, in order, and nothing behind it by the old one',
  async (t) => {
    const { server, ann, write } = await workshop(t)
    const up = { type: 'send', room: 'count/a', event: { type: 'up' } }
    const seqs: number[] = []
    let isOver = false
    const over = server.printed(/taken over/).then(() => {
      isOver = true
    })
    write('count.ts', counter({ step: 1000 }))
    while (!isOver)
      for (const { seq } of await Promise.all(Array.from({ length: 20 }, () => ann.ask(up)))) seqs.push(seq)
    await over
    t.same(
      seqs,
      seqs.map((_, i) => i + 3),
    )
    const { count } = ann.state('count/a').context
    await ann.ask(up)
    t.equal(ann.state('count/a').context.count, count + 1000)
  },
)
