/** A message to another user: stored, delivered, settled; against the echo of a server that stores nothing. */
import { contestant, type Scenario, type Stand } from '../measure.ts'
import { chartroom, peers } from '../servers.ts'

const PAIRS = 32

const both = async (stand: Stand) => ({ ...(await stand.window('one', 1)), ...(await stand.window('sixteen', 16)) })

export const scenario: Scenario = {
  name: 'inbox',
  title: `Inbox: ${PAIRS} users write to ${PAIRS} others, who settle each message`,
  reference: 'Socket.IO, echo',
  contestants: () => [
    contestant(
      'Socket.IO, echo',
      peers.socketio(),
      async ({ load, server: { dialect, port } }) => {
        await load.ask('open', { dialect, port, count: PAIRS, user: 'user' })
        await load.ask('flow', { kind: 'echo', dialect, ring: 1024 })
      },
      both,
    ),
    contestant(
      'Chartroom',
      chartroom(),
      async (stand) => {
        await stand.load.ask('open', stand.opening(2 * PAIRS))
        await stand.load.ask('flow', { kind: 'inbox' })
      },
      both,
    ),
  ],
  goals: () => [],
  drawn: {
    'one.perCpu': 'messages per CPU second, 1 in flight',
    'sixteen.perCpu': 'messages per CPU second, 16 in flight',
  },
}
