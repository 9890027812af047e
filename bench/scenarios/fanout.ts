/** One event for a thousand: deliveries per CPU second, against uWebSockets.js's own `publish` of as many bytes. */
import { contestant, ratio, type Scenario, type Stand } from '../measure.ts'
import { chartroom, peers, type Start } from '../servers.ts'

const ROOM = 'counter/bench'
/** Bytes of the patch that an event brings. */
const SIZE = 133

const subscribers = (isQuick: boolean): number => (isQuick ? 300 : 1000)

const peersOf: [string, Start][] = [
  ['uWebSockets.js, publish', peers.uws('fanout')],
  ['ws', peers.ws('fanout')],
  ['Socket.IO', peers.socketio('fanout')],
  ['Socket.IO on uWS', peers.socketioUws('fanout')],
  ['Colyseus', peers.colyseus('fanout')],
]

async function broadcast(stand: Stand, count: number): Promise<void> {
  await stand.load.ask('open', stand.opening(count))
  await stand.load.ask('flow', { kind: 'broadcast', dialect: stand.server.dialect, size: SIZE })
}

async function subscribe(stand: Stand, count: number): Promise<void> {
  await stand.load.ask('open', stand.opening(count))
  await stand.load.ask('join', { rooms: Array(count).fill(ROOM) })
  await stand.load.ask('flow', { kind: 'fanout' })
}

const sample = (stand: Stand) => stand.window('fanout', 1)

export const scenario: Scenario = {
  name: 'fanout',
  title: 'Fan-out: one event at a time, 1,000 subscribers (300 with --quick)',
  reference: 'uWebSockets.js, publish',
  contestants: (isQuick) => [
    contestant('Chartroom', chartroom(), (stand) => subscribe(stand, subscribers(isQuick)), sample),
    ...peersOf.map(([name, start]) =>
      contestant(name, start, (stand) => broadcast(stand, subscribers(isQuick)), sample),
    ),
  ],
  goals: () => [
    {
      title: "fan-out: deliveries per CPU second / uWebSockets.js's publish, every subscriber exact",
      bound: '>=',
      value: 0.5,
      of: ratio('fanout.perCpu', 'Chartroom', 'uWebSockets.js, publish'),
    },
  ],
  drawn: { 'fanout.perCpu': 'deliveries per CPU second' },
}
