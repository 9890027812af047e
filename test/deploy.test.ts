/**
 * What `deploy/` and the Dockerfile say, held against the server. Where nginx, Caddy, promtool or systemd is installed,
 * each reads its own file, and the proxies pass WebSockets on; there is no Docker here, so the image's steps are taken
 * one by one.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { optionTable } from '../src/config.ts'
import { closeCodes, type ErrorCode, httpStatus } from '../src/errors.ts'
import { freePort } from '../src/testing/free-port.ts'
import { CertificateFolder } from './fixtures/certificate.ts'
import { ROOT, SECRET, type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { Tab } from './fixtures/tab.ts'

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

/** Where a program is, or why a test that needs it is skipped. */
const programs = (name: string): { path: string; skip: string | false } => {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin']
  const path = folders.map((folder) => join(folder, name)).find(existsSync)
  return { path: path ?? name, skip: path ? false : `${name} is not installed` }
}

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-deploy-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  return folder
}

/** `text` with what belongs to a place put in. Each must be there. */
const fitted = (text: string, changes: Record<string, string>): string =>
  Object.entries(changes).reduce((fitting, [from, to]) => {
    assert(fitting.includes(from), `${from} stands there`)
    return fitting.replaceAll(from, to)
  }, text)

// The image.

interface Instruction {
  readonly word: string
  readonly rest: string
}

const instructions: Instruction[] = read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replaceAll('\\\n', '')
  .split('\n')
  .filter(Boolean)
  .map((line) => ({ word: line.split(' ')[0] as string, rest: line.slice(line.indexOf(' ') + 1) }))

const all = (word: string): string[] =>
  instructions.filter((instruction) => instruction.word === word).map(({ rest }) => rest)

/** The words of an instruction in its JSON form. */
const wordsOf = (rest: string): string[] => JSON.parse(rest.slice(rest.indexOf('[')))

