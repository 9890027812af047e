/** The `history` frame: a room's past, a page at a time, whoever may join. */
import { join } from 'node:path'
import t from 'tap'
import { ROOT, startServer, tokenFor } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

const count = (length: number): number[] => Array.from({ length }, (_, i) => i)
const range = (after: number, upTo: number): number[] => count(upTo - after).map((i) => after + 1 + i)
const seqsOf = ({ events }: Frame): number[] => events.map(({ seq }: Frame) => seq)
const increment = (room: string) => ({ type: 'send', room, event: { type: 'increment' } })

/** Sends all of them in one go. @returns the replies, in the order they came. */
async function sendAll(tab: Tab, frames: Frame[]): Promise<Frame[]> {
  tab.burst(frames.map((frame, i) => ({ ...frame, id: `all ${i}` })))
  const replies: Frame[] = []
  while (replies.length < frames.length) replies.push(await tab.next(({ id }) => String(id).startsWith('all ')))
  return replies
}

t.test('history', async (t) => {
  const server = await startServer(t)
  const ann = await Tab.open(server, 'ann')

  t.test('L6 R4 history needs no join, and lists the creation, presence and events, with who and when', async (t) => {
    const room = 'chat/h1'
    const before = Date.now()
    const bob = await Tab.open(server, 'bob')
    const { epoch } = await bob.join(room)
    await bob.post('hello', room)
    await bob.leave()
    let history: Frame = {}
    await ann.until(async () => {
      history = await ann.ask({ type: 'history', room })
      return history.events.length === 4
    })
    t.match(history, { type: 'history', room, epoch, more: false })
    t.notOk('first' in history)
    t.match(history.events, [
      { seq: 1, event: { type: 'room.created' }, from: 'bob' },
      { seq: 2, event: { type: 'room.joined', user: 'bob' }, from: null },
      { seq: 3, event: { type: 'message.post', text: 'hello' }, from: 'bob' },
      { seq: 4, event: { type: 'room.left', user: 'bob' }, from: null },
    ])
    for (const { time } of history.events) t.ok(time >= before && time <= Date.now())
    for (const event of history.events) t.same(Object.keys(event).sort(), ['event', 'from', 'seq', 'time'])
    t.same((await ann.ask({ type: 'status' })).rooms, [])
  })

  t.test('L6 since and limit choose a page, more says whether there is another', async (t) => {
    const room = 'counter/h2'
    await sendAll(ann, Array(1249).fill(increment(room)))
    const page = (since?: number, limit?: number) =>
      ann.ask({ type: 'history', room, ...(since !== undefined && { since }), ...(limit !== undefined && { limit }) })
    for (const [since, limit, upTo] of [
      [undefined, undefined, 100],
      [0, 1, 1],
      [0, 1000, 1000],
      [250, 1000, 1250],
      [249, 1000, 1249],
      [1249, 1, 1250],
      [1200, undefined, 1250],
    ]) {
      const got = await page(since, limit)
      t.same(seqsOf(got), range(since ?? 0, upTo as number), `since ${since}, limit ${limit}`)
      t.equal(got.more, upTo !== 1250, `more behind ${upTo}`)
      t.notOk('first' in got)
    }
    for (const since of [1250, 1251, Number.MAX_SAFE_INTEGER]) {
      t.match(await page(since), { type: 'history', events: [], more: false }, `since ${since}`)
    }
  })

  t.test('E2 a page that cannot be is bad_frame with its path', async (t) => {
    const room = 'counter/h2'
    for (const [field, value] of [
      ['limit', 0],
      ['limit', 1001],
      ['limit', '5'],
      ['since', -1],
      ['since', 1.5],
    ] as const) {
      const path = `/${field}`
      t.match(
        await ann.ask({ type: 'history', room, [field]: value }),
        { code: 'bad_frame', path },
        `${field} ${value}`,
      )
    }
    t.match(await ann.ask({ type: 'history', room: 'no room' }), { code: 'bad_room' })
    t.match(await ann.ask({ type: 'history', room: 'nothing/x' }), { code: 'unknown_machine' })
    t.match(await ann.ask({ type: 'history' }), { code: 'bad_frame', path: '/room' })
  })

  t.test('L6 an unborn room has no past, and is not born by the question', async (t) => {
    const { epoch } = await ann.ask({ type: 'get', room: 'counter/unborn' })
    t.same(await ann.ask({ type: 'history', room: 'counter/unborn', id: 7 }), {
      type: 'history',
      id: 7,
      room: 'counter/unborn',
      epoch,
      events: [],
      more: false,
    })
    t.match(await ann.ask({ type: 'get', room: 'counter/unborn' }), { seq: 0 })
  })

  t.test('R1 history is a named reply: it comes without an id too', async (t) => {
    ann.send({ type: 'history', room: 'counter/@me' })
    t.match(await ann.next('history'), { room: 'counter/ann', events: [] })
  })

  t.test('R2 in a burst history comes in its turn, and knows what was sent before it', async (t) => {
    const room = 'counter/h3'
    const replies = await sendAll(
      ann,
      count(20).flatMap(() => [increment(room), { type: 'history', room, limit: 1000 }, { type: 'get', room }]),
    )
    t.same(
      replies.map(({ id }) => id),
      count(60).map((i) => `all ${i}`),
    )
    for (const i of count(20)) {
      const [ok, history] = [replies[3 * i] as Frame, replies[3 * i + 1] as Frame]
      t.ok(seqsOf(history).includes(ok.seq), `the history behind ${ok.seq}`)
    }
  })

  t.test('L6 a page holds no more than a frame should, and all pages together hold everything', async (t) => {
    const room = 'chat/h4'
    await sendAll(
      ann,
      count(30).map((i) => ({
        type: 'send',
        room,
        event: { type: 'message.post', text: `${i} ${'x'.repeat(50_000)}` },
      })),
    )
    const seqs: number[] = []
    for (let more = true; more; ) {
      const page = await ann.ask({ type: 'history', room, since: seqs.at(-1) ?? 0, limit: 1000 })
      t.ok(page.events.length > 0)
      t.ok(JSON.stringify(page).length < 600_000, `${JSON.stringify(page).length} characters`)
      seqs.push(...seqsOf(page))
      more = page.more
    }
    t.same(seqs, range(0, 31))
  })

  t.test('L2 the past is the same after kill -9', async (t) => {
    const room = 'counter/h3'
    const before = await ann.ask({ type: 'history', room, id: 'same' })
    await server.crashAndRestart()
    const back = await Tab.open(server, 'ann')
    t.same(await back.ask({ type: 'history', room, id: 'same' }), before)
  })
})

