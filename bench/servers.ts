/**
 * The servers that are measured, each a process of its own on the first core, started as its users start it.
 *
 * Chartroom runs as `npm start` runs it, in production, its log on the disk of the temporary folder. Always true: what a
 * server used is asked of the server itself, all of its threads together.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../src/testing/free-port.ts'
import type { DialectName } from './dialects.ts'
import { Asked } from './process.ts'
import type { TokenKey } from './tokens.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PROBE = fileURLToPath(new URL('./probe.mjs', import.meta.url))
/** As in the start script of the product; the others run as their own documents start them, by `node server.mjs`. */
const FLAGS = ['--max-semi-space-size=64']
const SECRET = 'the secret of the benchmark, which is longer than 32 bytes'

/** What a process has used so far, and holds. */
export interface Usage {
  /** Microseconds of CPU, of all threads. */
  readonly cpu: number
  /** Milliseconds of the machine's monotonic clock. */
  readonly at: number
  /** Bytes. */
  readonly rss: number
  readonly heap: number
}

export interface Server {
  readonly name: string
  readonly dialect: DialectName
  readonly port: number
  readonly key?: TokenKey
  usage(): Promise<Usage>
  /** As `usage`, when the garbage is collected. */
  rest(): Promise<Usage>
  startProfile(): Promise<void>
  writeProfile(file: string): Promise<void>
  end(): Promise<void>
}

export type PeerMode = 'echo' | 'fanout'
export type Start = () => Promise<Server>

interface Description {
  readonly name: string
  readonly dialect: DialectName
  readonly key?: TokenKey
  readonly dispose?: () => void
}

const controls = (asked: Asked, port: number, { dispose, ...description }: Description): Server => ({
  ...description,
  port,
  usage: () => asked.ask('usage'),
  rest: () => asked.ask('rest'),
  startProfile: () => asked.ask('profile'),
  writeProfile: (file) => asked.ask('profiled', { file }),
  end: async () => {
    await asked.end()
    dispose?.()
  },
})

export interface ChartroomOptions {
  readonly env?: Record<string, string>
  /** Tokens are signed by this key, and it knows the public one. */
  readonly es256?: { readonly publicKey: string; readonly privateKey: string }
  readonly machines?: string
}

export const chartroom =
  ({ env = {}, es256, machines = './machines/rooms' }: ChartroomOptions = {}): Start =>
  async () => {
    const port = await freePort()
    const data = mkdtempSync(join(tmpdir(), 'chartroom-bench-'))
    const key: Record<string, string> = es256
      ? { CHARTROOM_JWT_PUBLIC_KEY: es256.publicKey }
      : { CHARTROOM_JWT_SECRET: SECRET }
    const settings = { NODE_ENV: 'production', CHARTROOM_DATA: data, CHARTROOM_MACHINES: machines, ...key, ...env }
    const args = [...FLAGS, '--import', PROBE, '--import', 'tsx', 'src/main.ts', 'start', '--port', String(port)]
    const asked = await Asked.start({ args, cwd: ROOT, env: settings, core: 0, ready: 'Machines' })
    return controls(asked, port, {
      name: 'Chartroom',
      dialect: 'chartroom',
      key: es256 ? { alg: 'ES256', key: es256.privateKey } : { alg: 'HS256', key: SECRET },
      dispose: () => rmSync(data, { recursive: true, force: true }),
    })
  }

const peer =
  (folder: string, description: Description, ...more: string[]) =>
  (mode: PeerMode = 'echo'): Start =>
  async () => {
    const port = await freePort()
    const cwd = join(ROOT, 'bench/peers', folder)
    const args = ['--import', PROBE, 'server.mjs', String(port), mode, ...more]
    const env = { NODE_ENV: 'production' }
    return controls(await Asked.start({ args, cwd, env, core: 0, ready: 'listening' }), port, description)
  }

export const peers = {
  uws: peer('uws', { name: 'raw uWebSockets.js', dialect: 'raw' }),
  ws: peer('ws', { name: 'ws', dialect: 'raw' }),
  socketio: peer('socketio', { name: 'Socket.IO', dialect: 'socketio' }, 'http'),
  socketioUws: peer('socketio', { name: 'Socket.IO on uWS', dialect: 'socketio' }, 'uws'),
  colyseus: peer('colyseus', { name: 'Colyseus', dialect: 'colyseus' }),
}

/** What a durable write costs without a server around it, in milliseconds. */
export async function bareCommits(times: number): Promise<{ p50: number; p99: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-bench-'))
  const asked = await Asked.start({ args: ['--import', 'tsx', 'bench/bare-commit.ts', folder], cwd: ROOT, core: 0 })
  try {
    return await asked.ask('commits', { times })
  } finally {
    await asked.end()
    rmSync(folder, { recursive: true, force: true })
  }
}