t.test('DEPLOY-1 pruning leaves the one binary of uWebSockets.js that is loaded', (t) => {
  const folder = temporaryFolder(t)
  const own = join(ROOT, 'node_modules/uWebSockets.js')
  const pruned = join(folder, 'node_modules/uWebSockets.js')
  mkdirSync(pruned, { recursive: true })
  const binary = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`
  for (const name of readdirSync(own).filter((name) => name.endsWith('.node'))) writeFileSync(join(pruned, name), '')
  for (const name of ['uws.js', 'package.json', binary]) copyFileSync(join(own, name), join(pruned, name))
  const [prune] = all('RUN').filter((command) => command.includes('uWebSockets.js'))
  execFileSync('sh', ['-ec', prune as string], { cwd: folder })
  t.same(
    readdirSync(pruned).filter((name) => name.endsWith('.node')),
    [binary],
  )
  rmSync(join(pruned, binary))
  t.throws(() => execFileSync('sh', ['-ec', prune as string], { cwd: folder, stdio: 'ignore' }), 'or the build ends')
  t.end()
})

t.test(
  'DEPLOY-2 what the image holds is enough to run, as a user without rights, and its health check tells',
  async (t) => {
    const app = temporaryFolder(t)
    const ignored = read('.dockerignore').split('\n')
    for (const copied of all('COPY').filter((rest) => !rest.startsWith('--from'))) {
      const names = copied.split(' ')
      const to = names.pop() as string
      for (const name of names) {
        t.ok(ignored.includes(`!${name}`), `${name} is let through by .dockerignore`)
        if (name !== '.npmrc') cpSync(join(ROOT, name), join(app, names.length > 1 ? name : to), { recursive: true })
      }
    }
    symlinkSync(join(ROOT, 'node_modules'), join(app, 'node_modules'))
    const data = join(app, 'data')
    mkdirSync(data)
    const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
    if (user.uid) chownSync(data, user.uid, user.gid)
    const port = String(await freePort())
    const inImage = Object.fromEntries((all('ENV')[0] as string).split(' ').map((pair) => pair.split('=')))
    t.match(inImage, { NODE_ENV: 'production', CHARTROOM_HOST: '0.0.0.0', CHARTROOM_DATA: '/data' })
    const env = {
      ...inImage,
      PATH: process.env.PATH,
      CHARTROOM_DATA: data,
      CHARTROOM_PORT: port,
      CHARTROOM_JWT_SECRET: SECRET,
    }
    const run = (words: string[]) => spawn(words[0] as string, words.slice(1), { cwd: app, env, ...user })
    const health = async (): Promise<number> => (await once(run(wordsOf(all('HEALTHCHECK')[0] as string)), 'exit'))[0]

    t.equal(await health(), 1, 'before it runs')
    const server = run(wordsOf(all('CMD')[0] as string))
    t.teardown(() => server.kill('SIGKILL'))
    await once(server.stdout, 'data')
    t.equal(await health(), 0, 'while it runs')
    server.kill('SIGTERM')
    t.same(await once(server, 'exit'), [0, null], 'a stop is clean')
    t.same(all('USER'), ['node'])
  },
)

t.test('DEPLOY-3 the health check asks a server that speaks TLS', async (t) => {
  const files = new CertificateFolder(t)
  files.make()
  const server = await startServer(t, { env: files.env })
  const ask = (env: Record<string, string>, ...args: string[]) =>
    spawnSync(process.execPath, ['deploy/health.js', ...args], {
      cwd: ROOT,
      env: { ...process.env, CHARTROOM_PORT: `${server.port}`, ...env },
    }).status
  t.equal(ask(files.env), 0)
  t.equal(ask(files.env, '/ready'), 0)
  t.equal(ask(files.env, '/nowhere'), 1, 'another answer than 200')
  t.equal(ask({}), 1, 'without TLS nobody answers')
})

// systemd.

const systemd = programs('systemd-analyze')

t.test('DEPLOY-4 the unit sets options that exist, and leaves time to drain', (t) => {
  const unit = read('deploy/chartroom.service')
  const variables = optionTable.map(({ variable }) => variable)
  for (const [name] of unit.matchAll(/CHARTROOM_\w+/g)) t.ok(variables.includes(name), name)
  const [, command = ''] = /^ExecStart=\/usr\/bin\/(.*)$/m.exec(unit) ?? []
  t.equal(command, wordsOf(all('CMD')[0] as string).join(' '), 'the same command as in the image')
  const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(unit) ?? []
  t.ok(Number(seconds) * 1000 > Number(optionTable.find(({ name }) => name === 'drainTimeout')?.fallback))
  t.end()
})

t.test('DEPLOY-5 systemd understands the unit', { skip: systemd.skip }, (t) => {
  const unit = join(temporaryFolder(t), 'chartroom.service')
  writeFileSync(unit, fitted(read('deploy/chartroom.service'), { '/usr/bin/node': process.execPath }))
  const { status, stderr } = spawnSync(systemd.path, ['verify', unit], { encoding: 'utf8' })
  t.same({ status, stderr }, { status: 0, stderr: '' })
  t.end()
})

// Prometheus.

const promtool = programs('promtool')

t.test('DEPLOY-6 every figure that an alert looks at is there', async (t) => {
  const server = await startServer(t)
  const tab = await Tab.open(server, 'ann')
  await tab.ask({ type: 'nonsense' })
  const shown = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()
  const names = new Set([...read('deploy/alerts.yml').matchAll(/chartroom_\w+/g)].map(([name]) => name))
  t.ok(names.size >= 12)
  for (const name of names) t.match(shown, new RegExp(`^# TYPE ${name} `, 'm'), name)
  t.match(shown, /^chartroom_ready 1$/m)
  t.match(shown, /^chartroom_certificate_expires_seconds Nan$/m, 'no TLS, no end')
  const alerts = read('deploy/alerts.yml')
  for (const [, code] of alerts.matchAll(/closes_total\{code="(\d+)"/g)) {
    t.ok(Object.values<number>(closeCodes).includes(Number(code)), `a connection may close with ${code}`)
  }
  for (const [, code] of alerts.matchAll(/errors_total\{code="(\w+)"/g)) {
    t.ok(httpStatus(code as ErrorCode), `${code} is an error`)
  }
  if (!promtool.skip) execFileSync(promtool.path, ['check', 'rules', join(ROOT, 'deploy/alerts.yml')])
})

// Proxies.

interface Proxy {
  readonly port: number
  /** What is trusted, where TLS is spoken to the proxy. */
  readonly ca: string | undefined
}

type StartProxy = (t: Test, server: ServerProcess, timeout: string) => Promise<Proxy>

/** A proxy does not say when it listens: it is asked until it does. */
async function startProxy(t: Test, command: string, args: string[], port: number, folder: string): Promise<void> {
  const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  const child = spawn(command, args, { env })
  let stderr = ''
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  t.teardown(() => child.kill('SIGTERM'))
  while (!(await listens(port))) {
    assert(child.exitCode === null, stderr)
    await setTimeout(20)
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    }).on('error', () => resolve(false))
  })
}

