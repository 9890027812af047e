/** What comes back at once: a ping with data, against the same bytes echoed by others. */
import { contestant, ratio, type Scenario, type Stand } from '../measure.ts'
import { chartroom, peers, type Start } from '../servers.ts'

const CONNECTIONS = 50
/** Frames a second at which latency is looked at. */
const RATE = 2000

const servers: [string, Start][] = [
  ['raw uWebSockets.js', peers.uws()],
  ['Chartroom', chartroom()],
  ['ws', peers.ws()],
  ['Socket.IO', peers.socketio()],
  ['Socket.IO on uWS', peers.socketioUws()],
  ['Colyseus', peers.colyseus()],
]

async function setUp(stand: Stand): Promise<void> {
  await stand.load.ask('open', stand.opening(CONNECTIONS))
  await stand.load.ask('flow', { kind: 'echo', dialect: stand.server.dialect, ring: 1024 })
}

const sample = async (stand: Stand) => ({
  ...(await stand.window('one', 1)),
  ...(await stand.window('sixteen', 16)),
  ...(await stand.rate('rate', RATE)),
})

export const scenario: Scenario = {
  name: 'echo',
  title: `Echo: a ping with data, ${CONNECTIONS} connections; latency at ${RATE} a second`,
  reference: 'raw uWebSockets.js',
  contestants: () => servers.map(([name, start]) => contestant(name, start, setUp, sample)),
  goals: () => [
    {
      title: 'echo, one in flight: messages per CPU second / raw uWebSockets.js',
      bound: '>=',
      value: 0.7,
      of: ratio('one.perCpu', 'Chartroom', 'raw uWebSockets.js'),
    },
    {
      title: 'echo, 16 in flight: the same',
      bound: '>=',
      value: 0.33,
      of: ratio('sixteen.perCpu', 'Chartroom', 'raw uWebSockets.js'),
    },
  ],
  drawn: {
    'one.perCpu': 'messages per CPU second, 1 in flight',
    'sixteen.perCpu': 'messages per CPU second, 16 in flight',
  },
}
