/** The charts of the server's own actors, which are charts like those of rooms. */
import connectionChart from '../../machines/connection.ts'
import sessionChart from '../../machines/session.ts'
import { chartOf } from './chart.ts'
import type { Chart } from './shapes.ts'

export const serverCharts: readonly Chart[] = [
  chartOf(connectionChart, { machine: 'connection', kind: 'connection', version: '1' }),
  chartOf(sessionChart, { machine: 'session', kind: 'session', version: '1' }),
]
