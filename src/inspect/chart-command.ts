/** The command `chart`: the chart of a machine, for a README or another program. Prints it, and changes nothing. */
import { join } from 'node:path'
import connectionChart from '../../machines/connection.ts'
import sessionChart from '../../machines/session.ts'
import { isOneFile, lookAtMachineFiles, mistakesOf } from '../check/load.ts'
import { chartOf } from './chart.ts'
import { mermaid } from './mermaid.ts'
import type { Chart } from './shapes.ts'

export const CHART_USAGE = `chartroom chart <machine>          print a chart with --mermaid or --json: a machine's name, a file, "connection" or "session"`

export interface ChartOptions {
  readonly machine: string | undefined
  /** Where machines are that are named. */
  readonly folder: string
  readonly mermaid: boolean
  readonly json: boolean
}

/** @throws with one line that says what is wrong. */
export async function chartCommand(options: ChartOptions, print: (text: string) => void): Promise<void> {
  if (options.machine === undefined)
    throw new Error('chart: of which machine? e.g. "chartroom chart auction --mermaid"')
  if (options.mermaid === options.json) throw new Error('chart: say how it is to be printed, --mermaid or --json')
  const chart = await chartNamed(options.machine, options.folder)
  print(options.json ? JSON.stringify(chart, null, 2) : mermaid(chart))
}

async function chartNamed(machine: string, folder: string): Promise<Chart> {
  const own = serverCharts.find((chart) => chart.machine === machine)
  if (own) return own
  const path = [machine, join(folder, `${machine}.ts`), join(folder, `${machine}.js`)].find(isOneFile)
  if (path === undefined) throw new Error(`chart: neither a file nor a machine of ${folder} is called ${machine}`)
  const [look] = await lookAtMachineFiles(path)
  if (!look?.file) throw new Error(look ? mistakesOf(look).join('\n') : `${path} is no machine file (.ts or .js)`)
  return chartOf(look.file.default, { machine: look.name, kind: 'room', version: look.file.version ?? '1' })
}

/** The charts of the server's own actors. */
export const serverCharts: readonly Chart[] = [
  chartOf(connectionChart, { machine: 'connection', kind: 'connection', version: '1' }),
  chartOf(sessionChart, { machine: 'session', kind: 'session', version: '1' }),
]
