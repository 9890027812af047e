/** The process of the neighbours of a flood: each pings and sends in turn, at its own steady pace, and takes the time. */
import { answerRequests, pool } from './clients.ts'
import { Peer } from './peer.ts'

/** Milliseconds, by what was asked. */
export interface RoundTrips {
  readonly ping: number[]
  readonly send: number[]
}

/** Milliseconds between two frames of one neighbour. */
const PACE = 50
const ROOMS = 10

const peers: Peer[] = []
let measured: RoundTrips = { ping: [], send: [] }

answerRequests({
  open: async ({ url, size }: { url: string; size: number }) => {
    await pool(size, size, async (i) => {
      peers.push(await Peer.open(url, `neighbour${i}`))
    })
    for (const [i, peer] of peers.entries()) setTimeout(() => talk(peer, i), (i * PACE) / size)
  },

  measured: () => {
    const phase = measured
    measured = { ping: [], send: [] }
    return phase
  },

  alive: () => peers.filter((peer) => peer.closed === undefined).length,
})

function talk(peer: Peer, i: number): void {
  const ask = {
    ping: { type: 'ping' },
    send: { type: 'send', room: `counter/neighbours${i % ROOMS}`, event: { type: 'increment' } },
  }
  let turn = i
  setInterval(() => {
    if (peer.closed === undefined) void time(peer, turn++ % 2 === 0 ? 'ping' : 'send', ask)
  }, PACE)
}

async function time(
  peer: Peer,
  what: keyof RoundTrips,
  ask: Record<keyof RoundTrips, { type: string }>,
): Promise<void> {
  const began = performance.now()
  const reply = await peer.ask(ask[what]).catch((error: Error) => error)
  // One that lost its connection is counted by `alive`.
  if (!(reply instanceof Error)) measured[what].push(performance.now() - began)
}
