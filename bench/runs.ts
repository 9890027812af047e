/**
 * The order of a comparison: A B C, and again A B C. A machine that others use changes from minute to minute, so what is
 * compared is measured side by side, and ratios are taken within a round.
 */
import type { Contestant, Figures, Prepared, Round, Scale, Scenario } from './measure.ts'

export interface Plan {
  readonly rounds: number
  readonly isQuick: boolean
  readonly scaleFor: (contestant: string) => Scale
  readonly onSample: (contestant: string) => void
}

/** All rounds of a scenario; each contestant is made anew for each, unless that is too dear. */
export async function run(scenario: Scenario, plan: Plan): Promise<Round[]> {
  const contestants = scenario.contestants(plan.isQuick)
  const isKept = plan.isQuick || scenario.isKept === true
  const kept = isKept ? await prepareAll(contestants, plan) : undefined
  const rounds: Round[] = []
  try {
    while (rounds.length < plan.rounds) rounds.push(await round(contestants, kept, plan))
  } finally {
    for (const prepared of kept?.values() ?? []) await prepared.end()
  }
  return rounds
}

async function prepareAll(contestants: Contestant[], plan: Plan): Promise<Map<string, Prepared>> {
  const kept = new Map<string, Prepared>()
  try {
    for (const { name, prepare } of contestants) kept.set(name, await naming(name, prepare(plan.scaleFor(name))))
  } catch (error) {
    for (const prepared of kept.values()) await prepared.end()
    throw error
  }
  return kept
}

async function round(
  contestants: readonly Contestant[],
  kept: ReadonlyMap<string, Prepared> | undefined,
  plan: Plan,
): Promise<Round> {
  const figures: Record<string, Figures> = {}
  for (const { name, prepare } of contestants) {
    const known = kept?.get(name)
    const prepared = known ?? (await naming(name, prepare(plan.scaleFor(name))))
    try {
      figures[name] = await naming(name, prepared.sample())
    } finally {
      if (!known) await prepared.end()
    }
    plan.onSample(name)
  }
  return figures
}

/** Says of whom an error is. */
async function naming<T>(name: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error })
  }
}
