/** How much of a room's log is kept: by count, by size, and by age; and which states of its past. */
import fc from 'fast-check'
import t from 'tap'
import { Retention, type RetentionPolicy } from '../src/log/retention.ts'

const HOUR = 3_600_000

t.test('RET-1 a snapshot is due after so many records, and again after as many more', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 5, historyAge: 0 })
  retention.begin(0, [], 0)
  t.equal(retention.add(9, 1), false)
  t.equal(retention.add(10, 1), true)
  t.strictSame(retention.snapshotAt(12, 0, 0), { keep: true, trim: 0 }, 'of a small history each is a keyframe')
  t.equal(retention.add(21, 1), false)
  t.equal(retention.add(22, 1), true)
  t.strictSame(retention.snapshotAt(22, 0, 0), { keep: true, trim: 12 }, 'ten records are kept')
})

t.test('RET-2 a room that comes back goes on from the snapshot that it has, not from its last record', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 5, historyAge: 0 })
  retention.begin(10, [10], 0)
  t.equal(retention.add(20, 1), true)
  t.strictSame(retention.snapshotAt(20, 0, 0), { keep: true, trim: 10 })
})

t.test(
  'RET-3 records older than historyAge are forgotten, up to a quarter of it later, younger ones kept',
  async (t) => {
    const retention = new Retention({ snapshotEvery: 10, history: 1_000_000, historyAge: HOUR })
    retention.begin(0, [], 0)
    t.strictSame(retention.snapshotAt(10, 0, 0.5 * HOUR), { keep: true, trim: 0 })
    t.strictSame(retention.snapshotAt(20, 0, 0.7 * HOUR), { trim: 0 }, 'no keyframe within a quarter')
    t.strictSame(retention.snapshotAt(30, 0, 1.2 * HOUR), { keep: true, trim: 0 })
    t.strictSame(retention.snapshotAt(40, 0, 1.6 * HOUR), { keep: true, trim: 10 })
    t.strictSame(retention.snapshotAt(50, 0, 1.7 * HOUR), { trim: 10 }, 'nothing more is too old')
    t.strictSame(retention.snapshotAt(60, 0, 9 * HOUR), { keep: true, trim: 40 })
  },
)

t.test('RET-4 by count and by age: whichever keeps less', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 15, historyAge: HOUR })
  retention.begin(0, [], 0)
  retention.snapshotAt(20, 0, 0.4 * HOUR)
  t.strictSame(retention.snapshotAt(40, 0, 0.5 * HOUR), { keep: true, trim: 20 })
  t.strictSame(retention.snapshotAt(50, 0, 2 * HOUR), { keep: true, trim: 40 })
})

t.test('RET-5 a large snapshot waits for as much of records, or for ten times as many', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 5, historyAge: 0 })
  retention.begin(0, [], 0)
  t.equal(retention.add(10, 1), true, 'of what was never taken nobody knows that it is large')
  retention.snapshotAt(10, 1000, 0)
  t.equal(retention.add(20, 600), false)
  t.equal(retention.add(21, 400), true)
  retention.snapshotAt(21, 1000, 0)
  t.equal(retention.add(30, 1000), false, 'never fewer records than the policy says')
  t.equal(retention.add(31, 0), true)
  retention.snapshotAt(31, 1000, 0)
  t.equal(retention.add(130, 999), false)
  t.equal(retention.add(131, 0), true)
  retention.snapshotAt(131, 1000, 0)
  retention.begin(131, [131], 0)
  t.equal(retention.add(141, 1), true, 'read from the log again it is not known to be large')
})

/** Where a log begins and which keyframes it holds, as the retention of one busy room leaves it. */
class Held {
  keyframes: number[] = []
  trimmed = 0
  newest = 0
  seq = 0
  readonly #policy: RetentionPolicy
  #retention: Retention

  constructor(policy: RetentionPolicy) {
    this.#policy = policy
    this.#retention = this.restarted()
  }

  restarted(): Retention {
    this.#retention = new Retention(this.#policy)
    this.#retention.begin(this.newest, this.keyframes, 0)
    return this.#retention
  }

  /** A commit of so many records. */
  add(count: number): void {
    this.seq += count
    if (!this.#retention.add(this.seq, count)) return
    const { keep, trim } = this.#retention.snapshotAt(this.seq, 0, 0)
    this.newest = this.seq
    this.trimmed = Math.max(this.trimmed, trim)
    this.keyframes = [...this.keyframes, ...(keep ? [this.seq] : [])].filter((seq) => seq >= this.trimmed)
  }
}

t.test('RET-6 of a quarter of the history one snapshot is kept, and the log begins behind one', async (t) => {
  const held = new Held({ snapshotEvery: 100, history: 1000, historyAge: 0 })
  for (let i = 0; i < 1240; i++) held.add(1)
  t.strictSame([held.keyframes, held.trimmed], [[300, 600, 900, 1200], 0])
  for (let i = 0; i < 60; i++) held.add(1)
  t.strictSame([held.keyframes, held.trimmed], [[300, 600, 900, 1200], 300])
  for (let i = 0; i < 299; i++) held.add(1)
  t.strictSame([held.keyframes, held.trimmed], [[300, 600, 900, 1200, 1500], 300])
  held.add(1)
  t.strictSame([held.keyframes, held.trimmed], [[600, 900, 1200, 1500], 600])
})

t.test('RET-7 whatever comes, restarts too: every record has its state, and both are bounded', async (t) => {
  const policy = fc.record({
    snapshotEvery: fc.integer({ min: 1, max: 40 }),
    history: fc.nat(400),
    historyAge: fc.constant(0),
  })
  const steps = fc.array(fc.oneof({ weight: 30, arbitrary: fc.integer({ min: 1, max: 9 }) }, fc.constant('restart')), {
    minLength: 200,
    maxLength: 400,
  })
  const property = fc.property(policy, steps, (policy, steps) => {
    const { snapshotEvery, history } = policy
    const held = new Held(policy)
    for (const step of steps) {
      if (step === 'restart') held.restarted()
      else held.add(step as number)
      const kept = held.seq - held.trimmed
      const between = snapshotEvery + 8
      if (held.trimmed > 0 && held.keyframes[0] !== held.trimmed) return false
      if (held.trimmed > 0 && kept < history) return false
      if (kept > history + Math.max(history / 4, between) + 2 * between) return false
      if (held.keyframes.length > 5 + (history === 0 ? 1 : 0)) return false
    }
    return true
  })
  const result = fc.check(property, { numRuns: 300 })
  t.equal(fc.defaultReportMessage(result), undefined)
})
