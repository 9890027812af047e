/**
 * What the house is for: an event that is stored before it is answered, with a patch to its sender and to others;
 * against the echo of a server that stores nothing.
 */
import { type Contestant, contestant, figure, ratio, type Scenario, type Stand } from '../measure.ts'
import { bareCommits, chartroom, peers } from '../servers.ts'
import { written } from '../written.ts'
import { numbered } from './scaling.ts'

const SENDERS = 100
const ROOMS = 100
/** Messages that a chat keeps. */
const CHAT_WINDOW = 200
/** Events a second at which latency is looked at. */
const RATE = 500
const COMMITS = 400

const INCREMENT = { type: 'increment' }
const POST = { type: 'message.post', text: 'x'.repeat(64) }

/** Everybody sends to one room, and one more only watches. */
export async function oneRoom(stand: Stand, room: string, event: object): Promise<void> {
  await stand.load.ask('open', stand.opening(SENDERS + 1))
  await stand.load.ask('join', { rooms: Array(SENDERS + 1).fill(room) })
  await stand.load.ask('flow', { kind: 'event', rooms: Array(SENDERS).fill([room]), event, ring: 1024 })
}

/** A sender for each room, and one more that watches it. */
async function manyRooms(stand: Stand): Promise<void> {
  const { load } = stand
  const rooms = numbered('counter', ROOMS)
  await load.ask('open', stand.opening(2 * ROOMS))
  await load.ask('join', { rooms: [...rooms, ...rooms] })
  await load.ask('flow', { kind: 'event', rooms: rooms.map((room) => [room]), event: INCREMENT, ring: 1024 })
}

const both = async (stand: Stand) => ({ ...(await stand.window('one', 1)), ...(await stand.window('sixteen', 16)) })

/** The window is full before anything is measured. */
async function fillChat(stand: Stand): Promise<void> {
  await oneRoom(stand, 'chat/bench', POST)
  await written(stand, CHAT_WINDOW, 16)
}

const commits: Contestant = {
  name: 'one bare LMDB commit',
  prepare: async () => ({
    sample: async () => {
      const { p50, p99 } = await bareCommits(COMMITS)
      return { 'rate.p50': p50, 'rate.p99': p99 }
    },
    end: async () => {},
  }),
}

const ONE = 'Chartroom, one room'
const MANY = 'Chartroom, 100 rooms'
const CHAT = 'Chartroom, chat'
const ECHO = 'Socket.IO, echo'
const goal = (title: string, of: string, name: string, value: number) =>
  ({ title, bound: '>=', value, of: ratio(name, of, ECHO) }) as const

export const scenario: Scenario = {
  name: 'event',
  title: `A durable event: ${SENDERS} senders in one room, or one in each of ${ROOMS}; latency at ${RATE} a second`,
  reference: ECHO,
  contestants: () => [
    contestant(
      ECHO,
      peers.socketio(),
      async (stand) => {
        await stand.load.ask('open', stand.opening(SENDERS))
        await stand.load.ask('flow', { kind: 'echo', dialect: 'socketio', ring: 1024 })
      },
      both,
    ),
    contestant(ONE, chartroom(), (stand) => oneRoom(stand, 'counter/bench', INCREMENT), both),
    contestant(MANY, chartroom(), manyRooms, async (stand) => ({
      ...(await both(stand)),
      ...(await stand.rate('rate', RATE)),
    })),
    contestant(CHAT, chartroom(), fillChat, (stand) => stand.window('sixteen', 16)),
    commits,
  ],
  goals: () => [
    goal("event, 16 in flight, one room: events per CPU second / Socket.IO's echo", ONE, 'sixteen.perCpu', 1.5),
    goal('event, 16 in flight, 100 rooms: the same', MANY, 'sixteen.perCpu', 1.3),
    goal('event, one in flight, one room: the same', ONE, 'one.perCpu', 0.9),
    goal('event, one in flight, 100 rooms: the same', MANY, 'one.perCpu', 0.7),
    goal(`chat, a window of ${CHAT_WINDOW} messages, 16 in flight: the same`, CHAT, 'sixteen.perCpu', 1),
    {
      title: `event, ${RATE} a second: p50 above one bare LMDB commit`,
      bound: '<=',
      value: 1,
      unit: 'ms',
      of: (round) => figure(round, MANY, 'rate.p50') - figure(round, commits.name, 'rate.p50'),
    },
  ],
  drawn: {
    'one.perCpu': 'events per CPU second, 1 in flight',
    'sixteen.perCpu': 'events per CPU second, 16 in flight',
  },
}
