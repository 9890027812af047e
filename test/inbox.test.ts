/** The inbox: stored before it is acknowledged, delivered until it is settled, never lost. */
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { serverHere } from './fixtures/here.ts'
import { type ServerOptions, startServer, tokenFor } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { type Frame, Tab } from './fixtures/tab.ts'
import { knock } from './fixtures/tokens.ts'

const post = (tab: Tab, to: string, data: unknown, fields: Frame = {}): Promise<Frame> =>
  tab.ask({ type: 'message', to, data, ...fields })

/** Posts one behind the other in the order given, `h` for high and `n` for normal, and has read every `ok`. */
async function postAll(tab: Tab, to: string, kinds: string, from = 0): Promise<void> {
  const asked = [...kinds].map((kind, i) =>
    post(tab, to, from + i, { priority: kind === 'h' ? 'high' : 'normal', key: `k${from + i}` }),
  )
  for (const reply of await Promise.all(asked)) if (reply.type !== 'ok') throw new Error(JSON.stringify(reply))
}

/** The next `count` messages, in the order they came. */
async function messages(tab: Tab, count: number): Promise<Frame[]> {
  const got: Frame[] = []
  while (got.length < count) got.push(await tab.next('message'))
  return got
}

const seqsOf = (got: Frame[]): number[] => got.map(({ seq }) => seq)
const dataOf = (got: Frame[]): unknown[] => got.map(({ data }) => data)
const inboxOf = async (tab: Tab): Promise<object> => (await tab.ask({ type: 'status' })).inbox

/** Whether nothing comes any more: what an ack and a status leave behind them would have come before their replies. */
async function hearsNothing(tab: Tab): Promise<boolean> {
  await tab.ask({ type: 'ack', seq: 1 })
  await tab.ask({ type: 'status' })
  return !tab.hasUnread('message')
}

async function serverWith(t: Test, env: Record<string, string> = {}, options: ServerOptions = {}) {
  const server = await startServer(t, { ...options, env })
  return { server, service: await Service.of(server), sender: await Tab.open(server, 'sender') }
}

