/**
 * What the generator itself can do, found out against the fastest server there is, before anything else is measured.
 *
 * Messages per CPU second do not depend on it; messages per second and latencies mean something only below it.
 */
import { Stand } from './measure.ts'
import { peers } from './servers.ts'
import { short } from './statistics.ts'

const CONNECTIONS = 50
const RATE = 2000

export async function provenGenerator(isQuick: boolean): Promise<string> {
  const stand = await Stand.open(peers.uws(), { isQuick, warmUp: isQuick ? 0.2 : 1, seconds: isQuick ? 0.4 : 2 })
  try {
    await stand.load.ask('open', stand.opening(CONNECTIONS))
    await stand.load.ask('flow', { kind: 'echo', dialect: 'raw', ring: 1024 })
    const window = await stand.window('most', 64)
    const paced = await stand.rate('rate', RATE)
    return proof(window, paced)
  } finally {
    await stand.end()
  }
}

function proof(window: Record<string, number>, paced: Record<string, number>): string {
  const [busy, own] = [window['most.busy'] ?? 0, window['most.generator'] ?? 0]
  const limit = own > busy ? 'the generator is the limit' : 'the server is the limit'
  return (
    `The generator against raw uWebSockets.js: ${short(window['most.perSecond'] ?? 0)} messages a second, ` +
    `generator ${(own * 100).toFixed(0)} %, server ${(busy * 100).toFixed(0)} % of a core: ${limit}; ` +
    `at ${RATE} a second it is ${short(paced['rate.lateness'] ?? 0)} ms late at p99`
  )
}
