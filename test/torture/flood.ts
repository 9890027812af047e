/**
 * Flooders at full speed beside neighbours that behave. With limits on frames and bytes set, each flooder is out within
 * a second, and the neighbours' round trips stay what they are without it: quiet and flooded phases take turns in one
 * run, and the medians of their 99th percentiles are compared.
 *
 * Flooders, neighbours and this are processes of their own, so that whoever measures does not flood.
 */
import { ServerProcess } from '../fixtures/server.ts'
import { ClientProcess } from './clients.ts'
import { median, quantile, spread } from './figures.ts'
import type { RoundTrips } from './neighbours.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

const FLOODERS_PER_PHASE = 20
/** Milliseconds between the arrivals of two flooders. */
const EVERY = 100
const NEIGHBOURS = 50
/** Milliseconds within which a flooder is to be out. */
const OUT_WITHIN = 1000

const ENV = { CHARTROOM_MAX_FRAMES_PER_SECOND: '100', CHARTROOM_MAX_BYTES_PER_SECOND: '262144' }

export const torture: Torture = { size: 400, unit: 'flooders', run: (size, progress) => run(size, progress) }

/** @param outWithin milliseconds within which each flooder is to be out. */
export async function run(size: number, progress: Progress, outWithin = OUT_WITHIN): Promise<Outcome> {
  const server = await new ServerProcess({ env: ENV }).start()
  const [neighbours, flooders] = [new ClientProcess('./neighbours.ts'), new ClientProcess('./flooders.ts')]
  try {
    await neighbours.ask({ what: 'open', url: server.url, size: NEIGHBOURS })
    const phase = (): Promise<RoundTrips> => neighbours.ask({ what: 'measured' })
    const flood = (count: number, every: number): Promise<number[]> =>
      flooders.ask({ what: 'flood', url: server.url, count, every })
    const outs = await flood(4, EVERY)
    const [quiet, flooded]: [RoundTrips[], RoundTrips[]] = [[], []]
    for (let done = 0; done < size; done += FLOODERS_PER_PHASE) {
      const count = Math.min(FLOODERS_PER_PHASE, size - done)
      await phase()
      await new Promise((resolve) => setTimeout(resolve, count * EVERY))
      quiet.push(await phase())
      outs.push(...(await flood(count, EVERY)))
      flooded.push(await phase())
      progress(done + count, size)
    }
    const cut = await server.metric('chartroom_closes_total{code="4129"}')
    return verdict(outs, cut, quiet, flooded, await neighbours.ask({ what: 'alive' }), outWithin)
  } finally {
    neighbours.end()
    flooders.end()
    await server.dispose()
  }
}

function verdict(
  outs: number[],
  cut: number,
  quiet: RoundTrips[],
  flooded: RoundTrips[],
  alive: number,
  outWithin: number,
): Outcome {
  const violations: string[] = []
  const late = outs.filter((ms) => ms > outWithin)
  if (late.length > 0) violations.push(`${late.length} flooders were out only after ${Math.max(...late).toFixed(0)} ms`)
  if (cut !== outs.length) violations.push(`${cut} of ${outs.length} flooders were closed with 4129`)
  if (alive !== NEIGHBOURS) violations.push(`${NEIGHBOURS - alive} neighbours lost their connection`)
  return {
    figures: {
      'flooders closed with 4129': `${cut} of ${outs.length}`,
      'from the first byte to the end: first / median / last': spread(outs),
      ...compared('ping', quiet, flooded),
      ...compared('send', quiet, flooded),
    },
    violations,
  }
}

/** The medians over all phases of one kind, and how they compare. */
function compared(what: keyof RoundTrips, quiet: RoundTrips[], flooded: RoundTrips[]): Record<string, string> {
  const at = (phases: RoundTrips[], p: number): number => median(phases.map((phase) => quantile(phase[what], p)))
  const row = (p: number): string => {
    const [before, during] = [at(quiet, p), at(flooded, p)]
    return `${before.toFixed(2)} / ${during.toFixed(2)} ms, ratio ${(during / before).toFixed(2)}`
  }
  return { [`${what}, p50 quiet / flooded`]: row(0.5), [`${what}, p99 quiet / flooded`]: row(0.99) }
}
