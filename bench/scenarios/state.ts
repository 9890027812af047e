/** Does a small change cost more where the room's state is large? */
import { contestant, type Scenario, type Stand } from '../measure.ts'
import { chartroom } from '../servers.ts'
import { costGoal, sized } from './scaling.ts'

const ROOM = 'items/bench'
const SENDERS = 8
/** Items of about 100 bytes: 1 KB, 100 KB, 1 MB. */
const SIZES = [10, 1000, 10_000] as const

async function setUp(stand: Stand, count: number): Promise<void> {
  await stand.load.ask('open', stand.opening(SENDERS + 1))
  await stand.load.ask('ask', { frame: { type: 'send', room: ROOM, event: { type: 'fill', count } } })
  await stand.load.ask('join', { rooms: Array(SENDERS + 1).fill(ROOM) })
  await stand.load.ask('flow', {
    kind: 'event',
    rooms: Array(SENDERS).fill([ROOM]),
    event: { type: 'touch' },
    ring: 64,
  })
}

const sample = async (stand: Stand) => ({ ...(await stand.window('one', 1)), ...(await stand.window('sixteen', 16)) })

export const scenario: Scenario = {
  name: 'state',
  title: `State: a change of 90 bytes in 1 KB, 100 KB and 1 MB of context, ${SENDERS} senders and one who watches`,
  contestants: () =>
    SIZES.map((size) =>
      contestant(
        sized(size, 'items'),
        chartroom({ machines: './bench/machines' }),
        (stand) => setUp(stand, size),
        sample,
      ),
    ),
  goals: () =>
    (['one', 'sixteen'] as const).map((name) =>
      costGoal(
        `state, ${name} in flight: cost of an event, 1 MB / 1 KB`,
        [sized(SIZES[0], 'items'), sized(SIZES[2], 'items')],
        `${name}.perCpu`,
        4,
      ),
    ),
  drawn: {
    'one.perCpu': 'events per CPU second, 1 in flight',
    'sixteen.perCpu': 'events per CPU second, 16 in flight',
  },
}
