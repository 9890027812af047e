/**
 * `npm run bench`: measures Chartroom beside its peers, in the same run on the same machine, and draws the result.
 *
 * Ends with 1 where something was answered wrongly; a goal that is missed is told, and ends with 0.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { arch, cpus, loadavg, release, totalmem, type } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { installPeers } from './install.ts'
import type { Scale, Scenario } from './measure.ts'
import { draw } from './plots.ts'
import { canPin } from './process.ts'
import { bar } from './progress.ts'
import { provenGenerator } from './proof.ts'
import { report } from './report.ts'
import { type Outcome, run } from './runs.ts'

const NAMES = [
  'echo',
  'event',
  'fanout',
  'inbox',
  'idle',
  'connect',
  'resume',
  'rooms',
  'depth',
  'state',
  'connections',
]

const USAGE = `npm run bench -- [options]
  --quick            everything, small and short, in less than three minutes
  --scenario <name>  only this one (may be repeated): ${NAMES.join(', ')}
  --pairs <n>        rounds in which each is measured once (5; 2 with --quick)
  --profile          writes a CPU profile of each measurement to the folder of the results
  --out <folder>     where the results go (bench/results)`

const options = {
  quick: { type: 'boolean', default: false },
  profile: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
  scenario: { type: 'string', multiple: true, default: NAMES },
  pairs: { type: 'string' },
  out: { type: 'string', default: 'bench/results' },
} as const

const FULL = { isQuick: false, warmUp: 3, seconds: 3 }
const QUICK = { isQuick: true, warmUp: 0.3, seconds: 0.4 }

type Options = ReturnType<typeof read>

function read() {
  const { values } = parseArgs({ options })
  const unknown = values.scenario.find((name) => !NAMES.includes(name))
  if (unknown !== undefined) throw new Error(`no scenario is called ${unknown}; there are ${NAMES.join(', ')}`)
  const pairs = Number(values.pairs ?? (values.quick ? 2 : 5))
  if (!Number.isInteger(pairs) || pairs < 1) throw new Error(`--pairs: expected a whole number, got ${values.pairs}`)
  return { ...values, pairs, out: resolve(values.out) }
}

async function main(given: Options): Promise<void> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`)
  mkdirSync(given.out, { recursive: true })
  await installPeers(say)
  const generator = await provenGenerator(given.quick)
  say(generator)
  const before = loadavg()[0] as number
  const outcomes: Outcome[] = []
  for (const name of given.scenario) {
    const { scenario } = (await import(`./scenarios/${name}.ts`)) as { scenario: Scenario }
    outcomes.push(await runOne(scenario, given))
  }
  const circumstances = {
    machine: machine(),
    date: new Date().toISOString().slice(0, 10),
    command: `npm run bench${process.argv.length > 2 ? ' -- ' : ''}${process.argv.slice(2).join(' ')}`,
    generator,
    isQuick: given.quick,
    isPinned: canPin,
    load: [before, loadavg()[0] as number],
  } as const
  const markdown = report(outcomes, circumstances)
  writeFileSync(join(given.out, 'report.md'), markdown)
  writeFileSync(join(given.out, 'samples.json'), JSON.stringify(samples(outcomes, circumstances), null, 1))
  for (const outcome of outcomes) writeFileSync(join(given.out, `${outcome.scenario.name}.svg`), await draw(outcome))
  console.log(markdown)
  console.log(`Written to ${given.out}`)
}

async function runOne(scenario: Scenario, { quick, pairs, profile, out }: Options): Promise<Outcome> {
  const total = pairs * scenario.contestants(quick).length
  const progress = bar(scenario.name)
  let done = 0
  progress(done, total, '')
  const scaleFor = (contestant: string): Scale => {
    const slug = contestant.toLowerCase().replace(/[^a-z0-9]+/g, '-')
    const file = (figure: string): string => join(out, `${scenario.name}-${slug}-${figure}.cpuprofile`)
    return { ...(quick ? QUICK : FULL), ...(profile && { profile: file }) }
  }
  const onSample = (contestant: string): void => progress(++done, total, contestant)
  return run(scenario, { rounds: pairs, isQuick: quick, scaleFor, onSample })
}

const samples = (outcomes: readonly Outcome[], circumstances: object): object => ({
  circumstances,
  scenarios: Object.fromEntries(outcomes.map(({ scenario, rounds }) => [scenario.name, rounds])),
})

function machine(): string {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${cpus().length} cores (${cpu?.model.trim()}), ${memory} GB, ${type()} ${release()} ${arch()}, Node ${process.versions.node}`
}

try {
  const given = read()
  if (given.help) console.log(USAGE)
  else await main(given)
  process.exit(0)
} catch (error) {
  console.error(`bench: ${(error as Error).message}`)
  process.exit(1)
}
