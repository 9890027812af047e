/** Do the same events cost more where they come over more connections? */
import type { Scenario } from '../measure.ts'
import { chartroom } from '../servers.ts'
import { costGoal, DRAWN, ladder, numbered, sendersOf, sized } from './scaling.ts'

const ROOMS = 10
const sizes = (isQuick: boolean): [number, number, number] => (isQuick ? [10, 200, 1000] : [10, 1000, 5000])

export const scenario: Scenario = {
  name: 'connections',
  title: `Connections: the same events to ${ROOMS} rooms over 10, 1,000 and 5,000 connections (1,000 with --quick)`,
  contestants: (isQuick) =>
    ladder(sizes(isQuick), 'connections', chartroom(), (stand, size) =>
      sendersOf(stand, size, numbered('counter', ROOMS)),
    ),
  goals: (isQuick) => {
    const [least, , most] = sizes(isQuick)
    const names = [sized(least, 'connections'), sized(most, 'connections')] as const
    return [costGoal('connections: cost of an event, most / least', names, 'rate.perCpu', 1.3)]
  },
  drawn: DRAWN,
}
