/** docs/operations.md, run: every command on it, in its order, against a server; and the figures that it names. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { optionTable } from '../src/config.ts'
import { blocks } from './fixtures/as-written.ts'
import { CertificateFolder } from './fixtures/certificate.ts'
import { ROOT, SECRET, type ServerProcess, startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

const page = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8')

/** What systemd does with the unit, done to the server of the test. */
const UNIT: Record<string, (server: ServerProcess) => Promise<unknown>> = {
  stop: async (server) => assert.equal(await server.end('SIGTERM'), 0),
  start: (server) => server.start(),
  restart: async (server) => {
    assert.equal(await server.end('SIGTERM'), 0)
    server.stdout = ''
    await server.start()
  },
  reload: async (server) => {
    server.stderr = ''
    process.kill(server.pid, 'SIGHUP')
    await server.said(/a certificate is shown/)
  },
}

/** Runs lines one after the other as one shell would, what they export included. @returns what each printed */
class Shell {
  readonly #places: readonly (readonly [string, string])[]
  readonly #folder: string
  #exports: string[] = []

  constructor(t: Test, server: ServerProcess, connection: string) {
    this.#folder = mkdtempSync(join(tmpdir(), 'chartroom-operations-'))
    t.teardown(() => rmSync(this.#folder, { recursive: true, force: true }))
    const env = join(this.#folder, 'chartroom.env')
    const options = { CHARTROOM_DATA: server.data, CHARTROOM_PORT: server.port, CHARTROOM_JWT_SECRET: `'${SECRET}'` }
    writeFileSync(
      env,
      Object.entries(options)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    )
    this.#places = [
      ['/etc/chartroom.env', env],
      ['/var/backups', this.#folder],
      // The same command as npx would run, and sooner.
      ['npx chartroom', 'node bin/chartroom.js'],
      ['127.0.0.1:8080', `127.0.0.1:${server.port}`],
      ['c_mJ9a4wU8eF2x', connection],
    ]
  }

  async run(line: string): Promise<string> {
    const here = this.#places.reduce((text, [from, to]) => text.replaceAll(from, to), line)
    const script = [...this.#exports, here].join('\n')
    const { stdout } = await promisify(execFile)('bash', ['-euc', script], { cwd: ROOT })
    if (/^(set|export) /.test(here)) this.#exports.push(here)
    return stdout
  }
}

/** What a line prints, by how it begins. The others have only to end with 0. */
const PRINTED: readonly (readonly [begins: string, prints: RegExp])[] = [
  ['curl -s http://127.0.0.1:8080/health', /^\{"status":"alive"\}$/],
  ['curl -s --retry 10 --retry-connrefused http://127.0.0.1:8080/ready', /^\{"status":"ready"\}$/],
  ['curl -s http://127.0.0.1:8080/ready', /^\{"status":"ready"\}$/],
  ['npx chartroom explain', /user ann, from 127\.0\.0\.1\n.*connecting/],
  ['npx chartroom log cat', /"room.created"/],
  ['npx chartroom log backup', /read again and verified/],
  ['npx chartroom log verify', /everything is sound/],
  ['npx chartroom log ls', /^chat\/lobby +1 to \d/m],
  ['npx chartroom log restore', /what was there is now .*log\.mdb\.replaced-/],
  ['npx chartroom check --deploy', /./],
  ['npx chartroom start --print-config', /"jwtSecret": "\(hidden\)"/],
]

/** What the answer to a request with a token says, by its path. */
const ANSWERED: readonly (readonly [part: string, answers: RegExp])[] = [
  ['/dead-letters', /"type":"dead-letters"/],
  ['/revive', /"type":"ok".*"revived":false/],
  ['/connections', /"type":"ok","connections":\d/],
  ['/tokens/', /"type":"ok","connections":0/],
]

t.test('every command of the page, in its order', async (t) => {
  t.setTimeout(120_000)
  const server = await startServer(t)
  const ann = await Tab.open(server, 'ann')
  await ann.join('chat/lobby')
  const shell = new Shell(t, server, ann.frames[0]?.connection)
  const lines = blocks(page, 'sh').flatMap((block) => block.split('\n').filter(Boolean))
  assert(lines.length > 20, 'the page has its commands')
  for (const line of lines) {
    const [, verb] = /^systemctl (\w+) chartroom$/.exec(line) ?? []
    if (verb === 'reload') continue
    if (verb !== undefined) {
      await UNIT[verb]?.(server)
      t.pass(line)
      continue
    }
    const printed = await shell.run(line)
    const expected = line.startsWith('curl -s -H')
      ? ANSWERED.find(([part]) => line.includes(part))?.[1]
      : PRINTED.find(([begins]) => line.startsWith(begins))?.[1]
    t.match(printed, expected ?? /^/, line)
  }
  t.equal((await fetch(`${server.origin}/ready`)).status, 200, 'and it serves as before')
})

t.test('the reload of the page, where the server speaks TLS', async (t) => {
  t.match(blocks(page, 'sh').join(''), /^systemctl reload chartroom$/m)
  const files = new CertificateFolder(t)
  files.make()
  const server = await startServer(t, { env: files.env })
  const ca = files.make()
  await UNIT.reload?.(server)
  await Tab.open(server, 'ann', { ca })
})

t.test('every figure and option that the page names exists', async (t) => {
  const server = await startServer(t)
  const shown = await (await fetch(`${server.origin}/metrics`)).text()
  const table = page.slice(page.indexOf('| figure ('), page.indexOf('`deploy/alerts.yml` has rules'))
  const rows = [...table.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, names]) => [
    ...(names as string).matchAll(/`(\w+)/g),
  ])
  assert(rows.length > 15, 'the page has its figures')
  for (const [, name] of rows) t.match(shown, new RegExp(`^# TYPE chartroom_${name} `, 'm'), `${name}`)
  const variables = optionTable.map(({ variable }) => variable)
  for (const [name] of page.matchAll(/CHARTROOM_\w+/g)) t.ok(variables.includes(name), name)
})

t.test('the sizes of the page were measured', (t) => {
  const measured = readFileSync(join(ROOT, 'bench/results/report.md'), 'utf8')
  const table = page.slice(page.indexOf('| what | costs |'), page.indexOf('One process serves one log'))
  const figures = [...table.matchAll(/\b(\d+ k|\d{4}|\d\.\d\d KB)\b/g)]
  assert(figures.length >= 8, 'the page has its sizes')
  for (const [figure] of figures) t.match(measured, figure)
  t.end()
})

t.test('the time-outs of the page are those of the options', (t) => {
  const fallback = (name: string): number => Number(optionTable.find((option) => option.name === name)?.fallback)
  const silence = fallback('heartbeatInterval') * fallback('heartbeatMaxMissed') + fallback('heartbeatTimeout')
  t.match(page, `heartbeatMaxMissed + heartbeatTimeout\` (${silence / 1000} s)`)
  const nginx = readFileSync(join(ROOT, 'deploy/nginx.conf'), 'utf8')
  for (const [, seconds] of nginx.matchAll(/_timeout (\d+)s;/g)) t.ok(Number(seconds) * 1000 > silence)
  for (const name of ['drainTimeout', 'inspectionBudget', 'maxConnections', 'maxResidentRooms'])
    t.match(page, `\`${name}\``)
  t.end()
})
