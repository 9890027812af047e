/** What a room's log costs. */
import t from 'tap'
import { fillRoom, violationsOf } from './torture/disk-bound.ts'

t.test('DISK-1 the disk that a busy room uses is bounded by its history', async (t) => {
  const use = await fillRoom(20_000, 1000, () => {})
  t.strictSame(violationsOf(use, 20_000, 1000), [])
})