t.test('inbox', async (t) => {
  const { server, service, sender } = await serverWith(t)

  t.test('QUEUE-1 Q1 ten messages for an absent user: ten are stored', async (t) => {
    await postAll(sender, 'one', 'n'.repeat(10))
    t.match(await service.get('/v1/users/one/inbox'), { normal: 10, high: 0, total: 10 })
  })

  t.test('QUEUE-2 five normal and three high are held as such, and status says so', async (t) => {
    await postAll(sender, 'two', 'nnnnnhhh')
    const tab = await Tab.open(server, 'two')
    t.same(await inboxOf(tab), { normal: 5, high: 3, total: 8 })
  })

  t.test(
    'QUEUE-3 fifteen stored, the user connects: fifteen arrive once each, none is left after their acks',
    async (t) => {
      await postAll(sender, 'three', 'n'.repeat(15))
      const tab = await Tab.open(server, 'three')
      const got = await messages(tab, 15)
      t.same(
        seqsOf(got),
        Array.from({ length: 15 }, (_, i) => i + 1),
      )
      t.match(got[0], { from: 'sender', data: 0, priority: 'normal', time: Number, attempt: 1 })
      t.match(await tab.ask({ type: 'ack', seq: seqsOf(got) }), { type: 'ok' })
      t.same(await inboxOf(tab), { normal: 0, high: 0, total: 0 })
      t.ok(await hearsNothing(tab))
      await tab.leave()
      t.ok(await hearsNothing(await Tab.open(server, 'three')), 'nor does anything come after a reconnect')
    },
  )

  t.test('QUEUE-4 mixed: high first, FIFO within, then normal', async (t) => {
    await postAll(sender, 'four', 'nhnnhnh')
    const got = await messages(await Tab.open(server, 'four'), 7)
    t.same(dataOf(got), [1, 4, 6, 0, 2, 3, 5])
  })

  t.test('QUEUE-9 five normal arrive in exact order', async (t) => {
    const tab = await Tab.open(server, 'nine')
    await postAll(sender, 'nine', 'nnnnn')
    t.same(dataOf(await messages(tab, 5)), [0, 1, 2, 3, 4])
  })

  t.test('QUEUE-10 three high arrive in exact order', async (t) => {
    await postAll(sender, 'ten', 'hhh')
    t.same(dataOf(await messages(await Tab.open(server, 'ten'), 3)), [0, 1, 2])
  })

  t.test(
    'QUEUE-11 Q1 five delivered, three acked: two come again with attempt 2; reconnecting makes no dead letter',
    async (t) => {
      await postAll(sender, 'eleven', 'nnnnn')
      let tab = await Tab.open(server, 'eleven')
      const got = await messages(tab, 5)
      await tab.ask({ type: 'ack', seq: [got[0]?.seq, got[2]?.seq, got[4]?.seq] })
      for (let round = 2; round <= 11; round++) {
        await tab.leave()
        tab = await Tab.open(server, 'eleven')
        const again = await messages(tab, 2)
        t.same(
          again.map(({ data, attempt }) => [data, attempt]),
          [
            [1, round],
            [3, round],
          ],
        )
      }
      t.match(await service.get('/v1/users/eleven/inbox'), { total: 2, deadLetters: 0 })
    },
  )

  t.test('QUEUE-14 a nested payload returns deep-equal', async (t) => {
    const data = { list: [1, null, [], { é: 'ñ 😀' }], float: 3.25, minus: -0.5, big: 1e21, no: false, nothing: null }
    await post(sender, 'fourteen', data)
    t.same((await (await Tab.open(server, 'fourteen')).next('message')).data, data)
  })

  t.test('Q1 every open connection gets it, the first ack settles it for all, an ack of it again is ok', async (t) => {
    const tabs = await Promise.all(['a', 'b', 'c'].map(() => Tab.open(server, 'tabs')))
    const { seq } = await post(sender, 'tabs', 'to all')
    for (const tab of tabs) t.match(await tab.next('message'), { seq, data: 'to all', attempt: 1 })
    const [first, second, third] = tabs as [Tab, Tab, Tab]
    t.match(await first.ask({ type: 'ack', seq }), { type: 'ok' })
    t.match(await second.ask({ type: 'ack', seq }), { type: 'ok' })
    t.same(await inboxOf(third), { normal: 0, high: 0, total: 0 })
    t.match(await third.ask({ type: 'ack', seq: seq + 1 }), { code: 'unknown_seq', retry: false })
    t.match(await third.ask({ type: 'nack', seq: [seq, seq + 1] }), { code: 'unknown_seq' })
  })

  t.test('Q1 a tab that comes later gets what is unsettled, in the same round', async (t) => {
    const early = await Tab.open(server, 'later')
    await post(sender, 'later', 'x')
    t.equal((await early.next('message')).attempt, 1)
    const late = await Tab.open(server, 'later')
    t.equal((await late.next('message')).attempt, 1)
  })

  t.test('Q1 a tab that reads late gets once what another tab has sent back meanwhile', async (t) => {
    const [late, prompt] = [await Tab.open(server, 'late'), await Tab.open(server, 'late')]
    late.socket.pause()
    const data = 'x'.repeat(60_000)
    const count = 250
    await Promise.all(Array.from({ length: count }, () => post(sender, 'late', data)))
    const got = await messages(prompt, count)
    const last = got.at(-1)?.seq
    t.match(await prompt.ask({ type: 'nack', seq: last }), { type: 'ok' })
    t.match(await prompt.next('message'), { seq: last, attempt: 2 })
    late.socket.resume()
    await messages(late, count)
    await late.ask({ type: 'ack', seq: 1 })
    t.equal(late.frames.filter(({ seq, type }) => type === 'message' && seq === last).length, 1)
    for (const tab of [late, prompt]) await tab.leave()
  })

  t.test('L3 a repeated key of the same sender is dup with the first seq, and delivered once', async (t) => {
    const other = await Tab.open(server, 'other-sender')
    const first = await post(sender, 'dup', 'a', { key: 'same' })
    t.match(await post(sender, 'dup', 'b', { key: 'same' }), { type: 'ok', seq: first.seq, dup: true })
    const theirs = await post(other, 'dup', 'c', { key: 'same' })
    t.equal(theirs.dup, undefined, 'the same key of another sender is another')
    t.same(dataOf(await messages(await Tab.open(server, 'dup'), 2)), ['a', 'c'])
  })

  t.test('Q3 a message whose ttl is over is discarded and counted, never delivered', async (t) => {
    await post(sender, 'ttl', 'short', { ttl: 50 })
    await post(sender, 'ttl', 'long', { ttl: 60_000 })
    await sender.until(async () => ((await service.get('/v1/users/ttl/inbox')) as Frame).expired === 1)
    const tab = await Tab.open(server, 'ttl')
    t.same(dataOf(await messages(tab, 1)), ['long'])
    t.same(await inboxOf(tab), { normal: 1, high: 0, total: 1 })
    t.match(await service.get('/v1/users/ttl/inbox'), { total: 1, expired: 1, deadLetters: 0 })
  })

  t.test('MSG-7 what nobody asked for arrives: from the server API to a room, and to a user', async (t) => {
    const tab = await Tab.open(server, 'seven')
    await tab.join('chat/seven')
    const event = { type: 'message.post', text: 'from the back end' }
    const ok = await service.post('/v1/rooms/chat/seven/events', { event, as: 'robot' })
    t.match(ok, { type: 'ok', room: 'chat/seven', seq: 3 })
    await tab.reaches('chat/seven', 3)
    t.match(tab.state('chat/seven').context.messages, [{ from: 'robot', text: 'from the back end' }])
    t.match(await service.post('/v1/users/seven/messages', { data: { hello: 1 }, priority: 'high' }), {
      type: 'ok',
      seq: 1,
    })
    t.match(await tab.next('message'), { from: 'backend', data: { hello: 1 }, priority: 'high', attempt: 1 })
  })

  t.test('a name of any kind has an inbox', async (t) => {
    for (const user of ['constructor', '__proto__', 'a b/ç', '😀'.repeat(32)]) {
      t.match(await post(sender, user, 'x'), { type: 'ok', seq: 1 })
      t.match(await service.get(`/v1/users/${encodeURIComponent(user)}/inbox`), { user, total: 1 })
    }
  })

  t.test('Q1 a name that the log would take for another, or could not write, is refused', async (t) => {
    t.match(await post(sender, '\ufffd', 'mine'), { type: 'ok', seq: 1 })
    const halves = ['\ud800', 'a\udfff']
    for (const to of halves) t.match(await post(sender, to, 'x'), { code: 'bad_frame', path: '/to' })
    t.equal(await knock(server, await tokenFor('\ud800')), 'unauthorized')
    const path = `/v1/users/${'u'.repeat(2000)}/`
    const event = { type: 'increment' }
    const [refused, ok] = await Promise.all([
      service.post(`${path}messages`, { data: 1 }),
      sender.ask({ type: 'send', room: 'counter/beside', event }),
    ])
    t.match(refused, { code: 'bad_frame', path: '/user' })
    t.match(ok, { type: 'ok' }, 'and nobody who writes beside it hears of it')
    for (const what of ['inbox', 'dead-letters']) t.match(await service.get(path + what), { code: 'bad_frame' })
  })
})

