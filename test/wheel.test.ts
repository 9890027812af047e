/** The wheel that all charts take for their clock, on a time that the test moves. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createActor, setup, waitFor } from 'xstate'
import { Wheel } from '../src/wheel.ts'
import { ROOT } from './fixtures/server.ts'

const SECOND = 1000
const HOUR = 3600 * SECOND
const DAY = 24 * HOUR

/** Date and setInterval as they would be if the test could move time: an interval runs exactly when it is due. */
class Time {
  now = 1_767_222_000_000
  readonly #intervals = new Set<{ run: () => void; every: number; next: number }>()

  constructor(t: Test) {
    const setInterval = (run: () => void, every: number) => {
      const interval = { run, every, next: this.now + every }
      this.#intervals.add(interval)
      return interval
    }
    const real = { setInterval: globalThis.setInterval, clearInterval: globalThis.clearInterval }
    const { now } = Date
    Date.now = () => this.now
    Object.assign(globalThis, { setInterval, clearInterval: (interval: never) => this.#intervals.delete(interval) })
    t.teardown(() => {
      Date.now = now
      Object.assign(globalThis, real)
    })
  }

  pass(ms: number): void {
    const end = this.now + ms
    for (;;) {
      const [next] = [...this.#intervals].sort((a, b) => a.next - b.next)
      if (!next || next.next > end) break
      this.now = Math.max(this.now, next.next)
      next.next = this.now + next.every
      next.run()
    }
    this.now = end
  }

  /** As when something holds the event loop: the clock goes on, and no timer runs. */
  stall(ms: number): void {
    this.now += ms
  }
}

function stopTime(t: Test, tick = 10): { time: Time; wheel: Wheel } {
  const time = new Time(t)
  return { time, wheel: new Wheel(tick) }
}

t.test('WHEEL-1 a deadline fires once, after its delay', (t) => {
  const { wheel, time } = stopTime(t)
  const begun = time.now
  const fired: number[] = []
  wheel.setTimeout(() => fired.push(Date.now() - begun), 100)
  time.pass(99)
  t.strictSame(fired, [])
  time.pass(21)
  t.equal(fired.length, 1)
  time.pass(10 * SECOND)
  t.equal(fired.length, 1)
  t.end()
})

t.test('WHEEL-2 deadlines fire in the order in which they are due, whatever order they were set in', (t) => {
  const { wheel, time } = stopTime(t)
  const fired: number[] = []
  for (const delay of [500, 20, 300, 3 * HOUR, 0, 100, 40, 60 * SECOND, 1000]) {
    wheel.setTimeout(() => fired.push(delay), delay)
  }
  time.pass(4 * HOUR)
  t.strictSame(fired, [0, 20, 40, 100, 300, 500, 1000, 60 * SECOND, 3 * HOUR])
  t.end()
})

t.test('WHEEL-3 those that are due together fire in the order in which they were set', (t) => {
  const { wheel, time } = stopTime(t)
  const fired: number[] = []
  for (let i = 0; i < 50; i++) wheel.setTimeout(() => fired.push(i), 70)
  time.pass(200)
  t.strictSame(
    fired,
    Array.from({ length: 50 }, (_, i) => i),
  )
  t.end()
})

interface Life {
  readonly tick: number
  readonly begun: number
  readonly steps: readonly { readonly pass: number; readonly delay: number }[]
}

/** Wheels of any tick, begun at any instant, and deadlines that are set on the way. */
const lives: fc.Arbitrary<Life> = fc.record({
  tick: fc.integer({ min: 1, max: 50 }),
  begun: fc.integer({ min: 0, max: 100_000 }),
  steps: fc.array(fc.record({ pass: fc.nat(120), delay: fc.integer({ min: -5, max: 400 }) }), { maxLength: 12 }),
})

interface Lived {
  readonly due: number
  readonly fired: number
  readonly tick: number
}

/** Lives one such life to its end. */
function live(time: Time, { tick, begun, steps }: Life): Lived[] {
  time.now = begun
  const wheel = new Wheel(tick)
  const lived: Lived[] = []
  for (const { pass, delay } of steps) {
    const due = Date.now() + Math.max(0, delay)
    wheel.setTimeout(() => lived.push({ due, fired: Date.now(), tick }), delay)
    time.pass(pass)
  }
  time.pass(SECOND)
  wheel.stop()
  return lived
}

function holds<T>(t: Test, property: fc.IPropertyWithHooks<T>): void {
  t.equal(fc.defaultReportMessage(fc.check(property, { numRuns: 500 })), undefined)
}

t.test('WHEEL-4 no deadline fires early, and none is forgotten', (t) => {
  const time = new Time(t)
  holds(
    t,
    fc.property(lives, (life) => {
      const lived = live(time, life)
      return lived.length === life.steps.length && lived.every(({ due, fired }) => fired >= due)
    }),
  )
  t.end()
})

t.test('WHEEL-5 a deadline fires within two ticks after it is due', (t) => {
  const time = new Time(t)
  holds(
    t,
    fc.property(lives, (life) => live(time, life).every(({ due, fired, tick }) => fired <= due + 2 * tick)),
  )
  t.end()
})

t.test('WHEEL-6 a deadline that was cleared does not fire, and the others do', (t) => {
  const { wheel, time } = stopTime(t)
  const fired: string[] = []
  const set = (name: string, delay: number) => wheel.setTimeout(() => fired.push(name), delay)
  set('a', 100)
  const cleared = [set('b', 100), set('c', 5000)]
  set('d', 100)
  for (const deadline of cleared) wheel.clearTimeout(deadline)
  t.equal(wheel.size, 2)
  time.pass(10 * SECOND)
  t.strictSame(fired, ['a', 'd'])
  t.end()
})

t.test('WHEEL-7 to clear a deadline twice, or after it fired, changes nothing', (t) => {
  const { wheel, time } = stopTime(t)
  const fired: string[] = []
  const fires = wheel.setTimeout(() => fired.push('once'), 10)
  const never = wheel.setTimeout(() => fired.push('never'), 10)
  wheel.clearTimeout(never)
  wheel.clearTimeout(never)
  time.pass(100)
  wheel.setTimeout(() => fired.push('later'), 10)
  wheel.clearTimeout(fires)
  t.equal(wheel.size, 1)
  time.pass(100)
  t.strictSame(fired, ['once', 'later'])
  t.end()
})

t.test('WHEEL-8 a deadline that another one clears in the same tick does not fire', (t) => {
  const { wheel, time } = stopTime(t)
  const fired: string[] = []
  wheel.setTimeout(() => {
    fired.push('first')
    wheel.clearTimeout(second)
  }, 50)
  const second = wheel.setTimeout(() => fired.push('second'), 50)
  time.pass(200)
  t.strictSame(fired, ['first'])
  t.end()
})

t.test('WHEEL-9 a deadline 40 days ahead waits 40 days, where setTimeout would fire at once', (t) => {
  const { wheel, time } = stopTime(t, HOUR)
  const fired: string[] = []
  wheel.setTimeout(() => fired.push('far'), 40 * DAY)
  wheel.setTimeout(() => fired.push('at 25 days'), 25 * DAY)
  time.pass(24 * DAY)
  t.strictSame(fired, [])
  time.pass(2 * DAY)
  t.strictSame(fired, ['at 25 days'])
  time.pass(14 * DAY - HOUR)
  t.strictSame(fired, ['at 25 days'])
  time.pass(3 * HOUR)
  t.strictSame(fired, ['at 25 days', 'far'])
  t.end()
})

t.test('WHEEL-10 a deadline that is set by one that fires waits its own delay', (t) => {
  const { wheel, time } = stopTime(t)
  const begun = time.now
  const fired: number[] = []
  const chain = (): void => {
    fired.push(Date.now() - begun)
    if (fired.length < 5) wheel.setTimeout(chain, 30)
  }
  wheel.setTimeout(chain, 30)
  time.pass(SECOND)
  t.equal(fired.length, 5)
  for (const [i, at] of fired.entries()) t.ok(at >= 30 + (fired[i - 1] ?? 0), `the one at ${at} ms was not early`)
  t.end()
})

t.test('WHEEL-11 a deadline without a delay, set by one that fires, does not hold the turn for ever', (t) => {
  const { wheel, time } = stopTime(t)
  let turns = 0
  const again = (): void => {
    turns++
    wheel.setTimeout(again, 0)
  }
  wheel.setTimeout(again, 0)
  time.pass(100)
  t.ok(turns > 1 && turns <= 10, `${turns} turns in ten ticks`)
  t.end()
})

/** One turn of the real event loop. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

t.test('WHEEL-12 when the event loop was held up, all that is due fires in order, behind the sockets', async (t) => {
  const { wheel, time } = stopTime(t)
  const fired: number[] = []
  for (const delay of [400, 50, 200, 90 * SECOND, 5000]) wheel.setTimeout(() => fired.push(delay), delay)
  time.stall(60 * SECOND)
  time.pass(10)
  t.strictSame(fired, [], 'timers run before sockets are read')
  await turn()
  t.strictSame(fired, [50, 200, 400, 5000])
  wheel.setTimeout(() => fired.push(30), 30)
  time.pass(29)
  t.equal(fired.length, 4, 'what is set behind the stall is not early')
  time.pass(31 * SECOND)
  t.strictSame(fired.slice(4), [30, 90 * SECOND])
})

t.test('WHEEL-13 a deadline that is set while the event loop is held up is not early', async (t) => {
  const { wheel, time } = stopTime(t)
  const fired: string[] = []
  wheel.setTimeout(() => fired.push('before'), 100)
  time.stall(5 * SECOND)
  wheel.setTimeout(() => fired.push('within'), 100)
  time.pass(99)
  await turn()
  t.strictSame(fired, ['before'])
  time.pass(30)
  t.strictSame(fired, ['before', 'within'])
})

t.test('WHEEL-14 many deadlines fire once each, and nothing of them is left', (t) => {
  const { wheel, time } = stopTime(t)
  const fires = new Map<number, number>()
  const deadlines = Array.from({ length: 20_000 }, (_, i) =>
    wheel.setTimeout(() => fires.set(i, (fires.get(i) ?? 0) + 1), (i * 7919) % 30_000),
  )
  t.equal(wheel.size, 20_000)
  for (const deadline of deadlines.filter((_, i) => i % 2 === 1)) wheel.clearTimeout(deadline)
  t.equal(wheel.size, 10_000)
  time.pass(40 * SECOND)
  t.equal(fires.size, 10_000)
  t.ok([...fires].every(([i, times]) => i % 2 === 0 && times === 1))
  t.equal(wheel.size, 0)
  t.end()
})

t.test('WHEEL-15 a wheel that is stopped fires nothing more and holds nothing', (t) => {
  const { wheel, time } = stopTime(t)
  const fired: string[] = []
  wheel.setTimeout(() => fired.push('a'), 50)
  wheel.stop()
  t.equal(wheel.size, 0)
  time.pass(SECOND)
  t.strictSame(fired, [])
  t.end()
})

/** A chart that waits, is reminded, and gives up; `nudge` begins the waiting anew. */
const patience = setup({ types: {} as { events: { type: 'nudge' } | { type: 'answer' } } }).createMachine({
  id: 'patience',
  initial: 'waiting',
  states: {
    waiting: { after: { 100: 'reminded' }, on: { nudge: { target: 'waiting', reenter: true }, answer: 'answered' } },
    reminded: { after: { 50: 'gone' } },
    answered: { type: 'final' },
    gone: { type: 'final' },
  },
})

t.test('WHEEL-16 it is a clock for an XState chart: delays fire, one behind the other', (t) => {
  const { wheel, time } = stopTime(t)
  const actor = createActor(patience, { clock: wheel }).start()
  t.equal(wheel.size, 1)
  time.pass(99)
  t.equal(actor.getSnapshot().value, 'waiting')
  time.pass(21)
  t.equal(actor.getSnapshot().value, 'reminded')
  time.pass(100)
  t.equal(actor.getSnapshot().value, 'gone')
  t.equal(wheel.size, 0)
  t.end()
})

t.test('WHEEL-17 a chart that leaves a state, enters it anew or is stopped takes its delays along', (t) => {
  const { wheel, time } = stopTime(t)
  const actor = createActor(patience, { clock: wheel }).start()
  time.pass(80)
  actor.send({ type: 'nudge' })
  time.pass(80)
  t.equal(actor.getSnapshot().value, 'waiting', 'the delay began anew')
  t.equal(wheel.size, 1)
  actor.send({ type: 'answer' })
  t.equal(wheel.size, 0)
  const other = createActor(patience, { clock: wheel }).start()
  t.equal(wheel.size, 1)
  other.stop()
  t.equal(wheel.size, 0)
  t.end()
})

t.test('WHEEL-18 it turns by itself, in real time, and is not early there either', async (t) => {
  const wheel = new Wheel(10)
  t.teardown(() => wheel.stop())
  const far = new Promise<never>((_, reject) => wheel.setTimeout(() => reject(new Error('it fired')), 40 * DAY))
  const begun = Date.now()
  await Promise.race([new Promise<void>((resolve) => wheel.setTimeout(resolve, 60)), far])
  t.ok(Date.now() - begun >= 60)
  const actor = createActor(patience, { clock: wheel }).start()
  await waitFor(actor, (snapshot) => snapshot.status === 'done')
  t.ok(Date.now() - begun >= 60 + 150)
  t.equal(wheel.size, 1, 'the far one still waits')
})

// As on a machine without a battery, which begins in 1970 until it has asked for the time.
t.test('WHEEL-19 a clock that is put ahead by years does not hold the event loop up', async (t) => {
  const script = `
    const { Wheel } = await import('./src/wheel.ts')
    const wheel = new Wheel(10)
    wheel.setTimeout(() => setImmediate(() => process.exit(0)), 60_000)
    const { now } = Date
    Date.now = () => now() + ${50 * 365 * DAY}`
  const args = ['--import', 'tsx', '--input-type=module', '--eval', script]
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit', timeout: 5000, killSignal: 'SIGKILL' })
  const [code, signal] = await once(child, 'exit')
  t.strictSame({ code, signal }, { code: 0, signal: null }, 'the deadline, long due, fired')
})