const nginx = programs('nginx')

const startNginx: StartProxy = async (t, server, timeout) => {
  const folder = temporaryFolder(t)
  const files = new CertificateFolder(t)
  const ca = files.make()
  const port = await freePort()
  const site = fitted(read('deploy/nginx.conf'), {
    'listen 443 ssl;': `listen 127.0.0.1:${port} ssl;`,
    '/etc/ssl/chat.example.com/fullchain.pem': files.cert,
    '/etc/ssl/chat.example.com/privkey.pem': files.key,
    '127.0.0.1:8080': `127.0.0.1:${server.port}`,
    '75s;': `${timeout};`,
  })
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  const main = `daemon off; pid ${folder}/pid; error_log ${folder}/error.log;
events {}
http { access_log off; ${paths.join(' ')}
${site} }`
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, main)
  const { status, stderr } = spawnSync(nginx.path, ['-t', '-c', file, '-p', folder], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  await startProxy(t, nginx.path, ['-c', file, '-p', folder], port, folder)
  return { port, ca }
}

const caddy = programs('caddy')

const startCaddy: StartProxy = async (t, server) => {
  const folder = temporaryFolder(t)
  const port = await freePort()
  const site = fitted(read('deploy/Caddyfile'), {
    'chat.example.com {': `{\n\tadmin off\n}\nhttp://127.0.0.1:${port} {`,
    '127.0.0.1:8080': `127.0.0.1:${server.port}`,
  })
  const file = join(folder, 'Caddyfile')
  writeFileSync(file, site)
  await startProxy(t, caddy.path, ['run', '--config', file, '--adapter', 'caddyfile'], port, folder)
  return { port, ca: undefined }
}

const PROXIES: readonly [name: string, start: StartProxy, skip: string | false][] = [
  ['nginx', startNginx, nginx.skip],
  ['Caddy', startCaddy, caddy.skip],
]

const HEARTBEAT = { CHARTROOM_HEARTBEAT_INTERVAL: '300', CHARTROOM_HEARTBEAT_TIMEOUT: '300' }