t.test('capacity and failures', async (t) => {
  const env = { CHARTROOM_INBOX_CAPACITY: '5', CHARTROOM_MAX_ATTEMPTS: '3', CHARTROOM_ACK_TIMEOUT: '200' }
  const { server, service, sender } = await serverWith(t, env)

  t.test('QUEUE-5 Q4 capacity 5, a sixth: inbox_full, and a settled place is usable', async (t) => {
    await postAll(sender, 'five', 'nnnnn')
    t.match(await post(sender, 'five', 6), { code: 'inbox_full', retry: true })
    const tab = await Tab.open(server, 'five')
    const [first] = await messages(tab, 5)
    await tab.ask({ type: 'ack', seq: first?.seq })
    t.match(await post(sender, 'five', 7), { type: 'ok', seq: 6 })
  })

  t.test(
    'QUEUE-12 Q2 a message nacked maxAttempts times is a dead letter, readable, and can be replayed',
    async (t) => {
      const tab = await Tab.open(server, 'twelve')
      await post(sender, 'twelve', { task: 1 })
      for (let attempt = 1; attempt <= 3; attempt++) {
        const { seq, attempt: told } = await tab.next('message')
        t.equal(told, attempt)
        t.match(await tab.ask({ type: 'nack', seq, reason: 'busy' }), { type: 'ok' })
      }
      t.match(await service.get('/v1/users/twelve/inbox'), { total: 0, deadLetters: 1 })
      const { letters } = (await service.get('/v1/users/twelve/dead-letters')) as Frame
      t.match(letters, [
        { seq: 1, from: 'sender', data: { task: 1 }, attempts: 3, reason: 'max_attempts', diedAt: Number },
      ])
      t.match(await service.post('/v1/users/twelve/dead-letters', { seq: 1 }), { type: 'ok', seq: 2 })
      t.match(await tab.next('message'), { seq: 2, data: { task: 1 }, attempt: 1 })
      t.match(await service.post('/v1/users/twelve/dead-letters', { seq: 1 }), { code: 'unknown_seq' })
      await tab.ask({ type: 'ack', seq: 2 })
    },
  )

  t.test(
    'Q2 what is not settled in time is delivered again, and ends as a dead letter; that can be deleted',
    async (t) => {
      const tab = await Tab.open(server, 'timeout')
      await post(sender, 'timeout', 'x')
      t.same(
        (await messages(tab, 3)).map(({ attempt }) => attempt),
        [1, 2, 3],
      )
      await tab.until(async () => ((await service.get('/v1/users/timeout/inbox')) as Frame).deadLetters === 1)
      t.match(await service.delete('/v1/users/timeout/dead-letters/1'), { type: 'ok' })
      t.match(await service.get('/v1/users/timeout/inbox'), { total: 0, deadLetters: 0 })
      t.match(await service.delete('/v1/users/timeout/dead-letters/1'), { code: 'unknown_seq' })
    },
  )

  t.test('Q2 nothing fails while nobody is there to settle it', async (t) => {
    await post(sender, 'absent', 'x')
    const clock = await Tab.open(server, 'clock')
    await post(sender, 'clock', 'y')
    await messages(clock, 3)
    t.match(await service.get('/v1/users/absent/inbox'), { total: 1, deadLetters: 0 })
  })
})

