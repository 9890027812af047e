/** The language of XState in rooms: each part live, across kill -9, and read back from its log without running a machine. */
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { openLmdbLogToRead } from '../src/log/log-lmdb.ts'
import type { RoomDocument } from '../src/machine/document.ts'
import { recover } from '../src/room/recovery.ts'
import { ROOT, type ServerProcess, startServer } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

t.setTimeout(120_000)

const env = { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/machines') }

/** An event by its type alone, or with what belongs to it. */
type Given = string | { readonly type: string; readonly [key: string]: unknown }

/** Events before a crash and behind it, and what the room's `state` holds in the end, member by member. */
interface Part {
  readonly first: readonly Given[]
  readonly midway: Readonly<Record<string, unknown>>
  readonly again: readonly Given[]
  readonly last: Readonly<Record<string, unknown>>
}

const noted = (...notes: string[]) => ({ context: { notes, count: 0 } })

const LANGUAGE: Readonly<Record<string, Part>> = {
  'nested and parallel states, entry, exit, done': {
    first: ['nested', 'step'],
    midway: { value: { nested: { left: 'two', right: { deep: 'a' } } } },
    again: ['down'],
    last: { value: 'rest' },
  },
  'history, shallow': {
    first: ['history', 'to', 'to', 'off'],
    midway: { value: { history: 'off' } },
    again: ['shallow'],
    last: { value: { history: { on: { y: 'p' } } } },
  },
  'history, deep': {
    first: ['history', 'to', 'to', 'off'],
    midway: { value: { history: 'off' } },
    again: ['deep'],
    last: { value: { history: { on: { y: 'q' } } } },
  },
  always: {
    first: ['always', 'add', 'add'],
    midway: { value: { always: 'many' } },
    again: ['add', 'add'],
    last: { value: { always: 'most' } },
  },
  'guards: and, or, not, stateIn, with parameters': {
    first: ['guards', 'add', 'add', 'either?', 'add', 'both', 'while.shut'],
    midway: { value: { guards: 'open' } },
    again: ['either', 'add?', 'while.shut?'],
    last: { value: { guards: 'open' } },
  },
  raise: {
    first: ['raising', 'go'],
    midway: noted('KEY', 'go', 'went', 'raised'),
    again: ['go'],
    last: noted('KEY', 'go', 'went', 'raised', 'go', 'went', 'raised'),
  },
  'sendTo itself, at once and delayed': {
    first: ['sending', 'go'],
    midway: noted('KEY', 'went', 'to self'),
    again: ['later'],
    last: noted('KEY', 'went', 'to self', 'to self'),
  },
  'raise with a delay, cancel': {
    first: ['delayed', 'drop'],
    midway: { value: 'delayed' },
    again: ['soon'],
    last: noted('KEY', 'came'),
  },
  'enqueueActions, assign': {
    first: ['enqueue', 'go'],
    midway: { context: { notes: ['KEY', 'enqueued', 'raised'], count: 10 } },
    again: ['go'],
    last: { context: { notes: ['KEY', 'enqueued', 'raised', 'enqueued', 'checked', 'raised'], count: 20 } },
  },
  'emit, log, tags, meta, self.send from an action': {
    first: ['effects', 'emit', 'log', 'tagged', 'later'],
    midway: noted('KEY', 'emitted', 'tagged', 'sent'),
    again: ['tagged', 'later'],
    last: noted('KEY', 'emitted', 'tagged', 'sent', 'tagged', 'sent'),
  },
  'final states with output': {
    first: ['ending', 'add'],
    midway: { value: { ending: 'running' } },
    again: ['end'],
    last: { value: 'over', status: 'done', timers: [] },
  },
}

const heard = (...notes: string[]) => ({ context: { notes } })
const key = (path: string, room: string, seq = 2) => `family/${room}/${seq}/${path}`

/** An observable's snapshots begin with the one before its first value. */
const saw = ['saw undefined', 'saw 1', 'saw 2']

const FAMILY: Readonly<Record<string, Part>> = {
  'promise: begun again with its key, onDone': {
    first: ['promise'],
    midway: { value: 'promise' },
    again: [],
    last: { value: 'rest', ...heard(`for ${key('0.family.promise', 'p1')}`) },
  },
  'promise: onError with an Error': {
    first: [{ type: 'rejected', text: 'an error' }],
    midway: { value: 'rest', ...heard('RangeError: out of range') },
    again: [{ type: 'rejected', text: 'an error' }],
    last: heard('RangeError: out of range', 'RangeError: out of range'),
  },
  'L5 promise: a rejection that is no Error': {
    first: [{ type: 'rejected', text: 'an object' }],
    midway: { value: 'rest', ...heard('{"code":7}') },
    again: [{ type: 'rejected', text: 'nothing' }],
    last: { value: 'rest', ...heard('{"code":7}', 'null') },
  },
  'callback: sendBack, receive, forwardTo, sendTo, begun again': {
    first: ['callback', { type: 'tell', text: 'this' }, 'tell.it'],
    midway: heard(`begun for ${key('echo', 'p4')}`, 'tell this', 'told directly'),
    again: [{ type: 'tell', text: 'that' }],
    last: heard(
      ...[`begun for ${key('echo', 'p4')}`, 'tell this', 'told directly'],
      ...[`begun for ${key('echo', 'p4')}`, 'tell that'],
    ),
  },
  'callback: one that throws at its start is onError': {
    first: ['breaking'],
    midway: { value: 'rest', ...heard('it broke') },
    again: ['breaking'],
    last: { value: 'rest', ...heard('it broke', 'it broke') },
  },
  'observable: onSnapshot, onDone, begun again': {
    first: ['observable'],
    midway: { value: 'observable', ...heard(...saw) },
    again: [],
    last: { value: 'rest', ...heard(...saw, ...saw, 'saw 3', 'complete') },
  },
  'child machine: onSnapshot': {
    first: ['synced'],
    midway: heard('I am synced', 'saw busy'),
    again: ['end'],
    last: heard('I am synced', 'saw busy', 'saw busy'),
  },
  'transition logic: onSnapshot, forwardTo': {
    first: ['transition', { type: 'add', by: 2 }],
    midway: heard('total 0', 'total 2'),
    again: [{ type: 'add', by: 3 }],
    last: heard('total 0', 'total 2', 'total 5'),
  },
  'child machine, two deep: input, sendParent, forwardTo, sendTo, output': {
    first: ['child', 'hear'],
    midway: heard('I am the child'),
    again: ['hear', 'end'],
    last: { value: 'rest', ...heard('I am the child', 'the child, within heard 2') },
  },
  'child machine: sendParent with a delay': {
    first: ['child', 'tell.later'],
    midway: heard('I am the child', 'later'),
    again: ['tell.later'],
    last: heard('I am the child', 'later', 'later'),
  },
  'L5 child machine: a throw in its assign is onError': {
    first: ['child', 'fail.assign'],
    midway: { value: 'rest', ...heard('I am the child', 'failed: thrown in an assign of a child') },
    again: [],
    last: { value: 'rest' },
  },
  'L5 child machine: a throw in its guard is onError': {
    first: ['child'],
    midway: { value: 'child' },
    again: ['fail.guard'],
    last: { value: 'rest' },
  },
  'L5 child machine: a throw two deep is onError': {
    first: ['child', 'hear'],
    midway: { value: 'child' },
    again: ['fail.inner'],
    last: { value: 'rest', ...heard('I am the child', 'failed: thrown in an inner assign') },
  },
  'spawnChild of a machine and a callback, done, stopChild, enqueue.spawnChild': {
    first: ['spawned', 'tell'],
    midway: heard('I am one', 'I am nameless', `begun for ${key('two', 'p14')}`, 'told two'),
    again: ['end', 'stop', 'enqueue'],
    last: heard(
      ...['I am one', 'I am nameless', `begun for ${key('two', 'p14')}`, 'told two'],
      ...[`begun for ${key('two', 'p14')}`, 'one is done', 'stopped', 'I am three', 'later'],
    ),
  },
  'spawn in assign, by its id': {
    first: ['assigned', 'tell'],
    midway: heard('keeps echo', `begun for ${key('echo', 'p15')}`, 'told by its id'),
    again: ['tell'],
    last: heard(
      ...['keeps echo', `begun for ${key('echo', 'p15')}`, 'told by its id'],
      ...[`begun for ${key('echo', 'p15')}`, 'told by its id'],
    ),
  },
  'systemId, in an expression and in an action': {
    first: ['known', 'look', 'act'],
    midway: heard('I am known', 'later', 'later'),
    again: ['look', 'act'],
    last: heard('I am known', 'later', 'later', 'later', 'later'),
  },
  'promise: whose end does not leave its state is not begun again': {
    first: ['staying'],
    midway: heard(`for ${key('0.family.staying', 'p17')}`),
    again: [
      { type: 'heard', text: 'one' },
      { type: 'heard', text: 'two' },
    ],
    last: { value: 'staying', ...heard(`for ${key('0.family.staying', 'p17')}`, 'one', 'two') },
  },
}

const rooms = (machine: string, parts: Readonly<Record<string, Part>>) =>
  Object.entries(parts).map(([title, part], i) => ({ title, room: `${machine}/p${i + 1}`, part }))
const ALL = [...rooms('language', LANGUAGE), ...rooms('family', FAMILY)]

t.test('each part of the language', async (t) => {
  const server = await startServer(t, { env })
  await t.test('live', async (t) => {
    const tab = await Tab.open(server, 'ann')
    for (const { title, room, part } of ALL) {
      await t.test(`S6 ${title}`, async (t) => {
        await tell(t, tab, room, part.first)
        await comesTo(t, tab, room, part.midway)
      })
    }
  })
  const before = await Promise.all(ALL.map(({ room }) => documentOf(server, room)))
  await server.crashAndRestart()
  await t.test('across kill -9', async (t) => {
    const tab = await Tab.open(server, 'ann')
    for (const [i, { title, room, part }] of ALL.entries()) {
      await t.test(`S6 ${title}`, async (t) => {
        if (part.again.length > 0 && room.startsWith('language'))
          t.same((await tab.ask({ type: 'get', room })).state.value, before[i]?.value)
        await tell(t, tab, room, part.again)
        await comesTo(t, tab, room, part.last)
      })
    }
  })
  await t.test('replay', async (t) => {
    const tab = await Tab.open(server, 'ann')
    for (const { title, room } of ALL) {
      await t.test(`L2 ${title}`, async (t) => {
        const { state } = await tab.ask({ type: 'get', room })
        const { value, context, status, timers } = (await documentOf(server, room)) as RoomDocument
        t.same({ value, context, status, timers }, pick(state, ['value', 'context', 'status', 'timers']))
      })
    }
  })
  await t.test('what was said to the operator, and what belongs to the work', async (t) => {
    t.match(server.stdout + server.stderr, /the callback was cleaned up/)
    const done = await documentOf(server, roomOf('final states with output'))
    t.match(done, { status: 'done', output: { count: 1 }, children: {}, invokes: {}, delays: [] })
  })
})

t.test('S6 log says its label and its value, with room and seq', async (t) => {
  const server = await startServer(t, { env })
  const tab = await Tab.open(server, 'ann')
  await tell(t, tab, 'language/log', ['effects', 'log'])
  t.match(await server.said(/a label of ours/), /"room":"language\/log","seq":3,"value":"count is 0"/)
})

t.test('L5 what goes wrong beside a room or within its children', async (t) => {
  const server = await startServer(t, { env })
  const tab = await Tab.open(server, 'ann')
  const refused = async (room: string, type: string) => {
    const { state, seq } = await tab.ask({ type: 'get', room })
    t.match(await tab.ask({ type: 'send', room, event: { type } }), { type: 'error', code: 'event_failed' })
    t.match(await tab.ask({ type: 'get', room }), { seq, state }, `${type} leaves ${room} as it was`)
  }

  await t.test('L5 a throw in a child whose parent has no onError: event_failed, nothing changes', async (t) => {
    await tell(t, tab, 'family/careless', ['careless'])
    for (const type of ['fail.assign', 'fail.guard', 'fail.inner']) await refused('family/careless', type)
  })

  await t.test('L5 an endless ping-pong between parent and child is stopped', async (t) => {
    await tell(t, tab, 'family/loop', ['pingpong'])
    await refused('family/loop', 'loop')
  })

  await t.test('L5 a reference in context, and inline logic: refused, and nothing is begun', async (t) => {
    await tell(t, tab, 'family/kept', ['assigned'])
    await comesTo(t, tab, 'family/kept', heard('keeps echo', 'begun for family/kept/2/echo'))
    await refused('family/kept', 'keep.reference')
    await refused('family/kept', 'spawn.inline')
    t.notMatch(server.stdout, /inline work has begun/)
    t.same(Object.keys((await documentOf(server, 'family/kept'))?.invokes ?? {}), ['echo'])
  })

  await t.test(
    'L5 a rejection that nobody hears: the record stands, the machine stays as it is, one warning',
    async (t) => {
      const room = 'family/unheard'
      await tell(t, tab, room, ['unheard'])
      await tab.until(async () => (await tab.ask({ type: 'get', room })).seq === 3)
      t.match(await tab.ask({ type: 'get', room }), { state: { value: 'unheard', status: 'active' } })
      const { events } = await tab.ask({ type: 'history', room, since: 2 })
      t.match(events, [
        { event: { type: /^xstate\.error\.actor/, error: { name: 'RangeError', message: 'out of range' } } },
      ])
      await server.said(/"room":"family\/unheard".*the machine threw/)
      t.equal(server.stderr.split('\n').filter((line) => line.includes(room)).length, 1)
    },
  )

  for (const text of ['a cycle', 'a bigint']) {
    await t.test(`L5 a result that is no JSON (${text}): the record stands, the machine stays as it is`, async (t) => {
      const room = `family/${text.replace(' ', '-')}`
      await tell(t, tab, room, [{ type: 'odd', text }])
      await tab.until(async () => (await tab.ask({ type: 'get', room })).seq === 3)
      t.match(await tab.ask({ type: 'get', room }), { state: { value: 'odd', context: { notes: [] } } })
      t.match(await tab.ask({ type: 'send', room, event: { type: 'heard', text: 'on' } }), { type: 'ok', seq: 4 })
    })
  }

  await t.test('S6 what an earlier activation brings is refused, and its successor is heard', async (t) => {
    const room = 'family/late'
    await tell(t, tab, room, ['callback'])
    await comesTo(t, tab, room, heard('begun for family/late/2/echo'))
    const events = [{ type: 'tell', text: 'too late' }, { type: 'callback' }]
    tab.burst(events.map((event, i) => ({ type: 'send', id: `late${i}`, room, event })))
    const { seq } = await tab.next(({ id }) => id === 'late1')
    await comesTo(t, tab, room, heard('begun for family/late/2/echo', `begun for family/late/${seq}/echo`))
  })
})

t.test('delays and long work', async (t) => {
  const server = await startServer(t, { env })
  const stamps = async (tab: Tab, room: string) => (await tab.ask({ type: 'get', room })).state

  await t.test(
    'STATE-7 S6 a long-running machine streams its progress; a restart in the middle resumes it',
    async (t) => {
      const room = 'timers/work'
      const ann = await Tab.open(server, 'ann')
      await ann.join(room)
      await tell(t, ann, room, [{ type: 'work', to: 40 }])
      await ann.until(async () => ann.state(room).context.done >= 5)
      await server.crashAndRestart()
      const back = await Tab.open(server, 'ann')
      await back.join(room)
      const resumed = back.state(room)
      t.match(resumed, { value: 'working', timers: [{ event: /^xstate\.after/ }] })
      t.ok(resumed.context.done >= 5, 'nothing that was shown is lost')
      await back.until(async () => back.state(room).value === 'rest')
      t.match(back.state(room), { context: { done: 40 }, timers: [] })
      await back.leave()
    },
  )

  await t.test('S6 a delay fires at its due time, as a record', async (t) => {
    const room = 'timers/due'
    const tab = await Tab.open(server, 'ann')
    await tell(t, tab, room, [{ type: 'wait', delay: 60 }])
    const [{ dueAt }] = (await stamps(tab, room)).timers
    await comesTo(t, tab, room, { value: 'rest', timers: [] })
    const { events } = await tab.ask({ type: 'history', room, since: 2 })
    t.match(events, [{ seq: 3, from: null, event: { type: /^xstate\.after\.asked/ } }])
    t.ok(events[0].time >= dueAt)
    t.same((await stamps(tab, room)).context.rung, [events[0].time])
  })

  await t.test(
    'S6 a delay that passed while the server was down fires at once; one that did not keeps its time',
    async (t) => {
      const tab = await Tab.open(server, 'ann')
      await tell(t, tab, 'timers/passed', [{ type: 'wait', delay: 1000 }])
      await tell(t, tab, 'timers/later', [{ type: 'wait', delay: 600_000 }])
      const [passed] = (await stamps(tab, 'timers/passed')).timers
      const { timers } = await stamps(tab, 'timers/later')
      await server.end('SIGKILL')
      while (Date.now() <= passed.dueAt)
        await new Promise((resolve) => setTimeout(resolve, passed.dueAt - Date.now() + 1))
      await server.start()
      const back = await Tab.open(server, 'ann')
      await comesTo(t, back, 'timers/passed', { value: 'rest', timers: [] })
      t.match((await back.ask({ type: 'history', room: 'timers/passed', since: 2 })).events, [{ seq: 3 }])
      t.match(await stamps(back, 'timers/later'), { value: 'waiting', timers })
    },
  )

  await t.test('S9 a passivated room comes back with the same state and seq, and for a delay by itself', async (t) => {
    const tab = await Tab.open(server, 'ann')
    await tell(t, tab, 'timers/asleep', [{ type: 'wait', delay: 600_000 }])
    await tell(t, tab, 'timers/woken', [{ type: 'wait', delay: 1000 }])
    const asleep = await tab.ask({ type: 'get', room: 'timers/asleep' })
    await tab.until(async () => (await server.metric('chartroom_rooms')) === 0)
    await tab.until(async () => (await server.metric('chartroom_rooms')) > 0)
    const woken = await tab.ask({ type: 'history', room: 'timers/woken', since: 2 })
    t.match(woken.events, [{ seq: 3, event: { type: /^xstate\.after/ } }])
    const { id: _, ...same } = asleep
    t.match(await tab.ask({ type: 'get', room: 'timers/asleep' }), same)
  })
})

const roomOf = (title: string): string => ALL.find((one) => one.title === title)?.room ?? ''

/** Sends one after the other; a type that ends in `?` is to be refused by a guard. */
async function tell(t: Test, tab: Tab, room: string, given: readonly Given[]): Promise<void> {
  for (const one of given) {
    const event = typeof one === 'string' ? { type: one.replace(/\?$/, '') } : one
    const isRefused = typeof one === 'string' && one.endsWith('?')
    const reply = await tab.ask({ type: 'send', room, event })
    t.match(reply, isRefused ? { code: 'not_accepted' } : { type: 'ok' }, JSON.stringify(event))
  }
}

/** Waits until the room's state has all that is wanted. */
async function comesTo(t: Test, tab: Tab, room: string, given: Readonly<Record<string, unknown>>): Promise<void> {
  const wanted = JSON.parse(JSON.stringify(given).replaceAll('KEY', `${room} ${room.split('/')[1]}`))
  let state: Frame = {}
  const isThere = async () => {
    state = pick((await tab.ask({ type: 'get', room })).state, Object.keys(wanted))
    return isDeepStrictEqual(state, wanted)
  }
  await tab.until(isThere).catch((error: Error) => t.match(error, { message: /^not so/ }))
  t.same(state, wanted)
}

const pick = (from: Frame, names: readonly string[]): Frame =>
  Object.fromEntries(names.map((name) => [name, from[name]]))

/** What the log says of a room, without its machine. */
async function documentOf(server: ServerProcess, room: string): Promise<RoomDocument | undefined> {
  const log = openLmdbLogToRead(server.data)
  try {
    return (await recover(log, room)).document
  } finally {
    await log.close()
  }
}

t.test('what a child tells of itself has the time and the seq of its record, and is from nobody', async (t) => {
  const server = await startServer(t, { env })
  const ann = await Tab.open(server, 'ann')
  const say = (room: string, type: string) => ann.ask({ type: 'send', room, event: { type } })
  const stamps = async (room: string, since: number) => {
    const { state } = await ann.ask({ type: 'get', room })
    const { events } = await ann.ask({ type: 'history', room, since })
    const [{ seq, time, event }] = events
    return { notes: state.context.notes as string[], stamp: `null ${time} ${seq}`, type: event.type as string }
  }
  for (const [room, last, outcome] of [
    ['family/ends', 'end', 'done'],
    ['family/fails', 'fail.assign', 'error'],
  ] as const) {
    await say(room, 'stamped')
    await ann.until(async () => (await ann.ask({ type: 'get', room })).seq === 3)
    const promised = await stamps(room, 2)
    t.match(promised.type, /^xstate\.done\.actor/)
    t.ok(promised.notes.includes(`${promised.type}: ${promised.stamp}`), 'of a promise')
    await say(room, 'hear')
    const heard = await stamps(room, 3)
    t.ok(heard.notes.includes(`xstate.snapshot.outer: ${heard.stamp}`), 'of a child that goes on')
    await say(room, last)
    const ended = await stamps(room, 4)
    t.ok(ended.notes.includes(`xstate.${outcome}.actor.outer: ${ended.stamp}`), `of a child that is ${outcome}`)
  }
})
