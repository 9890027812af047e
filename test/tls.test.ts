/** TLS spoken by the server itself, with real certificates: what it serves, how a certificate is renewed, what it refuses. */
import { execFile, execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect as connectSecurely, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { CertificateFolder } from './fixtures/certificate.ts'
import { ROOT, SECRET, ServerProcess, startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

interface Secure {
  readonly server: ServerProcess
  readonly files: CertificateFolder
  readonly ca: string
}

async function startSecurely(t: Test): Promise<Secure> {
  const files = new CertificateFolder(t)
  const ca = files.make()
  return { server: await startServer(t, { env: files.env }), files, ca }
}

/** Asks over HTTPS, trusting only `ca`. */
async function get({ port }: ServerProcess, ca: string, path: string): Promise<{ status: number; body: string }> {
  const asked = request({ host: '127.0.0.1', port, path, ca, agent: false }).end()
  const [response] = await once(asked, 'response')
  return { status: response.statusCode, body: await text(response) }
}

/** The certificate that somebody is shown who asks for a server by name, or by no name. */
async function shown({ port }: ServerProcess, servername?: string): Promise<string> {
  const options = { host: '127.0.0.1', port, rejectUnauthorized: false, ...(servername && { servername }) }
  const socket = connectSecurely(options)
  await once(socket, 'secureConnect')
  const seen = fingerprint(socket)
  socket.destroy()
  return seen
}

const fingerprint = (socket: TLSSocket): string => socket.getPeerCertificate().fingerprint256

const shownTo = (tab: Tab): string => fingerprint((tab.socket as unknown as { _socket: TLSSocket })._socket)

/** Sends SIGHUP, and waits until the server has said what came of it. */
async function hangUp(server: ServerProcess, what: RegExp): Promise<void> {
  server.stderr = ''
  process.kill(server.pid, 'SIGHUP')
  await server.said(what)
}

const RENEWED = /a certificate is shown/
const NOT_RENEWED = /could not be renewed/

t.test('TLS-1 everything is served over TLS, and nothing without it', async (t) => {
  const { server, ca } = await startSecurely(t)
  const ann = await Tab.open(server, 'ann', { ca })
  const bob = await Tab.open(server, 'bob', { ca })
  await ann.join('chat/lobby')
  await bob.join('chat/lobby')
  const { seq } = await bob.post('hello')
  await ann.reaches('chat/lobby', seq)
  t.match(ann.state('chat/lobby').context, { messages: [{ from: 'bob', text: 'hello' }], online: ['ann', 'bob'] })
  const data = 'x'.repeat(60_000)
  t.equal((await ann.ask({ type: 'ping', data })).data, data, 'a large frame')

  for (const path of ['/health', '/ready', '/', '/playground.js'])
    t.equal((await get(server, ca, path)).status, 200, path)
  t.match((await get(server, ca, '/metrics')).body, /^chartroom_connections\{state="open"\} 2$/m)
  t.equal((await get(server, ca, '/ws')).status, 426)
  t.match(server.stdout, /wss:\/\/127.0.0.1:\d+\/ws\n.*https:\/\/127.0.0.1:\d+\/\n/)

  const plain = connect(server.port, '127.0.0.1', () => plain.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n'))
  plain.on('error', () => {})
  const said: Buffer[] = []
  plain.on('data', (chunk) => said.push(chunk))
  await once(plain, 'close')
  t.notMatch(String(Buffer.concat(said)), /HTTP/, 'a request without TLS gets no answer')
})

t.test(
  'TLS-2 C1 every connection lives whose token is verified after its request, and nothing is said on stderr',
  async (t) => {
    const { server, ca } = await startSecurely(t)
    await server.said(RENEWED)
    server.stderr = ''
    const users = Array.from({ length: 20 }, (_, i) => `user${i}`)
    for (let round = 0; round < 3; round++) {
      const tabs = await Promise.all(users.map((user) => Tab.open(server, user, { ca })))
      for (const tab of tabs) t.equal((await tab.ask({ type: 'ping', data: 'x'.repeat(60_000) })).type, 'pong')
      await Promise.all(tabs.map((tab) => tab.leave()))
    }
    t.equal(server.stderr, '')
  },
)

t.test('TLS-3 SIGHUP shows the new certificate to whoever comes, and nobody who is here notices', async (t) => {
  const { server, files, ca } = await startSecurely(t)
  const ann = await Tab.open(server, 'ann', { ca })
  await ann.join('chat/lobby')
  const first = shownTo(ann)
  t.equal(await shown(server), first)
  let trusted = ca
  for (const name of ['bob', 'cy']) {
    const before = await shown(server)
    trusted = files.make('ecdsa', 9)
    t.equal(await shown(server), before, 'a new file alone changes nothing')
    await hangUp(server, RENEWED)
    t.not(await shown(server), before, 'whoever asks by address')
    t.equal(await shown(server, 'localhost'), await shown(server), 'whoever asks by name')
    const tab = await Tab.open(server, name, { ca: trusted })
    await tab.join('chat/lobby')
    const { seq } = await tab.post(`${name} is here`)
    await ann.reaches('chat/lobby', seq)
  }
  t.equal(shownTo(ann), first)
  const { body } = await get(server, trusted, '/metrics')
  const ends = Date.parse(new X509Certificate(trusted).validTo) / 1000
  t.match(body, new RegExp(`^chartroom_certificate_expires_seconds ${ends}$`, 'm'))
  t.match(ann.state('chat/lobby').context.messages, [{ from: 'bob' }, { from: 'cy' }])
  t.equal((await ann.post('still here')).type, 'ok')

  const other = new ServerProcess({ env: files.env })
  t.teardown(() => other.dispose())
  other.port = server.port
  await t.rejects(other.start(), /port \d+ of 127.0.0.1 is taken/, 'the port is still this server’s alone')

  const ended = server.end('SIGTERM')
  t.equal((await ann.close()).code, 1001)
  t.equal(await ended, 0)
})

t.test(
  'TLS-4 SIGHUP with files that are wrong leaves the certificate as it was, and says which is wrong',
  async (t) => {
    const { server, files, ca } = await startSecurely(t)
    const first = await shown(server)
    const key = readFileSync(files.key)
    files.make()
    writeFileSync(files.key, key)
    await hangUp(server, NOT_RENEWED)
    t.match(server.stderr, /tlsKey: .*key\.pem is not the key of the certificate in .*cert\.pem/)
    t.equal(await shown(server), first)
    await Tab.open(server, 'ann', { ca })
    const second = files.make()
    await hangUp(server, RENEWED)
    await Tab.open(server, 'ann', { ca: second })
  },
)

t.test('TLS-5 RSA will do as well; no version before TLS 1.2', async (t) => {
  const files = new CertificateFolder(t)
  const ca = files.make('rsa')
  const server = await startServer(t, { env: files.env })
  await Tab.open(server, 'ann', { ca })
  const old = connectSecurely({ host: '127.0.0.1', port: server.port, ca, maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })
  const [error] = await once(old, 'error')
  t.match(error.message, /protocol|alert|unsupported/i)
})

t.test('TLS-6 wrong files end a start with one line that names option and file, before anything is made', async (t) => {
  const files = new CertificateFolder(t)
  files.make()
  const others = new CertificateFolder(t)
  others.make()
  const garbage = join(files.folder, 'garbage.pem')
  writeFileSync(garbage, '-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n')
  const locked = join(files.folder, 'locked.pem')
  execFileSync('openssl', ['pkey', '-in', files.key, '-aes256', '-passout', 'pass:hunter2', '-out', locked])
  const torn = join(files.folder, 'torn.pem')
  writeFileSync(torn, readFileSync(files.cert, 'utf8') + readFileSync(garbage, 'utf8'))
  const swapped = { CHARTROOM_TLS_CERT: files.key, CHARTROOM_TLS_KEY: files.cert }
  const rows: [env: Record<string, string>, line: RegExp][] = [
    [{ CHARTROOM_TLS_CERT: files.cert }, /^tlsCert and tlsKey go together/],
    [{ CHARTROOM_TLS_KEY: files.key }, /^tlsCert and tlsKey go together/],
    [{ ...files.env, CHARTROOM_TLS_CERT: '/nowhere.pem' }, /^tlsCert: ENOENT.*\/nowhere\.pem/],
    [{ ...files.env, CHARTROOM_TLS_KEY: '/nowhere.pem' }, /^tlsKey: ENOENT.*\/nowhere\.pem/],
    [{ ...files.env, CHARTROOM_TLS_CERT: garbage }, /^tlsCert: expected a certificate in PEM in .*garbage\.pem/],
    [{ ...files.env, CHARTROOM_TLS_KEY: garbage }, /^tlsKey: expected a private key .*garbage\.pem/],
    [{ ...files.env, CHARTROOM_TLS_KEY: locked }, /^tlsKey: expected .*without a passphrase in .*locked\.pem/],
    [swapped, /^tlsCert: expected a certificate in PEM in .*key\.pem/],
    [{ ...files.env, CHARTROOM_TLS_KEY: others.key }, /^tlsKey: .* is not the key of the certificate in/],
    [{ ...files.env, CHARTROOM_TLS_CERT: torn }, /^tlsCert: TLS cannot be spoken with .*torn\.pem: each certificate/],
  ]
  for (const [env, line] of rows) {
    const data = join(files.folder, 'data')
    const server = new ServerProcess({ env: { ...env, CHARTROOM_DATA: data } })
    t.teardown(() => server.dispose())
    await t.rejects(server.start(), /ended with 1/)
    t.match(server.stderr, /^chartroom: [^\n]+\n$/, 'one line')
    t.match(server.stderr.slice('chartroom: '.length), line)
    t.notMatch(server.stderr, /hunter2/)
    if (env.CHARTROOM_TLS_CERT !== torn) t.notOk(existsSync(data), 'no folder was made')
  }
})

t.test('TLS-7 a certificate that has expired is served, with a warning', async (t) => {
  const files = new CertificateFolder(t)
  files.make()
  const expired = ['x509', '-req', '-days', '-1', '-in', join(files.folder, 'csr.pem'), '-signkey', files.key]
  execFileSync('openssl', ['req', '-new', '-key', files.key, '-subj', '/CN=a', '-out', join(files.folder, 'csr.pem')])
  execFileSync('openssl', [...expired, '-out', files.cert], { stdio: 'ignore' })
  const server = await startServer(t, { env: files.env })
  t.match(await server.said(/has expired/), /"level":40.*"validTo"/)
})

t.test('TLS-8 explain asks over TLS, and says so where it does not trust what it is shown', async (t) => {
  const { server, files, ca } = await startSecurely(t)
  const ann = await Tab.open(server, 'ann', { ca })
  const connection = ann.frames[0]?.connection
  const run = (env: Record<string, string>) =>
    promisify(execFile)(process.execPath, ['bin/chartroom.js', 'explain', connection, '--port', `${server.port}`], {
      cwd: ROOT,
      env: { ...process.env, ...files.env, CHARTROOM_JWT_SECRET: SECRET, ...env },
    })
  const trusted = join(files.folder, 'trusted.pem')
  copyFileSync(files.cert, trusted)
  t.match((await run({ NODE_EXTRA_CA_CERTS: trusted })).stdout, /user ann, from 127\.0\.0\.1\n.*connecting/)
  const refused = await run({}).catch((error: { stderr: string }) => error)
  t.match(refused.stderr, /^chartroom: no server answers at https:.*certificate/)
})

t.test('TLS-9 S7 whoever stops reading costs a cursor over TLS as well, and is exactly right afterwards', async (t) => {
  const { server, ca } = await startSecurely(t)
  const slow = await Tab.open(server, 'slow', { ca })
  const fast = await Tab.open(server, 'fast', { ca })
  for (const tab of [slow, fast]) await tab.join('document/plan')
  slow.socket.pause()
  let seq = 0
  for (let i = 0; i < 250; i++) {
    const ops = [{ op: 'add', path: '/text', value: `${i}`.padEnd(60_000) }]
    seq = (await fast.ask({ type: 'send', room: 'document/plan', event: { type: 'document.patch', ops } })).seq
  }
  slow.socket.resume()
  await slow.reaches('document/plan', seq)
  t.same(slow.state('document/plan'), fast.state('document/plan'))
  t.ok(slow.frames.length < 250, `${slow.frames.length} frames for 250 changes`)
})