t.test('Q4 QUEUE-5 drop_oldest: the oldest goes to the dead letters and is counted', async (t) => {
  const { service, sender } = await serverWith(t, {
    CHARTROOM_INBOX_CAPACITY: '5',
    CHARTROOM_INBOX_POLICY: 'drop_oldest',
  })
  await postAll(sender, 'full', 'hnnnn')
  t.match(await post(sender, 'full', 5), { type: 'ok', seq: 6 })
  t.match(await service.get('/v1/users/full/inbox'), { total: 5, high: 0, dropped: 1, deadLetters: 1 })
  t.match(((await service.get('/v1/users/full/dead-letters')) as Frame).letters, [
    { seq: 1, reason: 'dropped', data: 0 },
  ])
})

t.test('QUEUE-6 capacity 3, ten attempts: three are stored and delivered, seven refused by name', async (t) => {
  const { server, sender } = await serverWith(t, { CHARTROOM_INBOX_CAPACITY: '3' })
  const replies = await Promise.all(Array.from({ length: 10 }, (_, i) => post(sender, 'six', i)))
  t.same(
    replies.map(({ code }) => code),
    [...Array(3).fill(undefined), ...Array(7).fill('inbox_full')],
  )
  const tab = await Tab.open(server, 'six')
  t.same(dataOf(await messages(tab, 3)), [0, 1, 2])
  t.ok(await hearsNothing(tab))
})

t.test('QUEUE-7 time is the server’s, kept through storage and restart', async (t) => {
  const { server, sender } = await serverWith(t)
  const before = Date.now()
  await post(sender, 'seven', 'x', { time: 1 })
  const after = Date.now()
  let tab = await Tab.open(server, 'seven')
  const { time } = await tab.next('message')
  t.ok(time >= before && time <= after, `${time}`)
  await server.crashAndRestart()
  tab = await Tab.open(server, 'seven')
  t.match(await tab.next('message'), { time, attempt: 2 })
})

t.test('QUEUE-8 a message tells its age truthfully after 30 minutes', async (t) => {
  const server = await serverHere(t)
  const [sender, service] = [await Tab.open(server, 'sender'), await Service.of(server)]
  const ages = async () => ((await service.get('/v1/users/eight/inbox')) as Frame).oldestAge
  const later = (minutes: number) => {
    const now = Date.now
    Date.now = () => now() + minutes * 60_000
    t.teardown(() => {
      Date.now = now
    })
  }
  t.equal(await ages(), 0, 'nothing waits')
  const posted = Date.now()
  await post(sender, 'eight', 'old')
  const stored = Date.now()
  later(30)
  const [least, age, most] = [Date.now() - stored, await ages(), Date.now() - posted]
  t.ok(least <= age && age <= most, `${age} ms lies between ${least} and ${most}`)
  t.ok(age >= 30 * 60_000)
  await post(sender, 'eight', 'new')
  t.ok((await ages()) >= 30 * 60_000, 'the oldest counts')
  const tab = await Tab.open(server, 'eight')
  const { seq, time } = await tab.next('message')
  t.ok(time >= posted && time <= stored, 'its time is the time when it was sent')
  await tab.ask({ type: 'ack', seq })
  t.ok((await ages()) < 30 * 60_000, 'the oldest is settled, and the new one is young')
})

