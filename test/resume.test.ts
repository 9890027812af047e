/** Who follows a room's events, alone or beside its state: everything, in order, once, wherever it goes on from. */
import { join } from 'node:path'
import t from 'tap'
import { ROOT, startServer } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

const MODES = ['state', 'events', 'both'] as const
type Mode = (typeof MODES)[number]

const count = (length: number): number[] => Array.from({ length }, (_, i) => i)
const say = (room: string, text: string) => ({ type: 'send', room, event: { type: 'message.post', text } })
const increment = (room: string) => ({ type: 'send', room, event: { type: 'increment' } })
const note = (room: string, text: string) => ({ type: 'send', room, event: { type: 'note', text } })

/** What a client knows of a record by its event. */
const asRecord = ({ seq, event, from, time }: Frame): Frame => ({ seq, event, from, time })
const eventsOf = (tab: Tab, room: string): Frame[] =>
  tab.frames.filter((frame) => frame.type === 'event' && frame.room === room)
const seqsOf = (frames: Frame[]): number[] => frames.map(({ seq }) => seq)
/** The whole numbers above `after`, up to `upTo`. */
const range = (after: number, upTo: number): number[] => count(upTo - after).map((i) => after + 1 + i)

const enter = (tab: Tab, room: string, mode: Mode, since?: { epoch: string; seq: number }): Promise<Frame> =>
  tab.ask({ type: 'join', room, mode, ...(since && { since }) })
const hears = (tab: Tab, room: string, seq: number): Promise<Frame> =>
  tab.next((frame) => frame.type === 'event' && frame.room === room && frame.seq === seq)

/** Every record of a room that the log holds behind `since`. */
async function pastOf(tab: Tab, room: string, since = 0): Promise<Frame[]> {
  const { events, more } = await tab.ask({ type: 'history', room, since, limit: 1000 })
  return more ? [...events, ...(await pastOf(tab, room, events.at(-1).seq))] : events
}

/** What comes for a room once a join was answered, up to the answer to a question that was asked behind it. */
async function framesBehind(tab: Tab, ok: Frame): Promise<Frame[]> {
  const pong = await tab.ask({ type: 'ping' })
  return tab.frames.slice(tab.frames.indexOf(ok) + 1, tab.frames.indexOf(pong))
}

/** Sends all of them in one go, and has read every reply. */
async function sendAll(tab: Tab, frames: Frame[]): Promise<Frame[]> {
  const from = tab.frames.length
  tab.burst(frames.map((frame, i) => ({ ...frame, id: `all ${i}` })))
  for (let left = frames.length; left > 0; left--) await tab.next(({ id }) => id === `all ${left - 1}`)
  return tab.frames.slice(from)
}

