/** The README's own words, run: its conversation frame for frame, its machine as a room. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import WebSocket from 'ws'
import { asWritten, blocks } from './fixtures/as-written.ts'
import { ROOT, type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')

/** One terminal: what wscat shows, line by line. */
class Terminal {
  readonly #lines: string[] = []
  readonly #socket: WebSocket

  constructor(server: ServerProcess, token: string) {
    this.#socket = new WebSocket(server.url, { headers: { authorization: `Bearer ${token}` } })
    this.#socket.on('message', (data) => this.#lines.push(String(data)))
    this.#socket.on('error', () => {})
  }

  type(line: string): void {
    this.#socket.send(line)
  }

  async read(): Promise<Frame> {
    while (this.#lines.length === 0) await once(this.#socket, 'message', { signal: AbortSignal.timeout(5000) })
    return JSON.parse(this.#lines.shift() as string)
  }
}

t.test('L2 S3 the conversation of the README, as it stands there', async (t) => {
  const server = await startServer(t)
  const terminals = new Map<string, Terminal>()
  let epoch = ''
  let current: Terminal | undefined
  const act = async (line: string): Promise<void> => {
    const rest = line.slice(2)
    if (line.startsWith('# kill -9')) {
      await server.crashAndRestart()
      terminals.clear()
    } else if (line.startsWith('# ')) {
      current = terminals.get(rest) ?? new Terminal(server, await tokenFor(rest))
      terminals.set(rest, current)
    } else if (line.startsWith('> ')) {
      current?.type(rest.replace(/"epoch":"\w+"/, `"epoch":"${epoch}"`))
    } else {
      const got = (await current?.read()) as Frame
      if (got.epoch) epoch = got.epoch
      const written = JSON.parse(rest)
      t.same(asWritten(got, written), written, line.slice(0, 60))
    }
  }
  const lines = blocks(readme, 'wscat').flatMap((block) => block.split('\n').filter(Boolean))
  assert(lines.length > 25, 'the README has its conversation')
  for (const line of lines) await act(line)
})

t.test('the machine of the README is a room', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-machines-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'light.ts'), blocks(readme, 'ts')[0] as string)
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: folder } })
  const ann = await Tab.open(server, 'ann')
  await ann.join('light/kitchen')
  for (const value of ['on', 'off', 'on']) {
    await ann.ask({ type: 'send', room: 'light/kitchen', event: { type: 'flip' } })
    t.equal(ann.state('light/kitchen').value, value)
  }
  t.same(ann.state('light/kitchen').context, { flips: 2 })
})

t.test('the command of the README makes a token that gets in, with the secret that the server made', async (t) => {
  const server = await startServer(t, { ownKey: true })
  const token = execFileSync('npx', ['--no-install', 'chartroom', 'token', 'ann'], {
    cwd: ROOT,
    env: { ...process.env, CHARTROOM_DATA: server.data },
    encoding: 'utf8',
  }).trim()
  const tab = await Tab.open(server, 'ann', { token })
  t.equal(tab.frames[0]?.user, 'ann')
  const printed = /Bearer ([\w.-]+)"/.exec(server.stdout)?.[1] as string
  t.equal((await Tab.open(server, 'ann', { token: printed })).frames[0]?.user, 'ann', 'and so does the one it printed')
})
