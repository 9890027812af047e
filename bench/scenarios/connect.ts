/** A storm of connections: how many a CPU second makes welcome, each by a token of its own; Socket.IO asks for none. */
import { generateKeyPairSync } from 'node:crypto'
import { contestant, type Figures, ratio, type Scale, type Scenario, type Stand } from '../measure.ts'
import { chartroom, peers, type Start } from '../servers.ts'

const { publicKey, privateKey } = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

const servers: [string, Start][] = [
  ['Socket.IO, no token', peers.socketio()],
  ['Chartroom, HS256', chartroom()],
  ['Chartroom, ES256', chartroom({ es256: { publicKey, privateKey } })],
  ['raw uWebSockets.js, no token', peers.uws()],
]

/** Handshakes under way at a time. */
const AT_ONCE = 64
let storms = 0

/** The second storm is measured: the first one warms up. */
async function sample(stand: Stand, { isQuick }: Scale): Promise<Figures> {
  const count = isQuick ? 500 : 4000
  await storm(stand, count)
  return storm(stand, count)
}

async function storm(stand: Stand, count: number): Promise<Figures> {
  const { server, load } = stand
  const before = await server.usage()
  const welcome = await load.ask('connect', { ...stand.opening(count, `storm${storms++}-`), atOnce: AT_ONCE })
  const after = await server.usage()
  if (welcome !== count) throw new Error(`${welcome} of ${count} were welcome`)
  await load.ask('close')
  const perSecond = (welcome * 1000) / (after.at - before.at)
  const perCpu = (welcome * 1e6) / (after.cpu - before.cpu)
  return {
    'connect.perSecond': perSecond,
    'connect.perCpu': perCpu,
    'connect.rss': after.rss,
    'connect.heap': after.heap,
  }
}

export const scenario: Scenario = {
  name: 'connect',
  title: `Connect: a storm of 4,000, ${AT_ONCE} at a time, the second of two (500 with --quick)`,
  reference: 'Socket.IO, no token',
  contestants: () => servers.map(([name, start]) => contestant(name, start, async () => {}, sample)),
  goals: () =>
    ['HS256', 'ES256'].map((alg) => ({
      title: `connect, ${alg}: authenticated connections per CPU second / Socket.IO's unauthenticated ones`,
      bound: '>=',
      value: 1.2,
      of: ratio('connect.perCpu', `Chartroom, ${alg}`, 'Socket.IO, no token'),
    })),
  drawn: { 'connect.perCpu': 'connections per CPU second' },
}