t.test('events', async (t) => {
  const server = await startServer(t)

  t.test('S1 L1 in mode events each record is one event, in order, once, as history has it', async (t) => {
    const room = 'chat/e1'
    const watcher = await Tab.open(server, 'watcher')
    const ok = await enter(watcher, room, 'events')
    t.match(ok, { recovered: false, seq: 2 })
    t.match(await watcher.next('snapshot'), { room, seq: 2, epoch: ok.epoch })
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    await ann.join(room)
    await sendAll(
      bob,
      count(20).map((i) => say(room, `${i}`)),
    )
    await ann.leave()
    await hears(watcher, room, 24)
    const past = await pastOf(watcher, room)
    t.same(eventsOf(watcher, room).map(asRecord), past.slice(2))
    t.match(eventsOf(watcher, room)[0], { type: 'event', room, epoch: ok.epoch, seq: 3, from: null, time: Number })
    t.match(past[2], { event: { type: 'room.joined', user: 'ann' } })
    t.match(past.at(-1), { seq: 24, event: { type: 'room.left', user: 'ann' } })
    t.notOk(watcher.hasUnread('patch'), 'nobody asked for state')
  })

  t.test('S3 L6 who goes on from seq 0 hears of the creation of the room, and of everybody in it', async (t) => {
    const room = 'chat/e2'
    const ann = await Tab.open(server, 'ann')
    const { epoch } = await ann.join(room)
    await ann.post('one', room)
    const late = await Tab.open(server, 'late')
    t.match(await enter(late, room, 'events', { epoch, seq: 0 }), { recovered: true, seq: 4 })
    await hears(late, room, 4)
    t.same(
      eventsOf(late, room).map(({ event }) => event.type),
      ['room.created', 'room.joined', 'message.post', 'room.joined'],
    )
    t.same(eventsOf(late, room).map(asRecord), await pastOf(ann, room))
    t.notOk(late.hasUnread('snapshot'))
  })

  for (const mode of ['events', 'both'] as const) {
    t.test(
      `R2 in mode ${mode} what carries an event reaches its sender before the ok, in a burst as well`,
      async (t) => {
        const room = `chat/r2-${mode}`
        const ann = await Tab.open(server, 'ann')
        await enter(ann, room, mode)
        const frames = await sendAll(
          ann,
          count(50).map((i) => say(room, `${i}`)),
        )
        const oks = frames.filter(({ type }) => type === 'ok')
        t.equal(oks.length, 50)
        for (const ok of oks) {
          const before = frames.slice(0, frames.indexOf(ok))
          t.ok(
            before.some(({ type, seq }) => type === 'event' && seq === ok.seq),
            `the event of ${ok.seq}`,
          )
          if (mode === 'both')
            t.ok(
              before.some(({ type, seq }) => type === 'patch' && seq >= ok.seq),
              `a patch up to ${ok.seq}`,
            )
        }
        t.same(seqsOf(eventsOf(ann, room)), range(2, 52))
      },
    )
  }

  t.test(
    'S1 S2 in mode both there is an event for each record, and patches that lead to what get answers',
    async (t) => {
      const room = 'chat/both'
      const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
      const { seq: first } = await enter(ann, room, 'both')
      await sendAll(
        bob,
        count(40).map((i) => say(room, `${i}`)),
      )
      const { seq, state } = await bob.ask({ type: 'get', room })
      await ann.reaches(room, seq)
      t.same(ann.state(room), state)
      t.same(eventsOf(ann, room).map(asRecord), await pastOf(bob, room, first))
    },
  )

  t.test('S1 who joins while a room is busy has each record once: in the snapshot, or as an event', async (t) => {
    const room = 'counter/busy'
    const ann = await Tab.open(server, 'ann')
    ann.burst(count(3000).map(() => increment(room)))
    const tabs = await Promise.all(count(6).map((i) => Tab.open(server, `late${i}`)))
    await Promise.all(tabs.map((tab, i) => enter(tab, room, i % 2 === 0 ? 'events' : 'both')))
    const { seq: last } = await ann.ask(increment(room))
    for (const tab of tabs) {
      const { seq } = await tab.next('snapshot')
      await hears(tab, room, last)
      t.same(seqsOf(eventsOf(tab, room)), range(seq, last))
    }
  })

  t.test('S1 two tabs in two modes each get what they asked for', async (t) => {
    const room = 'counter/modes'
    const tabs = await Promise.all(MODES.map(() => Tab.open(server, 'ann')))
    for (const [i, tab] of tabs.entries()) await enter(tab, room, MODES[i] as Mode)
    const [state, events, both] = tabs as [Tab, Tab, Tab]
    await state.ask(increment(room))
    await hears(both, room, 2)
    await hears(events, room, 2)
    await Promise.all([state.reaches(room, 2), both.reaches(room, 2)])
    for (const [i, kinds] of [['patch'], ['event'], ['event', 'patch']].entries()) {
      const tab = tabs[i] as Tab
      const got = tab.frames.map(({ type }) => type).filter((type) => type === 'patch' || type === 'event')
      t.same(got, kinds, `mode ${MODES[i]}`)
    }
  })

  t.test('R4 who leaves hears no more, and may come back in another mode; so may who is still in', async (t) => {
    const room = 'counter/change'
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    await enter(ann, room, 'events')
    t.match(await ann.ask({ type: 'leave', room }), { type: 'ok' })
    await bob.ask(increment(room))
    const state = await enter(ann, room, 'state')
    t.match(await framesBehind(ann, state), [{ type: 'snapshot', seq: 2 }])
    await bob.ask(increment(room))
    await ann.reaches(room, 3)
    t.same(eventsOf(ann, room), [], 'no event came, neither while it was out nor in mode state')

    const both = await enter(ann, room, 'both')
    t.match(await framesBehind(ann, both), [{ type: 'snapshot', seq: 3 }])
    await bob.ask(increment(room))
    await hears(ann, room, 4)
    await ann.reaches(room, 4)

    const events = await enter(ann, room, 'events', { epoch: both.epoch, seq: 2 })
    t.match(events, { recovered: true })
    await bob.ask(increment(room))
    await hears(ann, room, 5)
    t.same(seqsOf((await framesBehind(ann, events)).filter(({ type }) => type === 'event')), [3, 4, 5])
    t.equal(ann.seq(room), 4, 'no patch came any more')
    t.same((await ann.ask({ type: 'status' })).rooms, [room])
  })

  t.test('S3 in each mode a resume from each seq brings exactly what was missed', async (t) => {
    const room = 'chat/s3'
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    const { epoch } = await ann.join(room)
    const at = new Map<number, unknown>([[0, undefined]])
    const remember = () => at.set(ann.seq(room) as number, structuredClone(ann.state(room)))
    remember()
    for (const i of count(15)) {
      await ann.post(`message ${i} of some length, so that a patch may be smaller than a snapshot`, room)
      remember()
    }
    await bob.join(room)
    remember()
    const past = await pastOf(ann, room)
    const last = past.length
    t.equal(at.size, last, 'each seq but that of room.created, and 0')
    const recovered: Record<Mode, number[]> = { state: [], events: [], both: [] }
    for (const mode of MODES) {
      for (const [seq, state] of at) {
        bob.hold(room, seq, state)
        const ok = await enter(bob, room, mode, { epoch, seq })
        t.equal(ok.seq, last)
        if (ok.recovered) recovered[mode].push(seq)
        const frames = await framesBehind(bob, ok)
        const [events, states] = [true, false].map((is) => frames.filter(({ type }) => (type === 'event') === is))
        const from = ok.recovered ? seq : last
        t.same(events?.map(asRecord), mode === 'state' ? [] : past.slice(from), `events since ${seq}, mode ${mode}`)
        const wanted = !ok.recovered ? ['snapshot'] : seq === last || mode === 'events' ? [] : ['patch']
        t.same(
          states?.map(({ type }) => type),
          wanted,
          `frames since ${seq}, mode ${mode}`,
        )
        if (mode !== 'events') t.same(bob.state(room), ann.state(room), `state since ${seq}, mode ${mode}`)
      }
    }
    t.same(recovered.events, [...at.keys()], 'with events always')
    t.same(recovered.both, recovered.state, 'with state where the patch is smaller')
    t.ok(recovered.state.includes(last) && recovered.state.includes(last - 1) && recovered.state.length < at.size)
  })

  t.test('S3 another epoch or a seq beyond the end is not recovered, and nothing missed is no frame', async (t) => {
    const room = 'counter/edges'
    const tab = await Tab.open(server, 'ann')
    const { epoch } = await tab.join(room)
    await tab.ask(increment(room))
    for (const mode of MODES) {
      for (const since of [
        { epoch: 'another', seq: 1 },
        { epoch: 'another', seq: 2 },
        { epoch, seq: 3 },
        { epoch, seq: Number.MAX_SAFE_INTEGER },
      ]) {
        const ok = await enter(tab, room, mode, since)
        t.match(ok, { type: 'ok', recovered: false, epoch, seq: 2 }, `${mode} ${JSON.stringify(since)}`)
        t.match(await framesBehind(tab, ok), [{ type: 'snapshot', seq: 2 }])
      }
      const ok = await enter(tab, room, mode, { epoch, seq: 2 })
      t.match(ok, { type: 'ok', recovered: true, seq: 2 }, mode)
      t.same(await framesBehind(tab, ok), [])
    }
  })

  t.test('S3 more than two pages of missed records come as events, each once; more arrive behind them', async (t) => {
    const room = 'counter/pages'
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    const { epoch } = await ann.join(room)
    for (const _ of count(5))
      await sendAll(
        bob,
        count(500).map(() => increment(room)),
      )
    const { seq: last } = await bob.ask({ type: 'get', room })
    t.equal(last, 2501)
    for (const seq of [0, 1, 400, 1500, 1501]) {
      const tab = await Tab.open(server, 'ann')
      t.match(await enter(tab, room, 'events', { epoch, seq }), { recovered: true, seq: last })
      await hears(tab, room, last)
      t.same(seqsOf(eventsOf(tab, room)), range(seq, last), `since ${seq}`)
      await tab.leave()
    }
    const tab = await Tab.open(server, 'ann')
    tab.send({ type: 'join', room, mode: 'events', since: { epoch, seq: 1 } })
    bob.burst(count(100).map(() => increment(room)))
    await hears(tab, room, last + 100)
    t.same(seqsOf(eventsOf(tab, room)), range(1, last + 100))
  })

  t.test(
    'S3 more than a page of missed records comes as one patch where that is smaller than the snapshot',
    async (t) => {
      const room = 'document/pages'
      const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
      const patch = (path: string, value: unknown) => ({
        type: 'send',
        room,
        event: { type: 'document.patch', ops: [{ op: 'add', path, value }] },
      })
      const { epoch } = await ann.join(room)
      for (const i of count(4)) await bob.ask(patch(`/large${i}`, 'x'.repeat(50_000)))
      await ann.reaches(room, 5)
      await ann.leave()
      for (const n of count(3))
        await sendAll(
          bob,
          count(500).map((i) => patch('/n', n * 500 + i)),
        )
      for (const mode of ['state', 'both'] as const) {
        const back = await Tab.open(server, 'ann')
        back.adopt(room, ann)
        const ok = await enter(back, room, mode, { epoch, seq: 5 })
        t.match(ok, { recovered: true, seq: 1505 })
        await back.reaches(room, 1505)
        t.same(back.state(room), (await bob.ask({ type: 'get', room })).state)
        if (mode === 'both') await hears(back, room, 1505)
        t.same(seqsOf(eventsOf(back, room)), mode === 'both' ? range(5, 1505) : [])
      }
    },
  )
})

