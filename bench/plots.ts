/** A drawing for each scenario: a bar for each median, a line from the least to the most. */
import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import type { Round, Scenario } from './measure.ts'
import { spreadOf } from './statistics.ts'

/** What is drawn. */
interface Drawn {
  readonly scenario: Scenario
  readonly rounds: readonly Round[]
}

interface Bar {
  readonly name: string
  readonly figure: string
  readonly least: number
  readonly median: number
  readonly most: number
}

function barsOf({ scenario: { drawn }, rounds }: Drawn): Bar[] {
  const names = Object.keys(rounds[0] ?? {})
  return Object.entries(drawn).flatMap(([name, title]) =>
    names.flatMap((contestant) => {
      const values = rounds.flatMap((round) => round[contestant]?.[name] ?? [])
      return values.length === 0 ? [] : [{ name: contestant, figure: title, ...spreadOf(values) }]
    }),
  )
}

function chartOf(title: string, bars: readonly Bar[]) {
  const y = { field: 'name', type: 'nominal', title: null, sort: bars.map(({ name }) => name) } as const
  const ours = { test: "indexof(datum.name, 'Chartroom') === 0", value: '#2f6f4f' }
  const x = { field: 'median', type: 'quantitative', title, axis: { format: '~s' } } as const
  const color = { condition: ours, value: '#9db4c8' }
  const spread = { y, x: { field: 'least', type: 'quantitative' }, x2: { field: 'most' } } as const
  return {
    width: 520,
    height: { step: 24 },
    data: { values: [...bars] },
    layer: [
      { mark: { type: 'bar', cornerRadiusEnd: 2 }, encoding: { y, x, color } },
      { mark: 'rule', encoding: spread },
    ],
  } as const
}

function spec(outcome: Drawn): TopLevelSpec {
  const bars = barsOf(outcome)
  const titles = [...new Set(bars.map(({ figure }) => figure))]
  const charts = titles.map((title) =>
    chartOf(
      title,
      bars.filter(({ figure }) => figure === title),
    ),
  )
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: { text: outcome.scenario.title, anchor: 'start', fontSize: 13 },
    background: 'white',
    vconcat: charts.map((chart) => ({ ...chart, layer: [...chart.layer] })),
    config: { font: 'sans-serif', axis: { labelFontSize: 12, labelLimit: 240 } },
  }
}

/** The drawing as SVG. */
export function draw(outcome: Drawn): Promise<string> {
  return new View(parse(compile(spec(outcome)).spec), { renderer: 'none' }).toSVG()
}
