/** The long runs of `npm run torture`, in short: the same code, a smaller size, the same verdict. */
import t from 'tap'
import { run as cleanup } from './torture/cleanup.ts'
import { torture as drain } from './torture/drain.ts'
import { run as flood } from './torture/flood.ts'
import { run as halfOpen } from './torture/half-open.ts'
import { run as idle } from './torture/idle.ts'
import { run as rooms } from './torture/rooms.ts'
import { run as slow } from './torture/slow.ts'
import { run as timers } from './torture/timers.ts'

t.setTimeout(600_000)
const unseen = (): void => {}

t.test('CLEAN-8 X2 ended at random, with traffic: everything is back at its baseline', async (t) => {
  const { figures, violations } = await cleanup(300, unseen, 2000)
  t.same(violations, [], JSON.stringify(figures))
})

t.test('HEART-6 H2 peers that are stopped without a FIN are all given up, none before its time', async (t) => {
  const { figures, violations } = await halfOpen(40, unseen, { interval: 500, timeout: 300, lateness: 1000 })
  t.same(violations, [], JSON.stringify(figures))
})

t.test('idle connections are all open, and none takes twice of what they take today', async (t) => {
  const { figures, violations } = await idle(200, unseen, 32_768, 50)
  t.same(violations, [], JSON.stringify(figures))
})

t.test(
  'CLEAN-5 X1 SIGTERM under load and a second one in a drain that is held up: nothing acknowledged is lost',
  async (t) => {
    const { figures, violations } = await drain.run(40, unseen)
    t.same(violations, [], JSON.stringify(figures))
  },
)

t.test('E1 flooders are closed with 4129, and their neighbours stay', async (t) => {
  const { figures, violations } = await flood(3, unseen, Number.POSITIVE_INFINITY)
  t.same(violations, [], JSON.stringify(figures))
})

t.test('S9 many more rooms than may be in memory: the bound holds, and every count is right', async (t) => {
  const { figures, violations } = await rooms(1000, unseen, 100, Number.POSITIVE_INFINITY)
  t.same(violations, [], JSON.stringify(figures))
})

t.test('S6 rooms that sleep have no timer each, and the one that is due is noticed', async (t) => {
  const any = Number.POSITIVE_INFINITY
  const { figures, violations } = await timers(2000, unseen, { ready: any, late: 5000, heap: any })
  t.same(violations, [], JSON.stringify(figures))
})

t.test('S7 those who stop reading cost no memory, and are right when they read on or have come back', async (t) => {
  const pace = { phase: 500, every: 50, maxLag: 12_000, rounds: 1, most: Number.POSITIVE_INFINITY }
  const { figures, violations } = await slow(40, unseen, pace)
  t.same(violations, [], JSON.stringify(figures))
})
