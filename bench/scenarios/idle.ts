/** What a connection holds that does nothing: heap and resident memory each, when the garbage is collected. */
import { setTimeout as pause } from 'node:timers/promises'
import { contestant, type Figures, figure, type Scenario, type Stand } from '../measure.ts'
import { chartroom, peers, type Start } from '../servers.ts'

/** Code, buffers and pools are there then. */
const WARM_UP = 1000
/** Milliseconds in which a server comes to rest. */
const SETTLING = 500

/** Colyseus is left out: a seat is asked for over HTTP first, and that is not what this is about. */
const servers: [string, Start][] = [
  ['Chartroom', chartroom()],
  ['raw uWebSockets.js', peers.uws()],
  ['ws', peers.ws()],
  ['Socket.IO', peers.socketio()],
]

async function sample(stand: Stand, count: number): Promise<Figures> {
  await stand.load.ask('open', stand.opening(WARM_UP, 'early'))
  await pause(SETTLING)
  const before = await stand.server.rest()
  await stand.load.ask('open', stand.opening(count))
  await pause(SETTLING)
  const after = await stand.server.rest()
  await stand.load.ask('close')
  const [heap, rss] = [(after.heap - before.heap) / count, (after.rss - before.rss) / count]
  return { 'idle.heap': heap, 'idle.rss': rss }
}

export const scenario: Scenario = {
  name: 'idle',
  title: 'Idle: 10,000 authenticated connections, a user each, behind 1,000 others (1,000 with --quick)',
  contestants: (isQuick) =>
    servers.map(([name, start]) =>
      contestant(
        name,
        start,
        async () => {},
        (stand) => sample(stand, isQuick ? 1000 : 10_000),
      ),
    ),
  goals: () =>
    (
      [
        ['heap', 8],
        ['rss', 13],
      ] as const
    ).map(([what, value]) => ({
      title: `idle: ${what === 'rss' ? 'resident memory' : 'heap'} of an authenticated connection`,
      bound: '<=',
      value,
      unit: 'KB',
      of: (round) => figure(round, 'Chartroom', `idle.${what}`) / 1024,
    })),
  drawn: { 'idle.heap': 'bytes of heap each', 'idle.rss': 'bytes of resident memory each' },
}
