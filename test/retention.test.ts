/** How much of a room's log is kept: by count, and by age. */
import t from 'tap'
import { Retention } from '../src/retention.ts'

const HOUR = 3_600_000

t.test('RET-1 a snapshot is due after so many records, and again after as many more', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 5, historyAge: 0 })
  retention.begin(3, 0, 0)
  t.equal(retention.isSnapshotDue(9), false)
  t.equal(retention.isSnapshotDue(10), true)
  t.equal(retention.snapshotAt(12, 0), 7, 'five records are kept')
  t.equal(retention.isSnapshotDue(21), false)
  t.equal(retention.isSnapshotDue(22), true)
})

t.test('RET-2 a room that comes back goes on from the snapshot that it has, not from its last record', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 5, historyAge: 0 })
  retention.begin(19, 10, 0)
  t.equal(retention.isSnapshotDue(20), true)
})

t.test('RET-3 records older than historyAge are forgotten, younger ones kept, however many', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 1_000_000, historyAge: HOUR })
  retention.begin(0, 0, 0)
  t.equal(retention.snapshotAt(10, 0.5 * HOUR), 0)
  t.equal(retention.snapshotAt(20, 1.2 * HOUR), 0, 'what was there at the beginning is too old, and that was nothing')
  t.equal(retention.snapshotAt(30, 1.6 * HOUR), 10)
  t.equal(retention.snapshotAt(40, 1.7 * HOUR), 0, 'nothing more is too old')
  t.equal(retention.snapshotAt(50, 9 * HOUR), 40)
})

t.test('RET-4 by count and by age: whichever keeps less', async (t) => {
  const retention = new Retention({ snapshotEvery: 10, history: 15, historyAge: HOUR })
  retention.begin(0, 0, 0)
  t.equal(retention.snapshotAt(40, 0.5 * HOUR), 25)
  t.equal(retention.snapshotAt(50, 2 * HOUR), 40)
})
