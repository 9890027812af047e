/** A drawing for each scenario: a bar for each median, a line from the least to the most. */
import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import type { Outcome } from './runs.ts'
import { spreadOf } from './statistics.ts'

interface Bar {
  readonly name: string
  readonly figure: string
  readonly least: number
  readonly median: number
  readonly most: number
}

function barsOf({ scenario: { drawn }, names, rounds }: Outcome): Bar[] {
  return Object.entries(drawn).flatMap(([name, title]) =>
    names.flatMap((contestant) => {
      const values = rounds.flatMap((round) => round[contestant]?.[name] ?? [])
      return values.length === 0 ? [] : [{ name: contestant, figure: title, ...spreadOf(values) }]
    }),
  )
}

function spec(outcome: Outcome): TopLevelSpec {
  const y = { field: 'name', type: 'nominal', title: null, sort: [...outcome.names] } as const
  const ours = { test: "indexof(datum.name, 'Chartroom') === 0", value: '#2f6f4f' }
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: { text: outcome.scenario.title, anchor: 'start', fontSize: 13 },
    background: 'white',
    data: { values: barsOf(outcome) },
    facet: {
      row: {
        field: 'figure',
        type: 'nominal',
        title: null,
        header: { labelAngle: 0, labelOrient: 'top', labelAnchor: 'start', labelFontSize: 12 },
      },
    },
    spec: {
      width: 520,
      height: { step: 24 },
      layer: [
        {
          mark: { type: 'bar', cornerRadiusEnd: 2 },
          encoding: {
            y,
            x: { field: 'median', type: 'quantitative', title: null, axis: { format: '~s' } },
            color: { condition: ours, value: '#9db4c8' },
          },
        },
        { mark: 'rule', encoding: { y, x: { field: 'least', type: 'quantitative' }, x2: { field: 'most' } } },
      ],
    },
    resolve: { scale: { x: 'independent', y: 'independent' } },
    config: { font: 'sans-serif', axis: { labelFontSize: 12, labelLimit: 240 } },
  }
}

/** The drawing as SVG. */
export function draw(outcome: Outcome): Promise<string> {
  return new View(parse(compile(spec(outcome)).spec), { renderer: 'none' }).toSVG()
}
