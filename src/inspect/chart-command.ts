/** The command `chart`: the chart of a machine, for a README or another program. Prints it, and changes nothing. */
import { join } from 'node:path'
import { isOneFile, lookAtMachineFiles, mistakesOf } from '../check/load.ts'
import type { LoadedFile } from '../machine/machine-file.ts'
import { chartOf } from './chart.ts'
import { mermaid } from './mermaid.ts'
import { serverCharts } from './own-charts.ts'
import type { Chart } from './shapes.ts'

export const CHART_USAGE = `chartroom chart <machine>          print a chart as Mermaid, or with --svg or --json: a machine's name, a file, "connection" or "session"`

export interface ChartOptions {
  readonly machine: string | undefined
  /** Where machines are that are named. */
  readonly folder: string
  readonly svg: boolean
  readonly mermaid: boolean
  readonly json: boolean
}

/** @throws with one line that says what is wrong. */
export async function chartCommand(options: ChartOptions, print: (text: string) => void): Promise<void> {
  if (options.machine === undefined) throw new Error('chart: of which machine? e.g. "chartroom chart auction --svg"')
  const ways = [options.svg, options.mermaid, options.json].filter((isAsked) => isAsked)
  if (ways.length > 1) throw new Error('chart: print it one way, with --svg, --mermaid or --json')
  const chart = await chartNamed(options.machine, options.folder)
  if (options.svg) print(await drawn(chart))
  else print(options.json ? JSON.stringify(chart, null, 2) : mermaid(chart))
}

/** ELK is loaded only where something is drawn. */
async function drawn(chart: Chart): Promise<string> {
  const [{ drawStandalone }, { createElk }] = await Promise.all([import('./drawing.ts'), import('./elk.ts')])
  return drawStandalone(chart, createElk())
}

async function chartNamed(name: string, folder: string): Promise<Chart> {
  const own = serverCharts.find((chart) => chart.machine === name)
  if (own) return own
  const { name: machine, file } = await machineNamed(name, folder)
  return chartOf(file.default, { machine, kind: 'room', version: file.version ?? '1' })
}

/** A machine file by its path, or by the machine's name in a folder. @throws with one line that says what is wrong. */
export async function machineNamed(name: string, folder: string): Promise<{ name: string; file: LoadedFile }> {
  const path = [name, join(folder, `${name}.ts`), join(folder, `${name}.js`)].find(isOneFile)
  if (path === undefined) throw new Error(`neither a file nor a machine of ${folder} is called ${name}`)
  const [look] = await lookAtMachineFiles(path)
  if (!look?.file) throw new Error(look ? mistakesOf(look).join('\n') : `${path} is no machine file (.ts or .js)`)
  return { name: look.name, file: look.file }
}
