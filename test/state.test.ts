/** Rooms: snapshot, patches, resume, order, what survives. */
import t from 'tap'
import { startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

const increment = (room: string, by = 1) => ({ type: 'send', room, event: { type: 'increment', by } })

t.test('rooms', async (t) => {
  const server = await startServer(t)

  t.test('STATE-1 S1 L6 a join is answered with ok, then a snapshot with seq and the full state', async (t) => {
    const ann = await Tab.open(server, 'ann')
    const ok = await ann.ask({ type: 'join', room: 'counter/one' })
    t.match(ok, { type: 'ok', room: 'counter/one', epoch: /./, seq: 1, recovered: false })
    const state = {
      value: {},
      context: { count: 0 },
      status: 'active',
      can: ['decrement', 'increment', 'reset'],
      timers: [],
    }
    const snapshot = await ann.next('snapshot')
    t.same(snapshot, { type: 'snapshot', room: 'counter/one', epoch: ok.epoch, seq: 1, state })
    t.ok(ann.frames.indexOf(snapshot) > ann.frames.indexOf(ok))
  })

  t.test('STATE-2 S2 three changes are three patches, and the patched state is what get answers', async (t) => {
    const ann = await Tab.open(server, 'ann')
    await ann.join('counter/two')
    for (const by of [1, 2, 3]) await ann.ask(increment('counter/two', by))
    const patches = ann.frames.filter((frame) => frame.type === 'patch')
    t.same(
      patches.map(({ base, seq }) => [base, seq]),
      [
        [1, 2],
        [2, 3],
        [3, 4],
      ],
    )
    const got = await ann.ask({ type: 'get', room: 'counter/two' })
    t.same(ann.state('counter/two'), got.state)
    t.match(got, { seq: 4, state: { context: { count: 6 } } })
  })

  t.test('S2 a commit that changes nothing visible is a patch with empty ops', async (t) => {
    const ann = await Tab.open(server, 'ann')
    await ann.join('counter/nothing')
    await ann.ask(increment('counter/nothing', 0))
    t.match(await ann.next('patch'), { base: 1, seq: 2, ops: [] })
  })

  t.test('STATE-3 S3 a resume brings exactly the missing patch; what the log cannot tell is a snapshot', async (t) => {
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    const room = 'counter/three'
    const { epoch } = await ann.join(room)
    await ann.ask(increment(room))
    await ann.ask(increment(room))
    await ann.leave()
    await bob.ask(increment(room, 10))

    const back = await Tab.open(server, 'ann')
    back.adopt(room, ann)
    t.match(await back.join(room, { epoch, seq: 3 }), { recovered: true, seq: 4 })
    const patch = await back.next('patch')
    t.match(patch, { base: 3, seq: 4 })
    t.same(
      patch.ops.filter((op: { path: string }) => op.path.startsWith('/context')),
      [{ op: 'replace', path: '/context/count', value: 12 }],
    )
    t.same(back.state(room), (await back.ask({ type: 'get', room })).state)

    const before = back.frames.length
    t.match(await back.join(room, { epoch, seq: 4 }), { recovered: true, seq: 4 })
    await back.ask({ type: 'ping' })
    t.equal(back.frames.length, before + 2, 'nothing was missed, so no frame but ok and pong')

    for (const since of [
      { epoch: 'another', seq: 4 },
      { epoch, seq: 5 },
      { epoch, seq: 0 },
    ]) {
      t.match(await back.join(room, since), { recovered: false }, JSON.stringify(since))
    }
  })

  t.test('CONC-1 five tabs of one user: one message reaches each of them once, with the same seq', async (t) => {
    const tabs = await Promise.all(Array.from({ length: 5 }, () => Tab.open(server, 'five')))
    const stranger = await Tab.open(server, 'stranger')
    await stranger.join('chat/elsewhere')
    for (const tab of tabs) await tab.join('chat/tabs')
    const [first, , , fourth, fifth] = tabs as [Tab, Tab, Tab, Tab, Tab]
    t.same(first.state('chat/tabs').context.online, ['five'], 'five tabs are one user')
    const heard = stranger.frames.length
    const { seq } = await first.post('to all', 'chat/tabs')
    for (const tab of tabs) {
      await tab.reaches('chat/tabs', seq)
      const messages = tab.state('chat/tabs').context.messages
      t.match(messages, [{ id: seq, text: 'to all' }])
      t.equal(tab.frames.filter((frame) => frame.type === 'patch' && frame.seq === seq).length, 1)
    }
    await fourth.leave()
    await fifth.leave()
    await first.until(async () => (await first.ask({ type: 'status' })).session.connections === 3)
    await stranger.ask({ type: 'ping' })
    t.equal(stranger.frames.length, heard + 1, 'other rooms hear nothing')
  })

  t.test('S8 a user joins with the first connection and leaves with the last, each told once', async (t) => {
    const watcher = await Tab.open(server, 'watcher')
    const room = 'chat/presence'
    await watcher.join(room)
    const tabs = [await Tab.open(server, 'ann'), await Tab.open(server, 'ann')] as [Tab, Tab]
    for (const tab of tabs) await tab.join(room)
    t.same(watcher.state(room).context.online, ['watcher', 'ann'])
    const seq = watcher.seq(room) as number
    await tabs[0].leave()
    t.equal((await tabs[1].ask({ type: 'leave', room })).type, 'ok')
    await watcher.reaches(room, seq + 1)
    t.same(watcher.state(room).context.online, ['watcher'])
    t.equal((await watcher.post('next', room)).seq, seq + 2, 'one room.left, no more')
  })

  t.test('S8 leave and join in one segment, and no ghost is left', async (t) => {
    const watcher = await Tab.open(server, 'watcher')
    for (const way of ['leave join', 'join leave join', 'join join leave join', 'join']) {
      const frames = way.split(' ')
      const room = `chat/ghost-${frames.join('-')}`
      await watcher.join(room)
      const tab = await Tab.open(server, 'ghost')
      tab.burst(frames.map((type, id) => ({ type, room, id })))
      await tab.next((frame) => frame.id === frames.length - 1)
      t.same((await tab.ask({ type: 'status' })).rooms, [room])
      tab.socket.terminate()
      await watcher.until(
        async () => !watcher.state(room).context.online.includes('ghost') && (watcher.seq(room) ?? 0) > 3,
      )
      t.same(watcher.state(room).context.online, ['watcher'])
    }
  })

  t.test('S7 who stops reading costs a cursor, and is exactly right when it reads on', async (t) => {
    const [slow, other] = [await Tab.open(server, 'slow'), await Tab.open(server, 'other')]
    await slow.join('chat/slow')
    await slow.join('counter/slow')
    slow.socket.pause()
    slow.burst([{ type: 'join', room: 'chat/later' }])
    for (let i = 0; i < 300; i++) await other.post('x'.repeat(50_000), 'chat/slow')
    for (let i = 0; i < 10; i++) await other.ask(increment('counter/slow'))
    slow.socket.resume()
    for (const room of ['chat/slow', 'counter/slow']) {
      const { seq, state } = await other.ask({ type: 'get', room })
      await slow.reaches(room, seq)
      t.same(slow.state(room), state, room)
    }
    const { seq } = await other.post('to who joined while it did not read', 'chat/later')
    await slow.reaches('chat/later', seq)
    t.match(slow.state('chat/later').context.messages, [{ id: seq }])
    t.ok(slow.frames.filter((frame) => frame.type === 'patch' && frame.room === 'chat/slow').length < 300)
  })

  t.test('S7 replies that are left unread, and a socket that is not read at all, end in 4211', async (t) => {
    const strict = await startServer(t, { env: { CHARTROOM_MAX_LAG: '500' } })
    const other = await Tab.open(strict, 'ann')
    for (let i = 0; i < 100; i++) await other.post('x'.repeat(50_000), 'chat/big')
    for (const frames of [Array(10).fill({ type: 'get', room: 'chat/big' }), [{ type: 'get', room: 'chat/big' }]]) {
      const greedy = await Tab.open(strict, 'greedy')
      greedy.socket.pause()
      greedy.burst(frames)
      await other.until(async () => (await strict.metric('chartroom_connections{state="open"}')) === 1)
      greedy.socket.resume()
      t.same(await greedy.close(), { code: 4211, reason: 'too_slow' })
    }
  })

  t.test('L4 if with a stale seq: conflict, and nothing changes', async (t) => {
    const ann = await Tab.open(server, 'ann')
    const room = 'counter/l4'
    t.match(await ann.ask({ ...increment(room), if: 0 }), { type: 'ok', seq: 2 })
    t.match(await ann.ask({ ...increment(room), if: 1 }), { code: 'conflict', expected: 1, actual: 2 })
    t.match(await ann.ask({ ...increment(room), if: 2 }), { type: 'ok', seq: 3 })
    t.match(await ann.ask({ type: 'get', room }), { seq: 3, state: { context: { count: 2 } } })
  })

  t.test('L5 what is refused takes no seq and uses up no key', async (t) => {
    const ann = await Tab.open(server, 'ann')
    const room = 'document/l5'
    const patch = (ops: object[], key: string) => ({ type: 'send', room, event: { type: 'document.patch', ops }, key })
    t.match(await ann.ask(patch([{ op: 'add', path: '/a', value: 1 }], 'first')), { seq: 2 })
    t.match(await ann.ask(patch([{ op: 'test', path: '/a', value: 2 }], 'k')), { code: 'event_failed' })
    t.match(await ann.ask(patch([{ op: 'nonsense', path: '/a' }], 'k')), {
      code: 'bad_event',
      path: /^\/event\/ops\/0/,
    })
    const ok = await ann.ask(
      patch(
        [
          { op: 'test', path: '/a', value: 1 },
          { op: 'replace', path: '/a', value: 3 },
        ],
        'k',
      ),
    )
    t.match(ok, { type: 'ok', seq: 3 })
    t.notOk('dup' in ok)
    t.match(await ann.ask({ type: 'get', room }), { state: { context: { document: { a: 3 } } } })
  })

  t.test('L6 get of an unborn room shows the initial state at seq 0 and stores nothing', async (t) => {
    const ann = await Tab.open(server, 'ann')
    for (let i = 0; i < 2; i++) {
      t.match(await ann.ask({ type: 'get', room: 'counter/unborn' }), {
        type: 'snapshot',
        seq: 0,
        state: { context: { count: 0 } },
      })
    }
    t.match(await ann.ask(increment('counter/unborn')), { seq: 2 }, 'record 1 is room.created')
  })

  t.test('R4 send and get need no join, and leave needs one', async (t) => {
    const ann = await Tab.open(server, 'ann')
    t.match(await ann.ask(increment('counter/r4')), { type: 'ok' })
    t.match(await ann.ask({ type: 'get', room: 'counter/r4' }), { type: 'snapshot' })
    t.match(await ann.ask({ type: 'leave', room: 'counter/r4' }), { code: 'not_joined' })
    await ann.join('counter/r4')
    t.match(await ann.ask({ type: 'join', room: 'counter/r4' }), { type: 'ok', recovered: false }, 'a fresh join')
    await ann.next('snapshot')
  })
})

t.test('what survives kill -9', async (t) => {
  const server = await startServer(t)

  t.test('R3 L2 L3 what was acknowledged is there, once, at its seq; a repeated key knows its first', async (t) => {
    const ann = await Tab.open(server, 'ann')
    const oks = []
    for (let i = 0; i < 150; i++) oks.push(await ann.ask({ ...increment('counter/l2'), key: `k${i}` }))
    await server.crashAndRestart()
    const back = await Tab.open(server, 'ann')
    t.match(await back.ask({ type: 'get', room: 'counter/l2' }), { seq: 151, state: { context: { count: 150 } } })
    for (const i of [0, 99, 149]) {
      const again = await back.ask({ ...increment('counter/l2'), key: `k${i}` })
      t.match(again, { type: 'ok', seq: oks[i]?.seq, dup: true })
    }
    const bob = await Tab.open(server, 'bob')
    t.match(await bob.ask({ ...increment('counter/l2'), key: 'k0' }), { seq: 152 }, 'a key is its user’s own')
  })

  t.test('L2 a send that was under way at the kill is whole or not there, and can be asked again', async (t) => {
    for (let round = 0; round < 3; round++) {
      const room = `counter/race${round}`
      const ann = await Tab.open(server, 'ann')
      ann.burst(Array.from({ length: 200 }, (_, id) => ({ ...increment(room), key: `k${id}`, id })))
      await ann.next((frame) => frame.type === 'ok')
      await server.crashAndRestart()
      const back = await Tab.open(server, 'ann')
      const acknowledged = ann.frames.filter((frame) => frame.type === 'ok')
      const { seq, state } = await back.ask({ type: 'get', room })
      t.equal(state.context.count, seq - 1)
      t.ok(seq >= Math.max(...acknowledged.map((frame) => frame.seq)), `${acknowledged.length} were acknowledged`)
      for (let id = 0; id < 200; id++) await back.ask({ ...increment(room), key: `k${id}` })
      t.match(await back.ask({ type: 'get', room }), { seq: 201, state: { context: { count: 200 } } })
      await back.leave()
    }
  })

  t.test('L2 what looks like a reference of XState’s is kept as it is; copies have an end', async (t) => {
    const ann = await Tab.open(server, 'ann')
    const room = 'document/odd'
    const value = { xstate$$type: 1, id: '__proto__', list: [{ xstate$$type: 1, id: 'q' }] }
    const patch = (ops: object[]) => ann.ask({ type: 'send', room, event: { type: 'document.patch', ops } })
    await patch([{ op: 'add', path: '/a', value }])
    const copies = Array.from({ length: 26 }, (_, i) => ({ op: 'copy', from: '', path: `/c${i}` }))
    t.match(await patch(copies), { code: 'event_failed' })
    await server.crashAndRestart()
    const back = await Tab.open(server, 'ann')
    t.same((await back.ask({ type: 'get', room })).state.context.document, { a: value })
  })

  t.test('S8 who was in a room at the kill has left it before anybody joins', async (t) => {
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    const { epoch } = await ann.join('chat/ghosts')
    await bob.join('chat/ghosts')
    for (const text of ['one', 'two', 'three']) await ann.post(text, 'chat/ghosts')
    await bob.reaches('chat/ghosts', 6)
    await server.crashAndRestart()
    const back = await Tab.open(server, 'bob')
    back.adopt('chat/ghosts', bob)
    t.match(await back.join('chat/ghosts', { epoch, seq: 6 }), { recovered: true, seq: 9 })
    await back.reaches('chat/ghosts', 9)
    t.same(back.state('chat/ghosts').context.online, ['bob'])
  })
})
