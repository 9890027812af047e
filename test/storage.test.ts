/** What a room's log costs, and what is served while the storage refuses writes. */
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { type ServerProcess, startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'
import { fillRoom, violationsOf } from './torture/disk-bound.ts'

t.test('DISK-1 the disk that a busy room uses is bounded by its history', async (t) => {
  const use = await fillRoom(20_000, 1000, () => {})
  t.strictSame(violationsOf(use, 20_000, 1000), [])
})

/** Lets no file of the server grow beyond `bytes`, as a full disk would. */
function limitFiles({ pid }: ServerProcess, bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`])
}

const canLimit = process.platform === 'linux'

t.test(
  'E2 read_only while the storage refuses writes: reading goes on, and so does writing as soon as it can',
  {
    skip: !canLimit && 'prlimit is of Linux',
  },
  async (t) => {
    const server = await startServer(t)
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    const increment = (room: string, key?: string) => ({ type: 'send', room, event: { type: 'increment' }, key })
    await ann.join('counter/a')
    t.match(await ann.ask(increment('counter/a', 'first')), { type: 'ok', seq: 2 })
    const ready = async () => (await fetch(`http://127.0.0.1:${server.port}/ready`)).status
    t.equal(await ready(), 200)

    limitFiles(server, 0)
    const refused = { type: 'error', code: 'read_only', retry: true }
    t.match(await ann.ask(increment('counter/a')), refused)
    t.match(await ann.ask(increment('counter/unborn')), refused)
    t.match(await bob.ask({ type: 'message', to: 'ann', data: 1 }), refused)
    t.equal(await ready(), 503)
    t.match(await bob.ask({ type: 'get', room: 'counter/a' }), {
      type: 'snapshot',
      seq: 2,
      state: { context: { count: 1 } },
    })
    t.match(await bob.ask({ type: 'history', room: 'counter/a' }), { type: 'history', events: { length: 2 } })
    t.match(await bob.ask({ type: 'join', room: 'counter/a' }), { type: 'ok', seq: 2 })
    t.match(await bob.ask({ type: 'join', room: 'chat/unborn' }), refused, 'joining would be a record here')
    t.match(await ann.ask(increment('counter/a', 'first')), { type: 'ok', seq: 2, dup: true }, 'what is known is told')

    limitFiles(server, 'unlimited')
    await ann.until(async () => (await ready()) === 200)
    t.match(await ann.ask(increment('counter/a')), { type: 'ok', seq: 3 })
    await bob.reaches('counter/a', 3)
    t.equal(bob.state('counter/a').context.count, 2)
    t.match(await bob.ask({ type: 'message', to: 'ann', data: 1 }), { type: 'ok', seq: 1 })
    t.match(await ann.next('message'), { from: 'bob', data: 1 })
    t.notMatch(server.stderr, /unhandled/i)
    await server.crashAndRestart()
    const back = await Tab.open(server, 'ann')
    t.match(await back.ask({ type: 'get', room: 'counter/a' }), { seq: 3, state: { context: { count: 2 } } })
  },
)
