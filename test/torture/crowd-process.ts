/** One process of a crowd. */
import { answerRequests, pool } from './clients.ts'
import type { Story } from './crowd.ts'
import { Peer } from './peer.ts'

/** Handshakes under way at a time. */
const AT_ONCE = 50

const peers: Peer[] = []
const stories: Promise<Story>[] = []
let acknowledged = 0

answerRequests({
  open: ({ url, users }: { url: string; users: string[] }) =>
    pool(users.length, AT_ONCE, async (i) => {
      peers.push(await Peer.open(url, users[i] as string))
    }),

  talk: ({ rooms }: { rooms: number }) => {
    stories.push(...peers.map((peer, i) => talk(peer, `counter/talk${i % rooms}`)))
  },

  acknowledged: () => acknowledged,

  stories: () => Promise.all(stories),
})

async function talk(peer: Peer, room: string): Promise<Story> {
  const seqs: number[] = []
  while (peer.closed === undefined) {
    const event = { type: 'increment', mark: `${peer.user} ${seqs.length}` }
    const reply = await peer.ask({ type: 'send', room, event }).catch((error: Error) => error)
    if (reply instanceof Error) break
    seqs.push(reply.seq)
    acknowledged++
  }
  await peer.gone
  const { user, closing, closed = 0 } = peer
  const told = closing ? { code: closing.code as number, retryAfter: closing.retryAfter as number } : null
  return { user, room, acknowledged: seqs, closing: told, closed }
}
