/** Does an event cost more where the room has a longer past? */
import type { Scenario } from '../measure.ts'
import { chartroom } from '../servers.ts'
import { written } from '../written.ts'
import { costGoal, DRAWN, ladder, sendersOf, sized } from './scaling.ts'

const CONNECTIONS = 50
const sizes = (isQuick: boolean): [number, number, number] =>
  isQuick ? [1000, 10_000, 40_000] : [1000, 100_000, 1_000_000]

export const scenario: Scenario = {
  name: 'depth',
  title: 'Depth: the same events in a room whose log holds 1,000, 100,000 and 1,000,000 records (40,000 with --quick)',
  isKept: true,
  contestants: (isQuick) =>
    ladder(sizes(isQuick), 'records', chartroom({ machines: './bench/machines' }), async (stand, size) => {
      await sendersOf(stand, CONNECTIONS, ['deep/bench'])
      await written(stand, size, size < 10_000 ? 8 : 40)
    }),
  goals: (isQuick) => {
    const [least, , most] = sizes(isQuick)
    const names = [sized(least, 'records'), sized(most, 'records')] as const
    return [costGoal('depth: cost of an event, most / least', names, 'rate.perCpu', 1.3)]
  },
  drawn: DRAWN,
}