t.test(
  'QUEUE-13 twenty stored, a drop halfway, fifteen more: all 35 arrive, doubles only of the unacked',
  async (t) => {
    const { server, sender } = await serverWith(t)
    await postAll(sender, 'thirteen', 'n'.repeat(20))
    const tab = await Tab.open(server, 'thirteen')
    const early = await messages(tab, 10)
    await tab.ask({ type: 'ack', seq: seqsOf(early).slice(0, 6) })
    tab.socket.terminate()
    await once(tab.socket, 'close')
    await postAll(sender, 'thirteen', 'n'.repeat(15), 20)
    const back = await Tab.open(server, 'thirteen')
    const late = await messages(back, 29)
    t.same(
      seqsOf(late),
      Array.from({ length: 29 }, (_, i) => i + 7),
    )
    for (const { seq, attempt } of late) t.equal(attempt, seq <= 20 ? 2 : 1, `message ${seq}`)
    await back.ask({ type: 'ack', seq: seqsOf(late) })
    t.same(await inboxOf(back), { normal: 0, high: 0, total: 0 })
  },
)

t.test('QUEUE-15 the inbox over HTTP: right at each step', async (t) => {
  const { server, service, sender } = await serverWith(t, { CHARTROOM_MAX_ATTEMPTS: '1' })
  const at = async (expected: object, step: string) => t.match(await service.get('/v1/users/ann/inbox'), expected, step)
  await at({ type: 'inbox', user: 'ann', normal: 0, high: 0, total: 0, deadLetters: 0, oldestAge: 0 }, 'unborn')
  await postAll(sender, 'ann', 'nnh')
  await at({ normal: 2, high: 1, total: 3, deadLetters: 0, dropped: 0, expired: 0 }, 'stored')
  const tab = await Tab.open(server, 'ann')
  const [high, ...normal] = seqsOf(await messages(tab, 3))
  await tab.ask({ type: 'ack', seq: high })
  await at({ normal: 2, high: 0, total: 2 }, 'the high one is settled')
  await tab.ask({ type: 'nack', seq: normal[0] })
  await at({ normal: 1, total: 1, deadLetters: 1 }, 'one is dead')
  await server.crashAndRestart()
  await at({ normal: 1, total: 1, deadLetters: 1 }, 'the same after kill -9')
})

t.test('QUEUE-16 L2 1,000 messages to one user: stored, delivered, none lost; kill -9 between the two', async (t) => {
  const { server, sender } = await serverWith(t)
  await postAll(sender, 'many', 'n'.repeat(1000))
  let tab = await Tab.open(server, 'many')
  const once = await messages(tab, 1000)
  t.same(
    dataOf(once),
    Array.from({ length: 1000 }, (_, i) => i),
  )
  await server.crashAndRestart()
  tab = await Tab.open(server, 'many')
  const again = await messages(tab, 1000)
  t.same(seqsOf(again), seqsOf(once))
  t.ok(again.every(({ attempt }) => attempt === 2))
  await tab.ask({ type: 'ack', seq: seqsOf(again) })
  await server.crashAndRestart()
  tab = await Tab.open(server, 'many')
  t.same(await inboxOf(tab), { normal: 0, high: 0, total: 0 })
})

t.test('Q5 L3 settled stays settled, and a key stays used, across kill -9 and many snapshots', async (t) => {
  const { server, sender } = await serverWith(t)
  const text = 'x'.repeat(4000)
  const tab = await Tab.open(server, 'ann')
  for (let i = 0; i < 60; i++) {
    await post(sender, 'ann', text, { key: `k${i}` })
    const { seq } = await tab.next('message')
    if (i % 2 === 0) await tab.ask({ type: 'ack', seq })
  }
  await server.crashAndRestart()
  const back = await Tab.open(server, 'ann')
  t.same(
    seqsOf(await messages(back, 30)),
    Array.from({ length: 30 }, (_, i) => 2 * i + 2),
  )
  const again = await Tab.open(server, 'sender')
  t.match(await post(again, 'ann', text, { key: 'k0' }), { seq: 1, dup: true })
  t.ok(await hearsNothing(back))
})
