/**
 * Peers that go silent without a FIN: their processes are stopped, their kernel still acknowledges. Rule H2: each is
 * gone within `interval × maxMissed + timeout`.
 */
import { ServerProcess } from '../fixtures/server.ts'
import { Crowd } from './crowd.ts'
import { quantile, spread } from './figures.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

const MAX_MISSED = 2

/** Milliseconds. */
export interface Rules {
  readonly interval: number
  readonly timeout: number
  /** Each of the three deadlines waits for a tick of the wheel, and for its turn on the event loop. */
  readonly lateness: number
}

/** The server's defaults. */
const DEFAULTS: Rules = { interval: 25_000, timeout: 10_000, lateness: 100 }

export const torture: Torture = { size: 1000, unit: 'peers', run: (size, progress) => run(size, progress) }

export async function run(size: number, progress: Progress, rules = DEFAULTS): Promise<Outcome> {
  const { interval, timeout, lateness } = rules
  const env = {
    CHARTROOM_HEARTBEAT_INTERVAL: `${interval}`,
    CHARTROOM_HEARTBEAT_TIMEOUT: `${timeout}`,
    CHARTROOM_LOG_LEVEL: 'debug',
  }
  const server = await new ServerProcess({ env }).start()
  const crowd = new Crowd(size)
  try {
    await crowd.open(server.url, () => {})
    // Their pings fall at different moments of an interval from now on, as those of any crowd do.
    const stopped = Date.now()
    crowd.stop()
    const bound = interval * MAX_MISSED + timeout
    const given = await givenUp(server, size, stopped + bound + 10 * lateness, progress)
    const took = given.map((time) => time - stopped)
    return verdict(size, took, bound, rules)
  } finally {
    crowd.end()
    await server.dispose()
  }
}

/** The instants at which the server gave peers up, in its own words; waits for all, until `deadline`. */
async function givenUp(server: ServerProcess, size: number, deadline: number, progress: Progress): Promise<number[]> {
  for (;;) {
    const lines = server.stderr.split('\n').filter((line) => line.includes('"to":"closed"'))
    progress(lines.length, size)
    if (lines.length >= size || Date.now() > deadline) return lines.map((line) => lossOf(line))
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** @throws where the connection ended for another reason. */
function lossOf(line: string): number {
  const { cause, time } = JSON.parse(line.replace(/"time":"[^"]*",?/, ''))
  if (String(cause) !== '4208') throw new Error(`a silent peer was closed for another reason: ${line}`)
  return time
}

function verdict(size: number, took: number[], bound: number, { interval, lateness }: Rules): Outcome {
  const violations: string[] = []
  if (took.length < size) violations.push(`${size - took.length} of ${size} are not gone`)
  const late = took.filter((ms) => ms > bound + lateness)
  if (late.length > 0)
    violations.push(`${late.length} were gone only after ${Math.max(...late)} ms, allowed are ${bound}`)
  const early = took.filter((ms) => ms < bound - interval - lateness)
  if (early.length > 0)
    violations.push(`${early.length} were given up before their time, after ${Math.min(...early)} ms`)
  return {
    figures: {
      'interval × maxMissed + timeout': `${bound} ms`,
      'gone after the stop: first / median / last': spread(took),
      'of these, p99': `${quantile(took, 0.99)} ms`,
      'gone in time': `${took.length - late.length} of ${size}`,
    },
    violations,
  }
}