t.test('S8 S3 after kill -9 who goes on along the events hears that everybody had left, once', async (t) => {
  const server = await startServer(t)
  const room = 'chat/killed'
  const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
  const { epoch } = await enter(ann, room, 'events')
  await enter(bob, room, 'both')
  const { seq } = await ann.post('before', room)
  await server.crashAndRestart()
  const back = await Tab.open(server, 'ann')
  t.match(await enter(back, room, 'events', { epoch, seq }), { recovered: true, seq: seq + 3 })
  await hears(back, room, seq + 3)
  t.match(
    eventsOf(back, room).map(({ event }) => event),
    [
      { type: 'room.left', user: 'ann' },
      { type: 'room.left', user: 'bob' },
      { type: 'room.joined', user: 'ann' },
    ],
  )
})

t.test('a short past', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/machines') } })

  t.test('S3 what was trimmed is not recovered in any mode; from the first seq that is held on it is', async (t) => {
    const room = 'short/trimmed'
    const tab = await Tab.open(server, 'ann')
    const { epoch } = await enter(tab, room, 'events')
    for (const i of count(60)) await tab.ask(note(room, `${i}`))
    const { events, first } = await tab.ask({ type: 'history', room, since: 0, limit: 1000 })
    t.ok(first > 1 && events.at(-1).seq === 61, `held are ${first} to 61`)
    for (const mode of MODES) {
      for (const seq of [0, 1, first - 2]) {
        const ok = await enter(tab, room, mode, { epoch, seq })
        t.match(ok, { recovered: false, seq: 61 }, `${mode} since ${seq}`)
        t.match(await framesBehind(tab, ok), [{ type: 'snapshot', seq: 61 }])
      }
    }
    const ok = await enter(tab, room, 'events', { epoch, seq: first - 1 })
    t.match(ok, { recovered: true })
    t.same(seqsOf(await framesBehind(tab, ok)), range(first - 1, 61))
  })

  t.test('S7 who stops reading in an event mode, until the log forgets its place, is closed 4211', async (t) => {
    for (const mode of ['events', 'both'] as const) {
      const room = `short/slow-${mode}`
      const [slow, other] = [await Tab.open(server, 'slow'), await Tab.open(server, 'other')]
      await enter(slow, room, mode)
      slow.socket.pause()
      for (const n of count(10))
        await sendAll(
          other,
          count(30).map((i) => note(room, `${n} ${i} ${'x'.repeat(50_000)}`)),
        )
      slow.socket.resume()
      t.same(await slow.close(), { code: 4211, reason: 'too_slow' }, mode)
      const got = seqsOf(eventsOf(slow, room))
      t.same(got, range(1, 1 + got.length), 'up to there it had each event once')
    }
  })
})

t.test('S7 who stops reading in an event mode has every event in order, once, when it reads on', async (t) => {
  const server = await startServer(t)
  const large = (room: string) => ({ type: 'send', room, event: { type: 'increment', padding: 'x'.repeat(50_000) } })
  for (const mode of ['events', 'both'] as const) {
    const room = `counter/slow-${mode}`
    const [slow, other] = [await Tab.open(server, 'slow'), await Tab.open(server, 'other')]
    const { seq: first } = await enter(slow, room, mode)
    const write = async () => {
      slow.socket.pause()
      for (const _ of count(15)) await sendAll(other, Array(10).fill(large(room)))
      slow.socket.resume()
    }
    await write()
    await write()
    const { seq } = await other.ask(increment(room))
    await hears(slow, room, seq)
    t.same(seqsOf(eventsOf(slow, room)), range(first, seq), mode)
    if (mode === 'both') {
      await slow.reaches(room, seq)
      t.same(slow.state(room), (await other.ask({ type: 'get', room })).state)
      const patches = slow.frames.filter((frame) => frame.type === 'patch')
      t.ok(patches.length < 300, `${patches.length} patches: a cursor, not a buffer`)
    }
    await slow.leave()
  }
})
