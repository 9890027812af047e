/** What a connection costs that is authenticated and does nothing: a user, a session and an actor each. */
import { atRest } from '../fixtures/remains.ts'
import { ServerProcess } from '../fixtures/server.ts'
import { Crowd } from './crowd.ts'
import { median } from './figures.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

const PROBES = 3
/** Bytes of heap. */
const MOST = 8192
/** Code, and what the server keeps of the newest connections, are there then. */
const WARM_UP = 1000

export const torture: Torture = { size: 10_000, unit: 'connections', run: (size, progress) => run(size, progress) }

/** @param most bytes of heap that each may take. @param warmUp connections before the baseline is taken. */
export async function run(size: number, progress: Progress, most = MOST, warmUp = WARM_UP): Promise<Outcome> {
  const server = await new ServerProcess({ env: { CHARTROOM_SESSION_LINGER: '0' }, probed: true }).start()
  const crowd = new Crowd(size)
  try {
    await openAndEnd(server, warmUp)
    const before = await measure(server)
    await crowd.open(server.url, progress)
    const open = await server.metric('chartroom_connections{state="open"}')
    const after = await measure(server)
    const heap = Math.round((after.heap - before.heap) / size)
    const rss = Math.round((after.rss - before.rss) / size)
    const violations = heap > most ? [`${heap} bytes of heap each, allowed are ${most}`] : []
    if (open !== size) violations.push(`${open} are open of ${size}`)
    return {
      figures: {
        'open connections': open,
        'heap each, bytes': heap,
        'resident memory each, bytes': rss,
        'heap before / after, MB': `${megabytes(before.heap)} / ${megabytes(after.heap)}`,
        'resident memory before / after, MB': `${megabytes(before.rss)} / ${megabytes(after.rss)}`,
      },
      violations,
    }
  } finally {
    crowd.end()
    await server.dispose()
  }
}

async function openAndEnd(server: ServerProcess, size: number): Promise<void> {
  const crowd = new Crowd(size)
  await crowd.open(server.url, () => {})
  crowd.end()
  await atRest(server)
}

/**
 * The heap is the median of a few collections. The resident memory is that of the first probe, since a heap snapshot,
 * which a probe takes, needs memory itself.
 */
async function measure(server: ServerProcess): Promise<{ heap: number; rss: number }> {
  const { rss, heap } = await server.probe()
  const heaps = [heap]
  while (heaps.length < PROBES) heaps.push((await server.probe()).heap)
  return { heap: median(heaps), rss }
}

const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
