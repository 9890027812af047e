/** The asynchronous upgrade, over many fresh processes: whether it holds depends on how a process's memory is laid out. */
import t from 'tap'
import { startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

const PROCESSES = 32
const AT_ONCE = 4
/** Large frames in between, so that what is left over in memory is no zero. */
const ROUNDS = 3
const USERS = Array.from({ length: 20 }, (_, i) => `user${i}`)

t.test('C1 every connection of 32 fresh processes lives, and nothing is said on stderr', async (t) => {
  t.setTimeout(120_000)
  for (let begun = 0; begun < PROCESSES; begun += AT_ONCE) {
    const rounds = Array.from({ length: AT_ONCE }, async () => {
      const server = await startServer(t)
      let lived = 0
      for (let i = 0; i < ROUNDS; i++) {
        const tabs = await Promise.all(USERS.map((user) => Tab.open(server, user)))
        for (const tab of tabs) await tab.ask({ type: 'ping', data: 'x'.repeat(60_000) })
        lived += tabs.filter((tab) => !tab.closed).length
        await Promise.all(tabs.map((tab) => tab.leave()))
      }
      await server.dispose()
      return { lived, stderr: server.stderr }
    })
    for (const round of await Promise.all(rounds)) t.same(round, { lived: ROUNDS * USERS.length, stderr: '' })
  }
})
