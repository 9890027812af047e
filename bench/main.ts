/**
 * `npm run bench`: measures Chartroom beside its peers, in the same run on the same machine, and draws the result.
 *
 * Ends with 1 where something was answered wrongly; a goal that is missed is told, and ends with 0.
 */
import { mkdirSync } from 'node:fs'
import { arch, cpus, loadavg, release, totalmem, type } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { installPeers } from './install.ts'
import type { Round, Scale, Scenario } from './measure.ts'
import { canPin } from './process.ts'
import { bar } from './progress.ts'
import { provenGenerator } from './proof.ts'
import type { Circumstances } from './report.ts'
import { keep } from './results.ts'
import { run } from './runs.ts'

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
  'inspector',
]

const USAGE = `npm run bench -- [options]
  --quick            everything, small and short: less than three minutes on an idle machine
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

type Options = ReturnType<typeof readOptions>

function readOptions() {
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
  const scenarios = await Promise.all(NAMES.map(read))
  let markdown = ''
  for (const scenario of scenarios.filter(({ name }) => given.scenario.includes(name))) {
    const before = waiting()
    const rounds = await measure(scenario, given)
    const circumstances = { ...circumstancesOf(given), generator, load: [before, waiting()] } as const
    markdown = await keep({ scenario, circumstances, rounds }, given.out, scenarios)
  }
  console.log(markdown.slice(0, markdown.indexOf('\n## ')))
  console.log(`All of it is in ${given.out}/report.md`)
}

const read = async (name: string): Promise<Scenario> => (await import(`./scenarios/${name}.ts`)).scenario

const waiting = (): number => loadavg()[0] as number

const circumstancesOf = ({ quick }: Options): Omit<Circumstances, 'generator' | 'load'> => ({
  machine: machine(),
  date: new Date().toISOString().slice(0, 10),
  command: `npm run bench${process.argv.length > 2 ? ' -- ' : ''}${process.argv.slice(2).join(' ')}`,
  isQuick: quick,
  isPinned: canPin,
})

async function measure(scenario: Scenario, { quick, pairs, profile, out }: Options): Promise<Round[]> {
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

function machine(): string {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${cpus().length} cores (${cpu?.model.trim()}), ${memory} GB, ${type()} ${release()} ${arch()}, Node ${process.versions.node}`
}

try {
  const given = readOptions()
  if (given.help) console.log(USAGE)
  else await main(given)
  process.exit(0)
} catch (error) {
  console.error(`bench: ${(error as Error).message}`)
  process.exit(1)
}
