/** The rooms that are shipped, each played over real sockets. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { ROOT, type ServerProcess, startServer } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

/** Sends an event, and gives back the reply. */
const send = (tab: Tab, room: string, type: string, given: object = {}): Promise<Frame> =>
  tab.ask({ type: 'send', room, event: { type, ...given } })

const isAt = (value: unknown) => (state: Frame) => JSON.stringify(state.value) === JSON.stringify(value)

/** The output that a room has come to; it is stored, and clients are not shown it. */
function outputOf(server: ServerProcess, room: string): unknown {
  const args = ['--import', 'tsx', 'src/main.ts', 'log', 'cat', room, '--data', server.data]
  const records = execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' }).trim().split('\n')
  const ops = records.flatMap((line) => JSON.parse(line).ops as { path: string; value: unknown }[])
  return ops.findLast(({ path }) => path === '/output')?.value
}

async function joined(server: ServerProcess, room: string, ...users: string[]): Promise<Tab[]> {
  const tabs = await Promise.all(users.map((user) => Tab.open(server, user)))
  for (const tab of tabs) await tab.join(room)
  return tabs
}

t.test('rooms', async (t) => {
  const server = await startServer(t, { env: { WORKFLOW_URL: '' } })

  t.test('STATE auction: a bid beats the highest, and is not the seller’s', async (t) => {
    const room = 'auction/clock'
    const [ann, bob, cho] = (await joined(server, room, 'ann', 'bob', 'cho')) as [Tab, Tab, Tab]
    t.match(await send(bob, room, 'bid', { amount: 10 }), { code: 'not_accepted', can: ['offer'] }, 'of nothing')
    t.match(await send(ann, room, 'offer', { lot: 'a clock', price: 10 }), { type: 'ok' })
    t.match(await send(ann, room, 'bid', { amount: 50 }), { code: 'not_accepted' }, 'the seller')
    t.match(await send(bob, room, 'bid', { amount: 9 }), { code: 'not_accepted' }, 'below the price')
    t.match(await send(bob, room, 'bid', { amount: '10' }), { code: 'bad_event', path: '/event/amount' })
    t.match(await send(bob, room, 'bid', { amount: 10 }), { type: 'ok' })
    t.match(await send(cho, room, 'bid', { amount: 10 }), { code: 'not_accepted' }, 'no more than the highest')
    const { seq } = await send(cho, room, 'bid', { amount: 11 })
    for (const tab of [ann, bob, cho]) {
      await tab.reaches(room, seq)
      t.same(tab.state(room).context.highest, { amount: 11, from: 'cho' })
    }
  })

  t.test('STATE auction: a late bid puts the end off, an early one does not', async (t) => {
    const room = 'auction/late'
    const [ann, bob] = (await joined(server, room, 'ann', 'bob')) as [Tab, Tab]
    const dueAt = () => bob.state(room).timers[0].dueAt
    await send(ann, room, 'offer', { lot: 'a vase', lasts: 100_000, grace: 1000 })
    await bob.reaches(room, ann.seq(room) as number)
    const first = dueAt()
    await send(bob, room, 'bid', { amount: 1 })
    t.equal(dueAt(), first)
    t.equal(bob.state(room).context.closesAt, first)
    await send(ann, 'auction/later', 'offer', { lot: 'a vase', lasts: 100, grace: 100_000 })
    await bob.join('auction/later')
    const early = bob.state('auction/later').context.closesAt
    await send(bob, 'auction/later', 'bid', { amount: 1 })
    const { context, timers } = bob.state('auction/later')
    t.ok(context.closesAt > early + 90_000, 'the bid gave everybody the grace')
    t.same(
      timers.map((timer: Frame) => timer.dueAt),
      [context.closesAt],
    )
  })

  t.test(
    'STATE auction: nobody’s bid is unsold; sold to the highest, though the server was killed meanwhile',
    async (t) => {
      const [ann] = (await joined(server, 'auction/dull', 'ann')) as [Tab]
      await send(ann, 'auction/dull', 'offer', { lot: 'a stone', lasts: 1 })
      await ann.sees('auction/dull', isAt('unsold'))
      t.match(ann.state('auction/dull'), { status: 'done', can: [], timers: [] })

      const room = 'auction/crash'
      await send(ann, room, 'offer', { lot: 'a boat', lasts: 300, grace: 1 })
      const bob = await Tab.open(server, 'bob')
      t.match(await send(bob, room, 'bid', { amount: 7 }), { type: 'ok' })
      await server.crashAndRestart()
      const [back] = (await joined(server, room, 'bob')) as [Tab]
      await back.sees(room, isAt('sold'))
      t.match(back.state(room), { status: 'done', context: { lot: 'a boat', highest: { amount: 7, from: 'bob' } } })
      t.match(await send(back, room, 'bid', { amount: 8 }), { code: 'not_accepted', value: 'sold', can: [] })
      t.same(outputOf(server, room), { lot: 'a boat', buyer: 'bob', amount: 7 })
      t.same(outputOf(server, 'auction/dull'), { lot: 'a stone', buyer: null, amount: null })
    },
  )
  const question = { question: 'When?', options: ['now', 'later'] }
  const voters = (tab: Tab, room: string) => tab.state(room).context.options.map((option: Frame) => option.voters)

  t.test('STATE poll: one vote each, which may be changed, until its owner closes it', async (t) => {
    const room = 'poll/when'
    const [ann, bob] = (await joined(server, room, 'ann', 'bob')) as [Tab, Tab]
    t.match(await send(bob, room, 'ask', { ...question, options: ['now'] }), { code: 'bad_event' })
    t.match(await send(ann, room, 'ask', question), { type: 'ok' })
    for (const option of [0, 0, 1]) t.match(await send(bob, room, 'vote', { option }), { type: 'ok' })
    await send(ann, room, 'vote', { option: 1 })
    t.same(voters(ann, room), [[], ['bob', 'ann']])
    t.match(await send(bob, room, 'vote', { option: 2 }), { code: 'not_accepted' }, 'no such option')
    t.match(await send(bob, room, 'vote', { option: 0.5 }), { code: 'bad_event', path: '/event/option' })
    t.match(await send(bob, room, 'close'), { code: 'not_accepted' }, 'not its owner')
    t.match(await send(ann, room, 'close'), { type: 'ok' })
    t.match(await send(bob, room, 'vote', { option: 0 }), { code: 'not_accepted', value: 'closed' })
    t.match(ann.state(room), { status: 'done', timers: [] })
  })

  t.test('STATE poll: it closes by itself after its time, though the server was killed meanwhile', async (t) => {
    const room = 'poll/timed'
    const [ann] = (await joined(server, room, 'ann')) as [Tab]
    await send(ann, room, 'ask', { ...question, lasts: 800 })
    t.match(await send(ann, room, 'vote', { option: 1 }), { type: 'ok' })
    await server.crashAndRestart()
    const [back] = (await joined(server, room, 'ann')) as [Tab]
    await back.sees(room, isAt('closed'))
    t.same(voters(back, room), [[], ['ann']])
  })

  const seated = async (room: string, turnTime: number): Promise<[Tab, Tab]> => {
    const [ann, bob] = (await joined(server, room, 'ann', 'bob')) as [Tab, Tab]
    await send(ann, room, 'sit', { turnTime })
    await send(bob, room, 'sit')
    return [ann, bob]
  }

  t.test('STATE turns: two seats, moves by turns, a line of three wins, and the other one begins again', async (t) => {
    const room = 'turns/game'
    const [ann, bob, cho] = (await joined(server, room, 'ann', 'bob', 'cho')) as [Tab, Tab, Tab]
    const move = (tab: Tab, cell: number) => send(tab, room, 'move', { cell })
    t.match(await send(ann, room, 'sit'), { type: 'ok' })
    t.match(await send(ann, room, 'sit'), { code: 'not_accepted' }, 'one seat each')
    t.match(await move(ann, 0), { code: 'not_accepted', value: 'seating' })
    t.match(await send(bob, room, 'sit'), { type: 'ok' })
    t.match(await send(cho, room, 'sit'), { code: 'not_accepted', value: 'playing' }, 'no third')
    t.match(await move(bob, 0), { code: 'not_accepted' }, 'not yet')
    t.match(await move(ann, 0), { type: 'ok' })
    t.match(await move(bob, 0), { code: 'not_accepted' }, 'taken')
    t.match(await move(bob, 9), { code: 'bad_event' })
    t.match(await move(cho, 3), { code: 'not_accepted' }, 'no player')
    for (const [tab, cell] of [
      [bob, 3],
      [ann, 1],
      [bob, 4],
      [ann, 2],
    ] as const)
      await move(tab, cell)
    const { value, context, timers } = ann.state(room)
    t.match(
      { value, timers, winner: context.winner, turn: context.turn },
      { value: 'over', timers: [], winner: 'ann', turn: null },
    )
    t.same(context.board, ['X', 'X', 'X', 'O', 'O', null, null, null, null])
    t.match(await send(cho, room, 'again'), { code: 'not_accepted' })
    await send(ann, room, 'again')
    t.match(ann.state(room), { value: 'playing', context: { turn: 'bob', winner: null, board: Array(9).fill(null) } })
  })

  t.test('STATE turns: a full board without a line is nobody’s', async (t) => {
    const room = 'turns/draw'
    const tabs = await seated(room, 60_000)
    for (const [i, cell] of [0, 1, 2, 4, 3, 5, 7, 6, 8].entries()) {
      t.match(await send(tabs[i % 2] as Tab, room, 'move', { cell }), { type: 'ok' })
    }
    t.match(tabs[0].state(room), { value: 'over', context: { winner: null } })
  })

  t.test('STATE turns: each turn has its own time, and who lets it go by has lost', async (t) => {
    const room = 'turns/slow'
    const [ann, bob] = await seated(room, 500)
    const first = ann.state(room).timers[0].dueAt
    await send(ann, room, 'move', { cell: 4 })
    t.equal(ann.state(room).timers.length, 1)
    t.ok(ann.state(room).timers[0].dueAt > first, 'a time of its own')
    await bob.sees(room, isAt('over'))
    t.equal(bob.state(room).context.winner, 'ann')
  })

  t.test('STATE turns: who goes away keeps the seat; the time of a turn goes on through a kill -9', async (t) => {
    const room = 'turns/away'
    const [ann, bob] = await seated(room, 60_000)
    await send(ann, room, 'move', { cell: 4 })
    const held = { epoch: (await bob.ask({ type: 'get', room })).epoch, seq: bob.seq(room) as number }
    bob.socket.terminate()
    await ann.sees(room, ({ context }) => context.online.join() === 'ann')
    const { dueAt } = ann.state(room).timers[0]
    await server.crashAndRestart()
    const back = await Tab.open(server, 'bob')
    back.adopt(room, bob)
    const ok = await back.join(room, held)
    t.equal(ok.recovered, true)
    await back.reaches(room, ok.seq)
    t.match(back.state(room), { value: 'playing', context: { turn: 'bob', online: ['bob'], seats: ['ann', 'bob'] } })
    t.equal(back.state(room).timers[0].dueAt, dueAt, 'the very instant')
    t.match(await send(back, room, 'move', { cell: 0 }), { type: 'ok' })
  })

  t.test('STATE workflow: rejected with a reason; without a service the step is played', async (t) => {
    const [ann, bob] = (await joined(server, 'workflow/no', 'ann', 'bob')) as [Tab, Tab]
    await send(ann, 'workflow/no', 'submit', { task: 'burn it' })
    await send(bob, 'workflow/no', 'reject', { why: 'it is the last one' })
    await ann.reaches('workflow/no', bob.seq('workflow/no') as number)
    t.match(ann.state('workflow/no'), { value: 'rejected', status: 'done', context: { why: 'it is the last one' } })
    await ann.join('workflow/yes')
    await send(ann, 'workflow/yes', 'submit', { task: 'show it' })
    await send(bob, 'workflow/yes', 'approve')
    await ann.sees('workflow/yes', isAt('done'))
    t.match(ann.state('workflow/yes').context.receipt, { played: 'show it', key: /^workflow\/yes\// })
  })
})

/** What workflow rooms call: answers as it is told to, and remembers the keys that came. */
async function startService(t: Test, answer: (response: ServerResponse, call: number) => void) {
  const keys: string[] = []
  const service = createServer((request: IncomingMessage, response) => {
    keys.push(String(request.headers['idempotency-key']))
    service.emit('called')
    answer(response, keys.length)
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    service.closeAllConnections()
    service.close()
  })
  await once(service, 'listening')
  return { keys, service, url: `http://127.0.0.1:${(service.address() as AddressInfo).port}/` }
}

const says = (response: ServerResponse, status: number, body: unknown = {}) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

t.test('STATE workflow: approved by another user, a step that fails is tried again, then done', async (t) => {
  const { keys, url } = await startService(t, (response, call) => says(response, call < 3 ? 503 : 200, { call }))
  const server = await startServer(t, { env: { WORKFLOW_URL: url } })
  const room = 'workflow/order'
  const [ann, bob] = (await joined(server, room, 'ann', 'bob')) as [Tab, Tab]
  await send(ann, room, 'submit', { task: 'ship it', backoff: 1 })
  t.match(await send(ann, room, 'approve'), { code: 'not_accepted', value: 'submitted' }, 'not by its author')
  t.match(await send(bob, room, 'approve'), { type: 'ok' })
  await ann.sees(room, isAt('done'))
  t.match(ann.state(room), {
    status: 'done',
    context: { judge: 'bob', failures: 2, error: null, receipt: { call: 3 } },
  })
  t.equal(keys.length, 3)
  for (const key of keys) t.match(key, /^workflow\/order\/\d+\/carryOut$/)
  t.equal(new Set(keys).size, 3, 'each attempt has its own key')
})

t.test('STATE workflow: each wait is twice as long, the last attempt gives up, and retry begins anew', async (t) => {
  let isBroken = true
  const { keys, url } = await startService(t, (response) => says(response, isBroken ? 500 : 200))
  const server = await startServer(t, { env: { WORKFLOW_URL: url } })
  const room = 'workflow/broken'
  const [ann, bob] = (await joined(server, room, 'ann', 'bob')) as [Tab, Tab]
  await send(ann, room, 'submit', { task: 'ship it', backoff: 10 })
  await send(bob, room, 'approve')
  await ann.sees(room, isAt({ failed: 'givenUp' }))
  t.match(ann.state(room).context, { failures: 4, error: 'the service answered 500' })
  t.equal(keys.length, 4)
  const { events } = await ann.ask({ type: 'history', room, since: 0 })
  const instants = (type: string) => events.filter((record: Frame) => record.event.type.startsWith(type))
  const failures = instants('xstate.error.actor')
  const waits = instants('xstate.after').map((record: Frame, i: number) => record.time - failures[i].time)
  t.equal(waits.length, 3)
  for (const [i, wait] of waits.entries()) t.ok(wait >= 10 * 2 ** i, `wait ${i + 1} of ${wait} ms`)
  isBroken = false
  await send(bob, room, 'retry')
  await ann.sees(room, isAt('done'))
})

t.test('STATE workflow: what a kill -9 cut off begins again, with the same key', async (t) => {
  const { keys, service, url } = await startService(t, (response, call) => {
    if (call > 1) says(response, 200, { call })
  })
  const server = await startServer(t, { env: { WORKFLOW_URL: url } })
  const room = 'workflow/cut'
  const called = once(service, 'called')
  const [ann, bob] = (await joined(server, room, 'ann', 'bob')) as [Tab, Tab]
  await send(ann, room, 'submit', { task: 'ship it' })
  await send(bob, room, 'approve')
  await called
  await server.crashAndRestart()
  const [back] = (await joined(server, room, 'ann')) as [Tab]
  await back.sees(room, isAt('done'))
  t.match(back.state(room).context, { failures: 0, receipt: { call: 2 } })
  t.same(keys, [keys[0], keys[0]])
})
