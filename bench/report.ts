/**
 * What a run came to, in Markdown: goals first, then each scenario, ratios before absolute figures.
 *
 * Always true: every figure is a median with its spread, and stands beside what it was taken with; where the generator
 * was the limit, that is said.
 */
import type { Goal, Round, Scenario } from './measure.ts'
import { short, shown, spreadOf } from './statistics.ts'

/** What a run was taken with. */
export interface Circumstances {
  readonly machine: string
  readonly date: string
  readonly command: string
  readonly isQuick: boolean
  readonly isPinned: boolean
  /** What the generator came to by itself. */
  readonly generator: string
  /** Processes that waited for a core, at the beginning and at the end. */
  readonly load: readonly [number, number]
}

export interface Outcome {
  readonly scenario: Scenario
  readonly circumstances: Circumstances
  readonly rounds: readonly Round[]
}

/** What a figure is called, by the end of its name, in the order of the columns; bytes are shown in MB. */
const COLUMNS: readonly [string, string][] = [
  ['perCpu', 'per CPU second'],
  ['perSecond', 'per second'],
  ['p50', 'p50 ms'],
  ['p99', 'p99 ms'],
  ['p999', 'p99.9 ms'],
  ['most', 'most ms'],
  ['lateness', 'of it the generator late, p99 ms'],
  ['rss', 'RSS'],
  ['heap', 'heap'],
]

export function report(outcomes: readonly Outcome[]): string {
  return [
    '# What it costs',
    '',
    'Judge the ratios: absolute figures from a machine that others use mean little. `bench/README.md` tells the method.',
    '',
    ...(outcomes.some(({ circumstances }) => circumstances.isQuick) ? [QUICK, ''] : []),
    '| goal | figure (least to most) | bound | met |',
    '| --- | --- | --- | --- |',
    ...outcomes.flatMap(goalsOf),
    '',
    ...outcomes.flatMap(section),
  ].join('\n')
}

function told({ machine, date, command, generator, isQuick, isPinned, load }: Circumstances): string[] {
  const where = isPinned
    ? 'The server was held to core 0 and the load to core 1 (taskset).'
    : 'Server and load were not held to cores of their own: taskset or a second core was missing.'
  const waited = `Processes that waited for a core: ${load[0].toFixed(1)} before, ${load[1].toFixed(1)} after.`
  return [`${date}, ${machine}. \`${command}\`. ${where} ${waited} ${generator}.`, ...(isQuick ? ['', QUICK] : [])]
}

const QUICK = '**A quick run: small, short, hardly warmed up. It shows that all of it works, not what it costs.**'

export interface Judged {
  readonly title: string
  readonly figure: string
  readonly bound: string
  readonly isMet: boolean
}

export function judge({ title, bound, value, unit = '', of }: Goal, rounds: readonly Round[]): Judged {
  const spread = spreadOf(rounds.map(of))
  const isMet = bound === '>=' ? spread.median >= value : spread.median <= value
  return { title, figure: `${shown(spread)} ${unit}`.trim(), bound: `${bound} ${value} ${unit}`.trim(), isMet }
}

function goalsOf({ scenario, circumstances: { isQuick }, rounds }: Outcome): string[] {
  const judged = scenario.goals(isQuick).map((goal) => judge(goal, rounds))
  return judged.map(
    ({ title, figure, bound, isMet }) =>
      `| ${title} | ${figure} | ${bound} | ${isQuick ? '' : isMet ? 'yes' : '**no**'} |`,
  )
}

function section(outcome: Outcome): string[] {
  const { scenario, circumstances, rounds } = outcome
  const groups = new Set(Object.values(rounds[0] ?? {}).flatMap((figures) => Object.keys(figures).map(groupOf)))
  return [
    `## ${scenario.title}`,
    '',
    ...told(circumstances),
    '',
    `${rounds.length} rounds, one of each in turn. ![${scenario.name}](${scenario.name}.svg)`,
    '',
    ...[...groups].flatMap((group) => [...table(outcome, group), '']),
  ]
}

const groupOf = (name: string): string => name.split('.')[0] as string

/** What a group of figures is, in words. */
const GROUPS: Readonly<Record<string, string>> = {
  one: 'one in flight on each connection',
  sixteen: '16 in flight on each connection',
  rate: 'at a fixed rate (latency against the time at which it was to be sent)',
  state: 'one patch',
  events: 'an event for each record',
}

function table({ scenario: { reference }, rounds }: Outcome, group: string): string[] {
  const names = Object.keys(rounds[0] ?? {})
  const values = (name: string, column: string): number[] =>
    rounds.flatMap((round) => round[name]?.[`${group}.${column}`] ?? [])
  const columns = COLUMNS.filter(([column]) => names.some((name) => values(name, column).length > 0))
  const hasRatio = reference !== undefined && values(reference, 'perCpu').length > 0
  const head = ['', ...(hasRatio ? [`ratio to ${reference}`] : []), ...columns.map(([, title]) => title), '']
  const row = (name: string): string[] => [
    name,
    ...(hasRatio ? [shown(spreadOf(ratios(rounds, name, reference, `${group}.perCpu`)))] : []),
    ...columns.map(([column]) => cell(column, values(name, column), group)),
    isLimited(rounds, name, group) ? 'the generator was the limit' : '',
  ]
  const rows = names.filter((name) => columns.some(([column]) => values(name, column).length > 0)).map(row)
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [GROUPS[group] ?? group, '', line(head), line(head.map(() => '---')), ...rows.map(line)]
}

function ratios(rounds: readonly Round[], name: string, to: string, figure: string): number[] {
  return rounds.flatMap((round) => {
    const [value, reference] = [round[name]?.[figure], round[to]?.[figure]]
    return value === undefined || reference === undefined ? [] : [value / reference]
  })
}

function cell(column: string, values: readonly number[], group: string): string {
  if (values.length === 0) return ''
  if (column !== 'rss' && column !== 'heap') return shown(spreadOf(values))
  const { median } = spreadOf(values)
  return group === 'idle' ? `${short(median / 1024)} KB each` : `${(median / 2 ** 20).toFixed(0)} MB`
}

/** The generator was busy, the server was not, in most rounds. */
export function isLimited(rounds: readonly Round[], name: string, group: string): boolean {
  if (group === 'rate') return false
  const limited = rounds.filter((round) => {
    const figures = round[name] ?? {}
    return (figures[`${group}.generator`] ?? 0) > 0.9 && (figures[`${group}.busy`] ?? 1) < 0.9
  })
  return limited.length > rounds.length / 2
}
