/** Everything arrives, in order, once: zero tolerance. */
import t from 'tap'
import { startServer } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

const count = (length: number): number[] => Array.from({ length }, (_, i) => i)
const say = (room: string, text: string, id?: string | number) => ({
  type: 'send',
  room,
  event: { type: 'message.post', text },
  ...(id !== undefined && { id }),
})
const texts = (tab: Tab, room: string): string[] =>
  tab.state(room).context.messages.map(({ text }: { text: string }) => text)
/** What each of a client's replies said, in the order of their ids. */
const oks = (tab: Tab): Frame[] => tab.frames.filter((frame) => frame.type === 'ok' && typeof frame.id === 'number')

t.test('order', async (t) => {
  const server = await startServer(t)

  t.test('ORDER-1 twenty messages arrive in their order', async (t) => {
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    await bob.join('chat/o1')
    for (const i of count(20)) await ann.post(`${i}`, 'chat/o1')
    await bob.reaches('chat/o1', 22)
    t.same(texts(bob, 'chat/o1'), count(20).map(String))
  })

  t.test('ORDER-2 thirty sends at once have contiguous seqs, in the order they were sent', async (t) => {
    const ann = await Tab.open(server, 'ann')
    ann.burst(count(30).map((i) => say('chat/o2', `${i}`, i)))
    await ann.next((frame) => frame.id === 29)
    t.same(
      oks(ann).map(({ id, seq }) => [id, seq]),
      count(30).map((i) => [i, i + 2]),
    )
  })

  t.test('ORDER-3 a burst of 150 arrives whole', async (t) => {
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    await bob.join('chat/o3')
    ann.burst(count(150).map((i) => say('chat/o3', `${i}`, i)))
    await bob.reaches('chat/o3', 152)
    t.same(texts(bob, 'chat/o3'), count(150).map(String))
  })

  t.test('ORDER-4 three senders of 25 each: each one’s order is kept, and all see the same total order', async (t) => {
    const users = ['ann', 'bob', 'cat']
    const tabs = await Promise.all(users.map((user) => Tab.open(server, user)))
    for (const tab of tabs) await tab.join('chat/o4')
    for (const [n, tab] of tabs.entries()) tab.burst(count(25).map((i) => say('chat/o4', `${users[n]} ${i}`)))
    await Promise.all(tabs.map((tab) => tab.reaches('chat/o4', 1 + 3 + 75)))
    const seen = tabs.map((tab) => texts(tab, 'chat/o4'))
    t.same(seen[1], seen[0])
    t.same(seen[2], seen[0])
    for (const user of users) {
      t.same(
        seen[0]?.filter((text) => text.startsWith(user)),
        count(25).map((i) => `${user} ${i}`),
      )
    }
  })

  t.test('ORDER-5 fifty correlation ids, each answered once', async (t) => {
    const ann = await Tab.open(server, 'ann')
    ann.burst(count(50).map((i) => say('chat/o5', 'x', `id ${i}`)))
    for (const i of count(50)) await ann.next((frame) => frame.id === `id ${i}`)
    await ann.ask({ type: 'ping' })
    t.equal(new Set(ann.frames.map((frame) => frame.id)).size, 50 + 2)
    t.equal(ann.frames.length, 50 + 2)
  })

  t.test('ORDER-6 twenty, a disconnect, twenty more with a resume: forty', async (t) => {
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    const { epoch } = await bob.join('chat/o6')
    for (const i of count(20)) await ann.post(`${i}`, 'chat/o6')
    await bob.reaches('chat/o6', 22)
    bob.socket.terminate()
    for (const i of count(20)) await ann.post(`${20 + i}`, 'chat/o6')
    const back = await Tab.open(server, 'bob')
    back.adopt('chat/o6', bob)
    const { seq } = await back.join('chat/o6', { epoch, seq: 22 })
    await back.reaches('chat/o6', seq)
    t.same(texts(back, 'chat/o6'), count(40).map(String))
  })

  t.test('ORDER-7 bursts of 10, 50, 100, and 10,000 from 20 senders', async (t) => {
    for (const size of [10, 50, 100]) {
      const tab = await Tab.open(server, 'ann')
      const room = `counter/o7-${size}`
      tab.burst(count(size).map((i) => ({ type: 'send', room, event: { type: 'increment' }, id: i })))
      await tab.next((frame) => frame.id === size - 1)
      t.same(
        oks(tab).map(({ seq }) => seq),
        count(size).map((i) => i + 2),
      )
    }
    const tabs = await Promise.all(count(20).map((i) => Tab.open(server, `sender${i}`)))
    const watcher = await Tab.open(server, 'watcher')
    const { seq: first } = await watcher.join('counter/o7')
    for (const tab of tabs) {
      tab.burst(count(500).map((i) => ({ type: 'send', room: 'counter/o7', event: { type: 'increment' }, id: i })))
    }
    await watcher.reaches('counter/o7', first + 10_000)
    t.equal(watcher.state('counter/o7').context.count, 10_000)
    const all = new Set<number>()
    for (const tab of tabs) {
      await tab.next((frame) => frame.id === 499)
      const seqs = oks(tab).map(({ seq }) => seq)
      t.same(
        seqs,
        [...seqs].sort((a, b) => a - b),
      )
      for (const seq of seqs) all.add(seq)
    }
    t.equal(all.size, 10_000, 'every seq was given once')
  })

  t.test('L1 every subscriber sees the same records in the same order, without a hole', async (t) => {
    const tabs = await Promise.all(['ann', 'bob'].map((user) => Tab.open(server, user)))
    for (const tab of tabs) await tab.join('chat/l1')
    for (const i of count(10)) await tabs[i % 2]?.post(`${i}`, 'chat/l1')
    const { seq } = await (tabs[0] as Tab).ask({ type: 'get', room: 'chat/l1' })
    for (const tab of tabs) {
      await tab.reaches('chat/l1', seq)
      const patches = tab.frames.filter((frame) => frame.type === 'patch')
      for (const [i, patch] of patches.entries()) if (i > 0) t.equal(patch.base, patches[i - 1]?.seq)
      t.same(texts(tab, 'chat/l1'), count(10).map(String))
    }
  })

  t.test('L3 a key that is repeated is answered with the first seq, and nothing is applied twice', async (t) => {
    const ann = await Tab.open(server, 'ann')
    const send = (key: string) => ann.ask({ type: 'send', room: 'counter/l3', event: { type: 'increment' }, key })
    const first = await send('a')
    t.notOk('dup' in first)
    await send('b')
    t.match(await send('a'), { type: 'ok', seq: first.seq, dup: true })
    ann.burst(count(3).map((id) => ({ type: 'send', room: 'counter/l3', event: { type: 'increment' }, key: 'c', id })))
    await ann.next((frame) => frame.id === 2)
    t.same(
      oks(ann).map(({ seq, dup }) => [seq, dup]),
      [
        [4, undefined],
        [4, true],
        [4, true],
      ],
    )
    t.equal((await ann.ask({ type: 'get', room: 'counter/l3' })).state.context.count, 3)
  })

  t.test('S1 who joins while a room is busy misses nothing and gets nothing twice', async (t) => {
    const ann = await Tab.open(server, 'ann')
    ann.burst(count(300).map((i) => say('chat/s1', `${i}`)))
    const tabs = await Promise.all(count(10).map((i) => Tab.open(server, `late${i}`)))
    await Promise.all(tabs.map((tab) => tab.join('chat/s1')))
    const last = await ann.post('the last', 'chat/s1')
    for (const tab of tabs) {
      await tab.reaches('chat/s1', last.seq)
      const { state, seq } = await tab.ask({ type: 'get', room: 'chat/s1' })
      await tab.reaches('chat/s1', seq)
      t.same(tab.state('chat/s1'), state)
    }
  })

  t.test('S3 a resume from every seq ends in the same state as get, and says whether it was one', async (t) => {
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    const { epoch } = await bob.join('chat/s3')
    const at = new Map<number, unknown>()
    for (const i of count(40)) {
      const { seq } = await ann.post(`message ${i}`, 'chat/s3')
      await bob.reaches('chat/s3', seq)
      at.set(seq, structuredClone(bob.state('chat/s3')))
    }
    const outcomes = new Set<boolean>()
    for (const [seq, state] of at) {
      const back = await Tab.open(server, 'bob')
      back.hold('chat/s3', seq, state)
      const ok = await back.join('chat/s3', { epoch, seq })
      outcomes.add(ok.recovered)
      await back.reaches('chat/s3', ok.seq)
      t.same(back.state('chat/s3'), (await back.ask({ type: 'get', room: 'chat/s3' })).state, `since ${seq}`)
      await back.leave()
    }
    t.ok(outcomes.has(true))
  })

  t.test('S4 can lists what the active states take, sorted, and follows them', async (t) => {
    const ann = await Tab.open(server, 'ann')
    const { state } = await ann.ask({ type: 'get', room: 'counter/s4' })
    t.same(state.can, ['decrement', 'increment', 'reset'])
    t.same(
      (await ann.ask({ type: 'get', room: 'chat/s4' })).state.can,
      ['message.post'],
      'nothing that only the server sends',
    )
  })

  t.test('STATE-4 if with a stale seq is a conflict, with expected and actual, and nothing changes', async (t) => {
    const ann = await Tab.open(server, 'ann')
    const send = (seq: number) => ann.ask({ type: 'send', room: 'counter/s4', event: { type: 'increment' }, if: seq })
    t.match(await send(0), { type: 'ok', seq: 2 })
    t.match(await send(0), { code: 'conflict', expected: 0, actual: 2, retry: true })
    t.match(await ann.ask({ type: 'get', room: 'counter/s4' }), { seq: 2, state: { context: { count: 1 } } })
  })

  t.test('STATE-5 two updates deep in a document change those paths, their siblings stay', async (t) => {
    const ann = await Tab.open(server, 'ann')
    await ann.join('document/s5')
    const patch = (ops: object[]) =>
      ann.ask({ type: 'send', room: 'document/s5', event: { type: 'document.patch', ops } })
    await patch([{ op: 'add', path: '/a', value: { b: { c: 1, d: 2 }, e: [1, 2, 3] } }])
    await patch([{ op: 'replace', path: '/a/b/c', value: 9 }])
    await patch([{ op: 'replace', path: '/a/e/1', value: 8 }])
    t.same(ann.state('document/s5').context.document, { a: { b: { c: 9, d: 2 }, e: [1, 8, 3] } })
    const changed = ann.frames.filter((frame) => frame.type === 'patch').map(({ ops }) => ops[0].path)
    t.same(changed.slice(1), ['/context/document/a/b/c', '/context/document/a/e/1'])
  })

  t.test('STATE-6 three tabs: one changes, three agree, get agrees', async (t) => {
    const tabs = await Promise.all(count(3).map(() => Tab.open(server, 'six')))
    for (const tab of tabs) await tab.join('counter/s6')
    const { seq } = await (tabs[1] as Tab).ask({
      type: 'send',
      room: 'counter/s6',
      event: { type: 'increment', by: 5 },
    })
    for (const tab of tabs) {
      await tab.reaches('counter/s6', seq)
      t.same(tab.state('counter/s6'), (await tab.ask({ type: 'get', room: 'counter/s6' })).state)
    }
  })

  t.test('STATE-8 five users with ten updates each to a room of their own: isolated, all right', async (t) => {
    const tabs = await Promise.all(count(5).map((i) => Tab.open(server, `own${i}`)))
    for (const tab of tabs) await tab.join('counter/@me')
    await Promise.all(
      tabs.flatMap((tab, i) =>
        count(10).map(() => tab.ask({ type: 'send', room: 'counter/@me', event: { type: 'increment', by: i } })),
      ),
    )
    for (const [i, tab] of tabs.entries()) {
      t.equal(tab.state(`counter/own${i}`).context.count, 10 * i)
      t.same(new Set(tab.frames.flatMap((frame) => frame.room ?? [])), new Set([`counter/own${i}`]))
    }
  })
})
