/** How much of a room's log is kept: by count, by size, and by age. */
import t from 'tap'
import { Retention } from '../src/retention.ts'

const HOUR = 3_600_000

t.test('RET-1 a snapshot is due after so many records, and again after as many more', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 5, historyAge: 0 })
  retention.begin(3, 0, 0)
  t.equal(retention.add(9, 1), false)
  t.equal(retention.add(10, 1), true)
  t.equal(retention.snapshotAt(12, 0, 0), 7, 'five records are kept')
  t.equal(retention.add(21, 1), false)
  t.equal(retention.add(22, 1), true)
})

t.test('RET-2 a room that comes back goes on from the snapshot that it has, not from its last record', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 5, historyAge: 0 })
  retention.begin(19, 10, 0)
  t.equal(retention.add(20, 1), true)
})

t.test('RET-3 records older than historyAge are forgotten, younger ones kept, however many', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 1_000_000, historyAge: HOUR })
  retention.begin(0, 0, 0)
  t.equal(retention.snapshotAt(10, 0, 0.5 * HOUR), 0)
  t.equal(
    retention.snapshotAt(20, 0, 1.2 * HOUR),
    0,
    'what was there at the beginning is too old, and that was nothing',
  )
  t.equal(retention.snapshotAt(30, 0, 1.6 * HOUR), 10)
  t.equal(retention.snapshotAt(40, 0, 1.7 * HOUR), 0, 'nothing more is too old')
  t.equal(retention.snapshotAt(50, 0, 9 * HOUR), 40)
})

t.test('RET-4 by count and by age: whichever keeps less', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 15, historyAge: HOUR })
  retention.begin(0, 0, 0)
  t.equal(retention.snapshotAt(40, 0, 0.5 * HOUR), 25)
  t.equal(retention.snapshotAt(50, 0, 2 * HOUR), 40)
})

t.test('RET-5 a large snapshot waits for as much of records, or for ten times as many', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 5, historyAge: 0 })
  retention.begin(0, 0, 0)
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
  retention.begin(131, 131, 0)
  t.equal(retention.add(141, 1), true, 'read from the log again it is not known to be large')
})
