/** What one durable write of LMDB costs by itself: one record a commit, one commit after the other. */
import { performance } from 'node:perf_hooks'
import { open } from 'lmdb'

/** As many bytes as a small record of a room has. */
const RECORD = Buffer.alloc(200, 'x')
const WARM_UP = 20

const db = open({ path: `${process.argv[2]}/log.mdb`, noSubdir: true, encoding: 'binary' })
let key = 0

async function commits(times: number): Promise<{ p50: number; p99: number }> {
  const found: number[] = []
  for (let n = -WARM_UP; n < times; n++) {
    const began = performance.now()
    await db.put(key++, RECORD)
    if (n >= 0) found.push(performance.now() - began)
  }
  found.sort((a, b) => a - b)
  const at = (p: number): number => found[Math.ceil(p * found.length) - 1] as number
  return { p50: at(0.5), p99: at(0.99) }
}

process.on('message', async ({ id, given }: { id: number; given: { times: number } }) => {
  process.send?.({ id, answer: await commits(given.times) })
})
process.on('disconnect', () => process.exit(0))
