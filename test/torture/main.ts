/**
 * `npm run torture -- <name>`: the long runs behind `docs/RELIABILITY.md`, each against a real server. The tests run
 * short versions of the same code.
 *
 * Ends with 0 when nothing that was promised was broken, with 1 and a line per violation otherwise.
 */
import { cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { bar } from './progress.ts'
import type { Torture } from './torture.ts'

const NAMES = [
  'cleanup',
  'half-open',
  'idle',
  'drain',
  'flood',
  'kill',
  'power-cut',
  'disk',
  'disk-bound',
  'resume',
  'rooms',
  'timers',
  'histories',
  'slow',
  'client',
] as const

const { positionals, values } = parseArgs({ allowPositionals: true, options: { size: { type: 'string' } } })
const name = NAMES.find((known) => known === positionals[0])
if (!name) {
  console.error(`npm run torture -- <name> [--size n], where <name> is one of: ${NAMES.join(', ')}`)
  process.exit(2)
}

const { torture } = (await import(`./${name}.ts`)) as { torture: Torture }
const size = values.size === undefined ? torture.size : Number(values.size)
const began = Date.now()
const { figures, violations } = await torture.run(size, bar(`${name} ${size}`))
const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.versions.node}`
console.log(`\n${name}, ${size} ${torture.unit}, ${Math.round((Date.now() - began) / 1000)} s, ${machine}`)
for (const [figure, value] of Object.entries(figures)) console.log(`  ${figure.padEnd(44)} ${value}`)
for (const violation of violations) console.log(`  VIOLATION ${violation}`)
console.log(`${violations.length} violations`)
process.exit(violations.length === 0 ? 0 : 1)
