/** Frames and their answers, good and bad. */
import { once } from 'node:events'
import t from 'tap'
import { startServer, tokenFor } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

t.test('messaging', async (t) => {
  const server = await startServer(t)

  t.test('MSG-1 R1 one frame with an id gets exactly one reply with it', async (t) => {
    const tab = await Tab.open(server, 'ann')
    const requests = [
      { type: 'ping' },
      { type: 'status' },
      { type: 'get', room: 'counter/r1' },
      { type: 'join', room: 'counter/r1' },
      { type: 'send', room: 'counter/r1', event: { type: 'increment' } },
      { type: 'send', room: 'counter/r1', event: { type: 'nonsense' } },
      { type: 'leave', room: 'counter/r1' },
      { type: 'leave', room: 'counter/r1' },
      { type: 'join', room: 'nonsense' },
      { type: 'nonsense' },
      { type: 'send' },
      { type: 'auth', token: await tokenFor('ann') },
    ]
    for (const [id, frame] of requests.entries()) await tab.ask({ ...frame, id })
    await tab.ask({ type: 'ping', id: 'last' })
    for (const [id, frame] of requests.entries()) {
      t.equal(tab.frames.filter((reply) => reply.id === id).length, 1, JSON.stringify(frame))
    }
  })

  t.test('R1 without an id only ok is left out', async (t) => {
    const tab = await Tab.open(server, 'ann')
    tab.burst([
      { type: 'ping' },
      { type: 'status' },
      { type: 'send', room: 'counter/r1b', event: { type: 'increment' } },
      { type: 'get', room: 'counter/r1b' },
      { type: 'send', room: 'counter/r1b', event: { type: 'nonsense' } },
    ])
    await tab.next((frame) => frame.type === 'error')
    tab.send({ type: 'auth', token: await tokenFor('ann') })
    t.match(await tab.ask({ type: 'auth', token: await tokenFor('ann') }), { type: 'ok' }, 'tokens have their turns')
    t.same(
      tab.frames.slice(1, -1).map((frame) => frame.type),
      ['pong', 'status', 'snapshot', 'error'],
    )
  })

  t.test('MSG-2 R2 replies of one room keep the order of the frames, refusals too', async (t) => {
    const tab = await Tab.open(server, 'ann')
    const room = 'counter/r2'
    tab.burst([
      { type: 'send', room, event: { type: 'increment' }, id: 1 },
      { type: 'send', room, event: { type: 'nonsense' }, id: 2 },
      { type: 'get', room, id: 3 },
      { type: 'join', room, id: 4 },
      { type: 'send', room, event: { type: 'increment' }, key: 'k', id: 5 },
      { type: 'send', room, event: { type: 'increment' }, key: 'k', id: 6 },
      { type: 'send', room, event: { type: 'increment' }, if: 1, id: 7 },
      { type: 'leave', room, id: 8 },
    ])
    await tab.next((frame) => frame.id === 8)
    const replies = tab.frames.filter((frame) => frame.id !== undefined)
    t.same(
      replies.map((frame) => frame.id),
      [1, 2, 3, 4, 5, 6, 7, 8],
    )
    t.match(replies[5], { type: 'ok', dup: true })
    t.match(replies[6], { type: 'error', code: 'conflict', retry: true })
  })

  t.test('R2 the patch that carries an event reaches its sender before the ok', async (t) => {
    const tab = await Tab.open(server, 'ann')
    await tab.join('counter/r2b')
    for (let count = 1; count <= 20; count++) {
      await tab.ask({ type: 'send', room: 'counter/r2b', event: { type: 'increment' } })
      t.equal(tab.state('counter/r2b').context.count, count)
    }
  })

  t.test('MSG-3 a ping is answered with the time of the server', async (t) => {
    const tab = await Tab.open(server, 'ann')
    const before = Date.now()
    const { time } = await tab.ask({ type: 'ping' })
    t.ok(time >= before && time <= Date.now())
  })

  t.test('MSG-4 the data of a ping comes back deep-equal, whatever JSON it is', async (t) => {
    const tab = await Tab.open(server, 'ann')
    const values = [
      null,
      true,
      false,
      0,
      -1.5e-7,
      1e21,
      '',
      'é €😀\u2028\n"',
      [],
      {},
      [[1, [2]], { a: { b: [null] } }],
      'null',
    ]
    for (const [i, data] of values.entries()) t.same((await tab.ask({ type: 'ping', data })).data, data, `value ${i}`)
    t.notOk('data' in (await tab.ask({ type: 'ping' })))
  })

  t.test('MSG-5 a chat message is answered with its seq and arrives at another user', async (t) => {
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    await ann.join('chat/five')
    await bob.join('chat/five')
    const { type, seq } = await ann.post('hello', 'chat/five')
    t.equal(type, 'ok')
    await bob.reaches('chat/five', seq)
    t.match(bob.state('chat/five').context.messages, [{ id: seq, from: 'ann', text: 'hello', time: Number }])
    t.same(bob.state('chat/five').context.online, ['ann', 'bob'])
  })

  t.test('MSG-7 a push that nobody asked for arrives: what another user did', async (t) => {
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    await bob.join('chat/seven')
    const before = bob.frames.length
    const { seq } = await ann.post('you did not ask', 'chat/seven')
    const push = await bob.next('patch')
    t.match(push, { room: 'chat/seven', base: seq - 1, seq })
    t.notOk('id' in push, 'it answers nothing')
    t.equal(bob.frames.length, before + 1, 'and it is one frame')
    t.match(bob.state('chat/seven').context.messages, [{ from: 'ann', text: 'you did not ask' }])
  })

  const nested = { list: [1, -2, 3.25, true, null, 'é 😀'], inner: { deep: { er: ['ü'] } }, empty: {}, none: [] }

  t.test('MSG-8 a nested value is preserved through room, log and restart', async (t) => {
    const other = await startServer(t)
    const ann = await Tab.open(other, 'ann')
    await ann.join('document/eight')
    const ops = [{ op: 'add', path: '/kept', value: nested }]
    await ann.ask({ type: 'send', room: 'document/eight', event: { type: 'document.patch', ops } })
    t.same(ann.state('document/eight').context.document, { kept: nested })
    await other.crashAndRestart()
    const again = await Tab.open(other, 'ann')
    const { state } = await again.ask({ type: 'get', room: 'document/eight' })
    t.same(state.context.document, { kept: nested })
  })

  t.test('MSG-9 E3 1, 1,000 and 60,000 characters are preserved, one over the limit is too_large', async (t) => {
    const tab = await Tab.open(server, 'ann')
    for (const length of [1, 1000, 60_000]) {
      const data = 'x'.repeat(length)
      t.equal((await tab.ask({ type: 'ping', data })).data, data)
    }
    const frame = (length: number) => JSON.stringify({ type: 'ping', data: 'x'.repeat(length), id: 'it' })
    const overhead = frame(0).length
    tab.socket.send(frame(65_536 - overhead))
    await tab.next('pong')
    tab.socket.send(frame(65_537 - overhead))
    t.match(await tab.next('error'), { code: 'too_large', retry: false, id: 'it' })
    t.match(await tab.ask({ type: 'ping', data: 1 }), { data: 1 })
    tab.socket.send(frame(4 * 65_536 + 1))
    t.match((await tab.close()).code, 1006, 'over the hard limit the transport cuts the connection')
  })

  t.test('E1 each bad frame gets exactly one error, and the connection lives', async (t) => {
    const tab = await Tab.open(server, 'ann')
    const bad: [string | Buffer, object][] = [
      ['{', { code: 'bad_json' }],
      ['', { code: 'bad_json' }],
      ['hello', { code: 'bad_json' }],
      ['[]', { code: 'bad_frame' }],
      ['null', { code: 'bad_frame' }],
      ['{}', { code: 'bad_frame', path: '/type' }],
      ['{"type":1}', { code: 'bad_frame', path: '/type' }],
      ['{"type":""}', { code: 'unknown_type' }],
      ['{"type":"nonsense","id":7}', { code: 'unknown_type', id: 7, allowed: Array }],
      ['{"type":"toString"}', { code: 'unknown_type' }],
      ['{"type":"join"}', { code: 'bad_frame', path: '/room' }],
      ['{"type":"send","room":"chat/a","event":{}}', { code: 'bad_frame', path: '/event/type' }],
      ['{"type":"ping","id":{}}', { code: 'bad_frame', path: '/id' }],
      [Buffer.from('{"type":"ping"}'), { code: 'unsupported_data' }],
    ]
    for (const [text, expected] of bad) {
      const before = tab.frames.length
      tab.socket.send(text)
      t.match(await tab.next('error'), { type: 'error', message: /./, retry: false, ...expected }, String(text))
      await tab.ask({ type: 'ping' })
      t.equal(tab.frames.length, before + 2, `one error, one pong: ${text}`)
    }
  })

  t.test('E1 an error does not send the half of a frame back', async (t) => {
    const tab = await Tab.open(server, 'ann')
    const type = '\u0001'.repeat(10_000)
    const [room, event] = ['counter/long', { type }]
    const frames = [{ type }, { type: 'send', room, event }, { type: 'send', room, event: { type: `xstate.${type}` } }]
    const codes = []
    for (const frame of frames) {
      const reply = await tab.ask(frame)
      codes.push(reply.code)
      t.ok(JSON.stringify(reply).length < 5000, reply.code)
    }
    t.same(codes, ['unknown_type', 'not_accepted', 'bad_event'])
  })

  t.test('MSG-6 a status with a request id answers with that id', async (t) => {
    const tab = await Tab.open(server, 'ann')
    t.match(await tab.ask({ type: 'status', id: 'six' }), { type: 'status', id: 'six', user: 'ann', state: 'open' })
  })

  t.test('MSG-10 an idle connection receives nothing', async (t) => {
    const tab = await Tab.open(server, 'ann')
    const before = tab.frames.length
    await new Promise((resolve) => setTimeout(resolve, 2000))
    t.equal(tab.frames.length, before)
  })

  t.test('E2 rooms, machines and events that are not there are refused by name', async (t) => {
    const tab = await Tab.open(server, 'ann')
    const event = { type: 'message.post', text: 'x' }
    const cases: [object, object][] = [
      [
        { type: 'join', room: 'nowhere' },
        { code: 'bad_room', path: '/room' },
      ],
      [{ type: 'join', room: 'Chat/a' }, { code: 'bad_room' }],
      [{ type: 'join', room: 'chat/' }, { code: 'bad_room' }],
      [{ type: 'join', room: 'chat/a b' }, { code: 'bad_room' }],
      [{ type: 'join', room: `chat/${'a'.repeat(129)}` }, { code: 'bad_room' }],
      [{ type: 'get', room: 'nothing/a' }, { code: 'unknown_machine' }],
      [{ type: 'leave', room: 'chat/never' }, { code: 'not_joined' }],
      [
        { type: 'send', room: 'chat/e2', event: { type: 'message.post' } },
        { code: 'bad_event', path: '/event/text' },
      ],
      [
        { type: 'send', room: 'chat/e2', event: { type: 'nonsense' } },
        { code: 'not_accepted', value: {}, can: ['message.post'] },
      ],
      [
        { type: 'send', room: 'chat/e2', event, if: 9 },
        { code: 'conflict', expected: 9, actual: 0, retry: true },
      ],
      [
        { type: 'send', room: 'document/e2', event: { type: 'document.patch', ops: [{ op: 'remove', path: '/a' }] } },
        { code: 'event_failed', retry: false },
      ],
    ]
    for (const [frame, expected] of cases)
      t.match(await tab.ask(frame), { type: 'error', ...expected }, JSON.stringify(frame))
    t.match(await tab.ask({ type: 'get', room: 'chat/e2' }), { seq: 0 }, 'nothing of it was stored')
  })

  t.test('E4 nobody forges events of the server, nor from and time, nor a prototype', async (t) => {
    const tab = await Tab.open(server, 'ann')
    await tab.join('chat/e4')
    for (const type of [
      'xstate.stop',
      'xstate.init',
      'xstate.done.actor.x',
      'room.left',
      'room.joined',
      'room.created',
      '*',
      '',
    ]) {
      const event = { type, user: 'ann' }
      t.match(await tab.ask({ type: 'send', room: 'chat/e4', event }), { code: 'bad_event', path: '/event/type' }, type)
    }
    const forged = { type: 'message.post', text: 'me?', from: 'bob', time: 1, seq: 99 }
    const { seq } = await tab.ask({ type: 'send', room: 'chat/e4', event: forged })
    const [{ id, from, time }] = tab.state('chat/e4').context.messages
    t.same([id, from, time > 1], [seq, 'ann', true])
    tab.socket.send('{"type":"send","room":"chat/e4","event":{"type":"message.post","text":"x","a":{"__proto__":{}}}}')
    t.match(await tab.next('error'), { code: 'bad_frame', path: '/event/a/__proto__' })
  })

  t.test('E5 JSON deeper than 32 levels is bad_frame', async (t) => {
    const tab = await Tab.open(server, 'ann')
    const deep = (levels: number) => `{"data":${'['.repeat(levels)}${']'.repeat(levels)},"type":"ping","id":33}`
    tab.socket.send(deep(31))
    await tab.next('pong')
    tab.socket.send(deep(32))
    t.match(await tab.next('error'), { code: 'bad_frame', path: '', id: 33 })
  })

  t.test('S5 a room that is not open to somebody tells nothing, and `@me` is each user’s own', async (t) => {
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    t.match(await ann.ask({ type: 'send', room: 'counter/@me', event: { type: 'increment' } }), { room: 'counter/ann' })
    t.match(await bob.ask({ type: 'get', room: 'counter/@me' }), {
      room: 'counter/bob',
      state: { context: { count: 0 } },
    })
  })

  t.test('a peer that is gone in the middle of a frame hurts nobody', async () => {
    const tab = await Tab.open(server, 'ann')
    tab.socket.terminate()
    await once(tab.socket, 'close')
    const other = await Tab.open(server, 'bob')
    await other.ask({ type: 'ping' })
  })
})
