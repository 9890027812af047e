/** Coming back to a room after a thousand records that were missed: as one patch, and as a thousand events. */
import { contestant, type Figures, figure, type Scenario, type Stand } from '../measure.ts'
import { chartroom } from '../servers.ts'
import { written } from '../written.ts'

const ROOM = 'items/bench'
const MISSED = 1000
/** So many that a thousand changes are smaller than the whole. */
const ITEMS = 3000

/** More records than are missed, so that the room's beginning is not what everybody comes back from. */
async function write(stand: Stand): Promise<void> {
  await stand.load.ask('open', stand.opening(1, 'writer'))
  await stand.load.ask('ask', { frame: { type: 'send', room: ROOM, event: { type: 'fill', count: ITEMS } } })
  await stand.load.ask('flow', { kind: 'event', rooms: [[ROOM]], event: { type: 'touch' }, ring: 1024 })
  await written(stand, MISSED + 100, 64)
}

async function sample(stand: Stand, clients: number): Promise<Figures> {
  const { load } = stand
  const { epoch, seq } = await load.ask('ask', { frame: { type: 'get', room: ROOM } })
  const since = { epoch, seq: seq - MISSED }
  const latencies: Figures = {}
  for (const mode of ['state', 'events'] as const) {
    await load.ask('close')
    await load.ask('open', stand.opening(clients, mode))
    const { p50, p99, most } = await load.ask('resume', { room: ROOM, since, to: seq, mode })
    Object.assign(latencies, { [`${mode}.p50`]: p50, [`${mode}.p99`]: p99, [`${mode}.most`]: most })
  }
  return latencies
}

export const scenario: Scenario = {
  name: 'resume',
  title: `Resume: ${MISSED} missed records, 200 clients one after the other (40 with --quick)`,
  contestants: (isQuick) => [
    contestant('Chartroom', chartroom({ machines: './bench/machines' }), write, (stand) =>
      sample(stand, isQuick ? 40 : 200),
    ),
  ],
  goals: () =>
    (['state', 'events'] as const).map((mode) => ({
      title: `resume of ${MISSED} records, mode ${mode}: p99`,
      bound: '<=',
      value: 200,
      unit: 'ms',
      of: (round) => figure(round, 'Chartroom', `${mode}.p99`),
    })),
  drawn: { 'state.p99': 'ms at p99, one patch', 'events.p99': 'ms at p99, 1,000 events' },
}
