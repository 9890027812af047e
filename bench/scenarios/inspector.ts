/** Does the inspector cost a busy room anything: switched off, there but not asked, and with one who watches that room? */
import { contestant, ratio, type Scenario, type Stand } from '../measure.ts'
import { chartroom } from '../servers.ts'
import { oneRoom } from './event.ts'

const ROOM = 'counter/bench'
const INCREMENT = { type: 'increment' }

const OFF = 'switched off'
const UNWATCHED = 'on, nobody watches'
const WATCHED = 'on, one watches'

const sixteen = (stand: Stand) => stand.window('sixteen', 16)

async function watched(stand: Stand): Promise<void> {
  await oneRoom(stand, ROOM, INCREMENT)
  const { port, key } = stand.server
  if (!key) throw new Error('the feed wants a token')
  await stand.load.ask('look', { port, key, room: ROOM })
}

export const scenario: Scenario = {
  name: 'inspector',
  title: 'The inspector: durable events in one room, 16 in flight, with it switched off, there, and watching',
  reference: OFF,
  contestants: () => [
    contestant(
      OFF,
      chartroom({ env: { CHARTROOM_INSPECTOR: 'false' } }),
      (stand) => oneRoom(stand, ROOM, INCREMENT),
      sixteen,
    ),
    contestant(UNWATCHED, chartroom(), (stand) => oneRoom(stand, ROOM, INCREMENT), sixteen),
    contestant(WATCHED, chartroom(), watched, sixteen),
  ],
  goals: () => [
    {
      title: 'event, 16 in flight, one room: the inspector on and nobody watches / switched off',
      bound: '>=',
      value: 0.98,
      of: ratio('sixteen.perCpu', UNWATCHED, OFF),
    },
  ],
  drawn: { 'sixteen.perCpu': 'events per CPU second, 16 in flight' },
}
