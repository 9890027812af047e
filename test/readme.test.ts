/** The README's own words, run: its conversation frame for frame, with its machine; its figures held against their sources. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import WebSocket from 'ws'
import { asWritten, blocks, machineFolder } from './fixtures/as-written.ts'
import { ROOT, type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')
const readme = read('README.md')
const lamp = blocks(readme, 'ts')[0] as string

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

t.test('L2 S3 S6 the conversation of the README, as it stands there', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: machineFolder(t, { lamp }) } })
  const terminals = new Map<string, Terminal>()
  let epoch = ''
  let current: Terminal | undefined
  const open = async (user: string): Promise<Terminal> => {
    const terminal = new Terminal(server, await tokenFor(user))
    const got = await terminal.read()
    t.same(asWritten(got, { ...welcome, user }), { ...welcome, user }, `${user} is welcome`)
    return terminal
  }
  const act = async (line: string): Promise<void> => {
    const rest = line.slice(2)
    if (line.startsWith('# kill -9')) {
      await server.crashAndRestart()
      terminals.clear()
    } else if (line.startsWith('# ')) {
      current = terminals.get(rest) ?? (await open(rest))
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
  assert(lines.length > 15, 'the README has its conversation')
  // Each connection begins with one; the first is shown.
  const [shown] = lines.filter((line) => line.startsWith('< {"type":"welcome"'))
  const welcome: Frame = JSON.parse((shown as string).slice(2))
  for (const line of lines.filter((line) => line !== shown)) await act(line)
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

/** The cells of each row of a table, from the heading above it to the next. */
function rowsUnder(heading: string): string[][] {
  const [, section] = readme.split(`\n## ${heading}\n`)
  assert(section, heading)
  const lines = (section.split('\n## ')[0] as string).split('\n').filter((line) => line.startsWith('| '))
  return lines.slice(2).map((line) => line.split(/ ?\| ?/).slice(1, -1))
}

t.test('what the README says was measured stands in its sources', (t) => {
  const reliability = read('docs/RELIABILITY.md')
  const promises = rowsUnder('What is promised')
  assert(promises.length >= 10, 'the README has its promises')
  for (const [rules = '', , measured = ''] of promises) {
    for (const rule of rules.split(', ')) t.match(read('docs/protocol.md'), `- **${rule}** `, rule)
    for (const [figure] of measured.matchAll(/\d[\d,.]*\d/g)) t.match(reliability, figure, `${rules}: ${figure}`)
  }
  const report = read('bench/results/report.md')
  const goals = report
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split(/ ?\| ?/).slice(1, -1))
  const judged = goals.filter(([, , , met = '']) => /^(yes|\*\*no\*\*)$/.test(met))
  const missed = judged.filter(([, , , met]) => met !== 'yes')
  t.match(readme, new RegExp(`\\s${missed.length} of ${judged.length} goals\\sare missed`))
  const costs = rowsUnder('What it costs')
  assert(costs.length >= 7, 'the README has its figures')
  for (const [what = '', figure, bound, met] of costs) {
    for (const [other] of what.matchAll(/\d+\.\d+/g)) t.match(report, ` ${other} `, `${what}: ${other}`)
    t.ok(
      judged.some(([, measured, ...rest]) => measured?.startsWith(`${figure} (`) && `${rest}` === `${[bound, met]}`),
      `${what}: ${figure}`,
    )
  }
  t.end()
})