t.test('history of some rooms', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/machines') } })

  t.test('R4 access.join guards history', async (t) => {
    const [stranger, ann] = [await Tab.open(server, 'bob'), await Tab.open(server, 'ann')]
    await ann.ask({ type: 'send', room: 'members/of:ann', event: { type: 'say' } })
    t.match(await ann.ask({ type: 'history', room: 'members/of:ann' }), { events: [{ seq: 1 }, { seq: 2 }] })
    const refused = await stranger.ask({ type: 'history', room: 'members/of:ann' })
    t.match(refused, { type: 'error', code: 'forbidden', retry: false })
    t.notOk('events' in refused)
    const member = await Tab.open(server, 'cat', { token: await tokenFor('cat', { claims: { scope: 'member' } }) })
    t.match(await member.ask({ type: 'history', room: 'members/any' }), { events: [] })
    t.match(await stranger.ask({ type: 'history', room: 'members/any' }), { code: 'forbidden' }, 'unborn, and shut')
  })

  t.test('L6 a since that was trimmed is answered from the first seq that is held, and names it', async (t) => {
    const ann = await Tab.open(server, 'ann')
    const room = 'short/history'
    for (const _ of count(60)) await ann.ask({ type: 'send', room, event: { type: 'note' } })
    const whole = await ann.ask({ type: 'history', room, since: 0, limit: 1000 })
    const { first } = whole
    t.ok(first > 1 && first <= 42, `the first is ${first}`)
    t.same(seqsOf(whole), range(first - 1, 61))
    t.match(await ann.ask({ type: 'history', room, since: 1, limit: 5 }), { first, more: true, events: { length: 5 } })
    const held = await ann.ask({ type: 'history', room, since: first - 1, limit: 5 })
    t.same(seqsOf(held), range(first - 1, first + 4))
    t.notOk('first' in held, 'nothing that was asked for is missing')
  })
})