for (const [name, start, skip] of PROXIES) {
  t.test(`DEPLOY-7 H1 ${name} passes WebSockets on, and a heartbeat keeps a silent one open`, { skip }, async (t) => {
    const server = await startServer(t, { env: { ...HEARTBEAT, CHARTROOM_HEARTBEAT_MAX_MISSED: '1' } })
    const proxy = await start(t, server, '1s')
    const scheme = proxy.ca ? 'wss' : 'ws'
    const open = async (user: string) => {
      const authorization = `Bearer ${await tokenFor(user)}`
      const origin = `${scheme.replace('ws', 'http')}://127.0.0.1:${proxy.port}`
      const headers = { authorization, 'x-forwarded-for': '203.0.113.7' }
      const socket = new WebSocket(`${scheme}://127.0.0.1:${proxy.port}/ws`, ['chartroom.v1'], {
        headers,
        origin,
        ...(proxy.ca && { ca: proxy.ca }),
      })
      const tab = new Tab(socket)
      await tab.next('welcome')
      return tab
    }
    const ann = await open('ann')
    const bob = await open('bob')
    for (const tab of [ann, bob]) await tab.join('chat/lobby')
    const { seq } = await bob.post('hello')
    await ann.reaches('chat/lobby', seq)
    t.match(ann.state('chat/lobby').context.messages, [{ from: 'bob', text: 'hello' }])
    for (let pings = 0; pings < 6; pings++) await once(ann.socket, 'ping')
    t.equal(ann.closed, undefined, 'longer than the proxy waits')
    t.equal((await ann.ask({ type: 'ping' })).type, 'pong')

    ann.socket.close(1000)
    await ann.close()
    const ended = server.end('SIGTERM')
    t.same(await bob.close(), { code: 1001, reason: 'going_away' }, 'a close code comes through')
    t.equal(await ended, 0)
  })

  t.test(`DEPLOY-8 ${name} keeps the metrics and the server API to itself`, { skip }, async (t) => {
    const server = await startServer(t)
    const { port, ca } = await start(t, server, '5s')
    const ask = (path: string): string => {
      const trust = ca ? ['--insecure'] : []
      const url = `http${ca ? 's' : ''}://127.0.0.1:${port}${path}`
      return execFileSync('curl', ['-s', '-D', '-', '-o', '/dev/null', ...trust, url], { encoding: 'utf8' })
    }
    for (const path of ['/metrics', '/v1/rooms/counter/a']) t.match(ask(path), /^HTTP\/[\d.]+ 403/, path)
    for (const path of ['/', '/health', '/ready']) t.match(ask(path), /^HTTP\/[\d.]+ 200/, path)
    t.match(ask('/'), /^strict-transport-security: max-age=63072000\r$/im)
    t.match(ask('/ws'), /^HTTP\/[\d.]+ 426/)
  })

  t.test(`DEPLOY-11 ${name} names the client’s address, and trustProxy believes it`, { skip }, async (t) => {
    const env = { CHARTROOM_TRUST_PROXY: '1', CHARTROOM_MAX_CONNECTIONS_PER_ADDRESS: '1' }
    const server = await startServer(t, { env })
    const { port, ca } = await start(t, server, '5s')
    const headers = { authorization: `Bearer ${await tokenFor('ann')}`, 'x-forwarded-for': '203.0.113.7' }
    const dial = (localAddress: string): Tab =>
      new Tab(new WebSocket(`ws${ca ? 's' : ''}://127.0.0.1:${port}/ws`, { headers, localAddress, ...(ca && { ca }) }))
    const { connection } = await dial('127.0.0.2').next('welcome')
    const service = await Service.of(server)
    t.match(await service.get(`/v1/connections/${connection}`), { address: '127.0.0.2' })
    const [, response] = await once(dial('127.0.0.2').socket, 'unexpected-response')
    t.equal(response.statusCode, 429)
    await dial('127.0.0.3').next('welcome')
  })
}

t.test(
  'DEPLOY-9 without a heartbeat it is the time-out of nginx that ends a silent connection',
  { skip: nginx.skip },
  async (t) => {
    const server = await startServer(t)
    const { port, ca } = await startNginx(t, server, '1s')
    const headers = { authorization: `Bearer ${await tokenFor('ann')}` }
    const tab = new Tab(new WebSocket(`wss://127.0.0.1:${port}/ws`, { headers, ca: ca as string }))
    await tab.next('welcome')
    t.equal((await tab.close()).code, 1006)
  },
)

t.test(
  'DEPLOY-10 without trustProxy a limit on one address counts the proxy, whatever X-Forwarded-For says',
  async (t) => {
    const server = await startServer(t, { env: { CHARTROOM_MAX_CONNECTIONS_PER_ADDRESS: '1' } })
    await Tab.open(server, 'ann', { headers: { 'x-forwarded-for': '203.0.113.7' } })
    const other = Tab.connect(server, { token: await tokenFor('bob'), headers: { 'x-forwarded-for': '203.0.113.8' } })
    const [, response] = await once(other.socket, 'unexpected-response')
    t.equal(response.statusCode, 429)
  },
)

t.test('every file of deploy/ is named in docs/operations.md', (t) => {
  for (const name of readdirSync(join(ROOT, 'deploy'))) t.match(read('docs/operations.md'), `deploy/${name}`)
  t.end()
})
