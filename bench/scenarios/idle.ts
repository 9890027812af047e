/** What a connection holds that does nothing: heap and resident memory each, when the garbage is collected. */
import { setTimeout as pause } from 'node:timers/promises'
import { contestant, type Figures, figure, type Scenario, type Stand } from '../measure.ts'
import { chartroom, peers, type Start } from '../servers.ts'

/** Connections that come and go before, and how often: code, pools and the young generation have grown by then. */
const EARLY = 1000
const COMINGS = 8
/** Milliseconds in which a server comes to rest. */
const SETTLING = 500

/** Colyseus is left out: a seat is asked for over HTTP first, and that is not what this is about. */
const servers: [string, Start][] = [
  ['Chartroom', chartroom()],
  ['raw uWebSockets.js', peers.uws()],
  ['ws', peers.ws()],
  ['Socket.IO', peers.socketio()],
]

async function warmUp(stand: Stand): Promise<void> {
  for (let coming = 1; coming <= COMINGS; coming++) {
    await stand.load.ask('open', stand.opening(EARLY, `early${coming}-`))
    if (coming < COMINGS) await stand.load.ask('close')
  }
  await pause(SETTLING)
}

async function sample(stand: Stand, count: number): Promise<Figures> {
  await warmUp(stand)
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
  title:
    'Idle: 10,000 authenticated connections, a user each, behind 1,000 others and 7,000 that went (1,000 with --quick)',
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
