/** The process of the flooders: each connects, and writes as fast as its socket takes it, until it is thrown out. */
import { frame, TEXT } from '../fixtures/raw.ts'
import { answerRequests } from './clients.ts'
import { Peer } from './peer.ts'

/** Bytes that are written at once. */
const CHUNK = 256 * 1024

const chunkOf = (text: string): Buffer => {
  const one = frame(TEXT, text)
  return Buffer.concat(Array.from({ length: Math.ceil(CHUNK / one.length) }, () => one))
}

/** Many small frames; few that are as large as they may be and as dear to read as JSON can be; events for a room. */
const CHUNKS = [
  chunkOf('{"type":"ping","id":1}'),
  chunkOf(`{"type":"ping","id":1,"data":[${'[0],'.repeat(16_000)}0]}`),
  chunkOf('{"type":"send","id":1,"room":"counter/flooded","event":{"type":"increment"}}'),
]

let arrived = 0

answerRequests({
  /** @returns how many milliseconds each could write before its socket was closed. */
  flood: async ({ url, count, every }: { url: string; count: number; every: number }) => {
    const outs: Promise<number>[] = []
    for (let i = 0; i < count; i++) {
      outs.push(flood(url, arrived++))
      await new Promise((resolve) => setTimeout(resolve, every))
    }
    return Promise.all(outs)
  },
})

async function flood(url: string, i: number): Promise<number> {
  const peer = await Peer.open(url, `flooder${i}`)
  const chunk = CHUNKS[i % CHUNKS.length] as Buffer
  const began = performance.now()
  const write = (): void => {
    if (peer.closed !== undefined || !peer.tcp.writable) return
    if (peer.tcp.write(chunk)) setImmediate(write)
    else peer.tcp.once('drain', write)
  }
  write()
  await peer.gone
  return performance.now() - began
}
