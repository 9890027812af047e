/** Does an event cost more where more rooms are active? */
import type { Scenario } from '../measure.ts'
import { chartroom } from '../servers.ts'
import { costGoal, DRAWN, ladder, numbered, sendersOf, sized } from './scaling.ts'

const CONNECTIONS = 100
const sizes = (isQuick: boolean): [number, number, number] => (isQuick ? [10, 100, 1000] : [10, 1000, 10_000])

export const scenario: Scenario = {
  name: 'rooms',
  title: `Rooms: the same events over 10, 1,000 and 10,000 active rooms, ${CONNECTIONS} connections (a tenth with --quick)`,
  contestants: (isQuick) =>
    ladder(sizes(isQuick), 'rooms', chartroom(), async (stand, size) => {
      await sendersOf(stand, CONNECTIONS, numbered('counter', size))
      // Each sender once round its share.
      await stand.load.ask('start', { inFlight: Math.max(1, size / CONNECTIONS) })
      await stand.load.ask('stop')
    }),
  goals: (isQuick) => {
    const [least, , most] = sizes(isQuick)
    return [
      costGoal(
        'rooms: cost of an event, most / least',
        [sized(least, 'rooms'), sized(most, 'rooms')],
        'rate.perCpu',
        1.3,
      ),
    ]
  },
  drawn: DRAWN,
}
