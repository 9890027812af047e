/**
 * What is known so far: for each scenario its latest run. `samples.json` keeps it, the report and the drawings are made
 * of it.
 *
 * Always true: a run replaces what it measured, and leaves the rest as it was.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Scenario } from './measure.ts'
import { draw } from './plots.ts'
import { type Outcome, report } from './report.ts'

type Samples = Record<string, Omit<Outcome, 'scenario'>>

const FILE = 'samples.json'

/** @returns the report. */
export async function keep(outcome: Outcome, folder: string, scenarios: readonly Scenario[]): Promise<string> {
  const { scenario, ...measured } = outcome
  const samples: Samples = { ...readSamples(folder), [scenario.name]: measured }
  const markdown = report(
    scenarios.flatMap((known) => {
      const kept = samples[known.name]
      return kept ? [{ scenario: known, ...kept }] : []
    }),
  )
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, FILE), JSON.stringify(samples, rounded, 1))
  writeFileSync(join(folder, `${scenario.name}.svg`), await draw(outcome))
  writeFileSync(join(folder, 'report.md'), markdown)
  return markdown
}

function readSamples(folder: string): Samples {
  const file = join(folder, FILE)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
}

/** Six digits are more than any of it is worth. */
const rounded = (_key: string, value: unknown): unknown =>
  typeof value === 'number' ? Number(value.toPrecision(6)) : value
