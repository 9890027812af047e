/**
 * Options, from three places and checked once; and what a server refuses to start with, in a process of its own,
 * with one line for the operator.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { type Config, ConfigError, optionTable, printable, readConfig } from '../src/config.ts'
import { lockFolder } from '../src/log/lock.ts'
import { ROOT, ServerProcess, startServer } from './fixtures/server.ts'

const SECRET = 'correct horse battery staple, 32 bytes'
const JWKS = 'https://keys.example/jwks.json'

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-config-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

interface Given {
  readonly args?: readonly string[]
  readonly env?: Record<string, string>
  /** The text of the file that `--config` names; an object as JSON. */
  readonly file?: string | object
}

/** The command line and environment that stand for what is given. */
function sourcesOf(t: Test, { args = [], env = {}, file }: Given) {
  if (file === undefined) return { args, env }
  const path = join(temporaryFolder(t), 'chartroom.json')
  writeFileSync(path, typeof file === 'string' ? file : JSON.stringify(file))
  return { args: [...args, '--config', path], env }
}

const configOf = (t: Test, given: Given): Config => readConfig(sourcesOf(t, given)).config

/** The lines with which a configuration is refused, or what was made of it instead. */
function linesOf(t: Test, given: Given): string[] | Config {
  try {
    return configOf(t, given)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message.split('\n')
  }
}

t.test('CONF-1 nothing has to be set', (t) => {
  t.match(configOf(t, {}), {
    host: '127.0.0.1',
    port: 8080,
    data: './data',
    machines: './machines/rooms',
    queryToken: false,
    inspector: true,
    origins: [],
    authTimeout: 10_000,
    heartbeatInterval: 25_000,
    heartbeatTimeout: 10_000,
    clockTolerance: 5000,
    drainTimeout: 10_000,
    maxFrame: 65_536,
    maxLag: 30_000,
    production: false,
  })
  t.strictSame(readConfig({ args: [], env: {} }).words, [])
  t.equal(readConfig({ args: [], env: {} }).printConfig, false)
  t.end()
})

/** Each option with three values that differ, as text: how the file, the environment and a flag set it. */
const threeValues = optionTable
  .filter(({ name }) => !['jwtSecret', 'jwtPublicKey', 'jwksUrl', 'tlsCert', 'tlsKey'].includes(name))
  .map((option) => {
    if (typeof option.fallback === 'number') return { ...option, values: ['2001', '2002', '2003'] }
    if (typeof option.fallback === 'boolean') {
      const [same, other] = [`${option.fallback}`, `${!option.fallback}`]
      return { ...option, values: [other, same, other] }
    }
    if (option.name === 'logLevel') return { ...option, values: ['error', 'warn', 'debug'] }
    if (option.name === 'inboxPolicy') return { ...option, values: ['drop_oldest', 'refuse', 'drop_oldest'] }
    return { ...option, values: ['one', 'two', 'three'] }
  })

t.test('CONF-2 a flag wins over the environment, that over the file, that over the default', (t) => {
  for (const { name, flag, variable, fallback, values } of threeValues) {
    const [inFile, inEnvironment, onCommandLine] = values as [string, string, string]
    const of = (given: Given) => String(configOf(t, given)[name] ?? '')
    const file = { [name]: inFile }
    const env = { [variable]: inEnvironment }
    const args = [flag, onCommandLine]
    t.equal(of({}), String(fallback), `${name} by default`)
    t.equal(of({ file }), inFile, `${name} in the file`)
    t.equal(of({ file, env }), inEnvironment, variable)
    t.equal(of({ file, env, args }), onCommandLine, flag)
    t.equal(of({ env, args }), onCommandLine, `${flag} without a file`)
    t.equal(of({ file, args }), onCommandLine, `${flag} over the file`)
  }
  t.end()
})

t.test('CONF-3 a key comes from each of the three places as well', (t) => {
  for (const [name, variable, flag, value] of [
    ['jwtSecret', 'CHARTROOM_JWT_SECRET', '--jwt-secret', SECRET],
    ['jwtPublicKey', 'CHARTROOM_JWT_PUBLIC_KEY', '--jwt-public-key', '-----BEGIN PUBLIC KEY-----\nMFk\n'],
    ['jwksUrl', 'CHARTROOM_JWKS_URL', '--jwks-url', JWKS],
  ] as const) {
    t.equal(configOf(t, { file: { [name]: value } })[name], value)
    t.equal(configOf(t, { env: { [variable]: value } })[name], value)
    t.equal(configOf(t, { args: [`${flag}=${value}`] })[name], value)
  }
  t.end()
})

t.test('CONF-24 the files of TLS come from each of the three places, both or neither', (t) => {
  const files = { tlsCert: 'cert.pem', tlsKey: 'key.pem' }
  t.match(configOf(t, { file: files }), files)
  t.match(configOf(t, { env: { CHARTROOM_TLS_CERT: 'cert.pem', CHARTROOM_TLS_KEY: 'key.pem' } }), files)
  t.match(configOf(t, { file: { tlsCert: 'cert.pem' }, args: ['--tls-key', 'key.pem'] }), files)
  t.match(configOf(t, { file: files, args: ['--tls-cert', 'other.pem'] }), { ...files, tlsCert: 'other.pem' })
  for (const file of [{ tlsCert: 'cert.pem' }, { tlsKey: 'key.pem' }]) {
    t.match(linesOf(t, { file }), [/^tlsCert and tlsKey go together/])
  }
  t.end()
})

t.test('CONF-4 an option has one name in three spellings', (t) => {
  const maxLag = optionTable.find(({ name }) => name === 'maxLag')
  t.match(maxLag, { flag: '--max-lag', variable: 'CHARTROOM_MAX_LAG' })
  const perUser = optionTable.find(({ name }) => name === 'maxConnectionsPerUser')
  t.match(perUser, { flag: '--max-connections-per-user', variable: 'CHARTROOM_MAX_CONNECTIONS_PER_USER' })
  for (const args of [['--max-lag', '700'], ['--maxLag', '700'], ['--max-lag=700'], ['--maxLag=700']]) {
    t.equal(configOf(t, { args }).maxLag, 700, args.join(' '))
  }
  t.equal(configOf(t, { args: ['--maxConnectionsPerUser', '3'] }).maxConnectionsPerUser, 3)
  t.end()
})

t.test('CONF-5 text from outside becomes what the option is', (t) => {
  const env = {
    CHARTROOM_PORT: '0',
    CHARTROOM_QUERY_TOKEN: 'true',
    CHARTROOM_ORIGINS: 'https://a.example,https://b.example,',
  }
  t.match(configOf(t, { env }), { port: 0, queryToken: true, origins: ['https://a.example', 'https://b.example'] })
  t.strictSame(configOf(t, { file: { origins: ['*'], queryToken: false, port: 9 } }).origins, ['*'])
  t.equal(configOf(t, { env: { CHARTROOM_PORT: '' } }).port, 8080, 'an empty variable is not set')
  t.equal(configOf(t, { env: { NODE_ENV: 'production', CHARTROOM_JWKS_URL: JWKS } }).production, true)
  t.equal(configOf(t, { env: { NODE_ENV: 'test' } }).production, false)
  t.end()
})

t.test('CONF-6 words that are no flags are handed back in order, wherever they stand', (t) => {
  const { words, config } = readConfig({
    args: ['--port', '1', 'token', '--max-lag=200', 'ann', '--', '--odd'],
    env: {},
  })
  t.strictSame(words, ['token', 'ann', '--odd'])
  t.match(config, { port: 1, maxLag: 200 })
  t.equal(readConfig({ args: ['start', '--print-config'], env: {} }).printConfig, true)
  t.end()
})

/** Mistakes, and what the one line for each must say. */
const mistakes: [what: string, given: Given, line: RegExp][] = [
  ['a port that is no number', { args: ['--port', 'http'] }, /^port: .*"http"/],
  ['a port that is too high', { args: ['--port=65536'] }, /^port: .*65535.*"65536"/],
  ['a port below zero', { args: ['--port=-1'] }, /^port: .*"-1"/],
  ['a port with a fraction', { args: ['--port=80.5'] }, /^port: .*"80.5"/],
  ['an empty port', { args: ['--port='] }, /port.*""/],
  ['a blank port', { env: { CHARTROOM_PORT: ' ' } }, /port.*" "/],
  ['a port in the environment', { env: { CHARTROOM_PORT: 'http' } }, /^port: .*"http"/],
  ['a port in the file', { file: { port: 'http' } }, /^port: .*"http"/],
  ['a null port in the file', { file: { port: null } }, /^port: .*null/],
  ['a port in the file that is true', { file: { port: true } }, /^port: .*true/],
  ['a list of ports in the file', { file: { port: [8080] } }, /^port: .*8080/],
  ['a flag without its value', { args: ['--port'] }, /--port/],
  ['a negative value behind a space', { args: ['--port', '-1'] }, /--port/],
  ['a flag that does not exist', { args: ['--prot', '1'] }, /--prot/],
  ['a short flag', { args: ['-p', '1'] }, /-p/],
  ['a key of the file that does not exist', { file: { prot: 1 } }, /^prot: no such option/],
  ['two of them', { file: { prot: 1, hots: 2 } }, /^prot, hots: no such option/],
  ['a prototype in the file', { file: '{"__proto__": {"port": 1}}' }, /^__proto__: no such option/],
  ['an option of the program', { file: { production: true } }, /^production: no such option/],
  ['a switch that is neither', { env: { CHARTROOM_QUERY_TOKEN: 'yes' } }, /^queryToken: .*"yes"/],
  ['a number for a switch', { file: { queryToken: 1 } }, /^queryToken: .*1/],
  ['a list of the wrong kind', { file: { origins: [1] } }, /^origins: .*\[1\]/],
  ['an empty host', { args: ['--host', ''] }, /^host: .*""/],
  ['a number for a host', { file: { host: 5 } }, /^host: .*5/],
  ['an unknown log level', { args: ['--log-level', 'loud'] }, /^logLevel: .*"loud"/],
  ['a key URL that is none', { args: ['--jwks-url', 'keys'] }, /^jwksUrl: .*"keys"/],
  ['a heartbeat below 100 ms', { args: ['--heartbeat-interval', '99'] }, /^heartbeatInterval: .*100.*"99"/],
  ['two keys', { env: { CHARTROOM_JWT_SECRET: SECRET, CHARTROOM_JWKS_URL: JWKS } }, /jwtSecret.*jwksUrl.*one key/],
  ['production without a key', { env: { NODE_ENV: 'production' } }, /CHARTROOM_JWT_SECRET/],
  [
    'a file that is not there',
    { args: ['--config', '/nowhere/chartroom.json'] },
    /^--config \/nowhere\/chartroom.json: /,
  ],
  ['a file that is a folder', { args: ['--config', ROOT] }, /^--config .*: /],
  ['a file that is empty', { file: '' }, /^--config .*: /],
  ['a file that is no JSON', { file: '{' }, /^--config .*: /],
  ['a file that is no JSON in its second line', { file: '{\n "port": x\n}' }, /^--config .*: /],
  ['a file that is a list', { file: '[]' }, /--config/],
  ['a file that is null', { file: 'null' }, /--config/],
  ['a file that is a number', { file: '8080' }, /--config/],
  ['a file that is a word', { file: '"port"' }, /--config/],
]

t.test('CONF-7 each kind of mistake gives one line that names the option', (t) => {
  for (const [what, given, line] of mistakes) {
    const lines = linesOf(t, given)
    t.ok(Array.isArray(lines) && lines.length === 1 && line.test(lines[0] ?? ''), what, { found: lines, wanted: line })
  }
  t.end()
})

t.test('CONF-23 a name that does not exist is refused wherever it stands, and what may be meant is named', (t) => {
  const rows: [given: Given, line: string][] = [
    [{ args: ['--prot', '1'] }, '--prot: no such option; did you mean --port?'],
    [{ args: ['--maxLags=1'] }, '--maxLags: no such option; did you mean --max-lag?'],
    [{ args: ['--print-confg'] }, '--print-confg: no such option; did you mean --print-config?'],
    [{ args: ['--jwt-secrt=hunter2'] }, '--jwt-secrt: no such option; did you mean --jwt-secret?'],
    [{ args: ['--colour', 'red'] }, '--colour: no such option'],
    [{ env: { CHARTROOM_MAX_LAGS: '1' } }, 'CHARTROOM_MAX_LAGS: no such option; did you mean CHARTROOM_MAX_LAG?'],
    [{ env: { CHARTROOM_MAXLAG: '1' } }, 'CHARTROOM_MAXLAG: no such option; did you mean CHARTROOM_MAX_LAG?'],
    [
      { env: { CHARTROOM_JWT_SECRT: 'hunter2' } },
      'CHARTROOM_JWT_SECRT: no such option; did you mean CHARTROOM_JWT_SECRET?',
    ],
    [{ env: { CHARTROOM_COLOUR: 'red' } }, 'CHARTROOM_COLOUR: no such option'],
    [{ file: { 'max-lag': 1 } }, 'max-lag: no such option; did you mean maxLag?'],
    [{ file: { prot: 1, hots: 2, colour: 3 } }, 'prot, hots, colour: no such option; did you mean port, host?'],
  ]
  for (const [given, line] of rows) t.strictSame(linesOf(t, given), [line])
  t.strictSame(
    linesOf(t, { env: { CHARTROOM_PRT: '1', CHARTROOM_PORT: 'x', CHARTROOM_DTA: 'y' } }),
    [
      'CHARTROOM_PRT: no such option; did you mean CHARTROOM_PORT?',
      'CHARTROOM_DTA: no such option; did you mean CHARTROOM_DATA?',
      'port: Invalid input: expected number, received string, got "x"',
    ],
    'a line each',
  )
  t.equal(configOf(t, { env: { CHARTROOM_COLOUR: '', CHART: '1', PORT: '2' } }).port, 8080, 'others are not ours')
  t.end()
})

t.test('CONF-8 several mistakes give a line each', (t) => {
  const lines = linesOf(t, { args: ['--port', 'x'], env: { CHARTROOM_MAX_LAG: 'y' }, file: { host: 1, prot: 2 } })
  t.ok(Array.isArray(lines))
  const names = (lines as string[]).map((line) => line.split(':')[0])
  t.strictSame(names.sort(), ['host', 'maxLag', 'port', 'prot'])
  t.end()
})

t.test('CONF-9 a secret is never shown, whatever is wrong with it', (t) => {
  const short = 'tooshort-hunter2'
  const givens: Given[] = [
    { args: ['--jwt-secret', short] },
    { args: [`--jwtSecret=${short}`] },
    { env: { CHARTROOM_JWT_SECRET: short } },
    { file: { jwtSecret: short } },
  ]
  for (const given of givens) {
    const lines = linesOf(t, given)
    t.ok(Array.isArray(lines) && lines.length === 1, 'one line')
    t.match(lines, [/^jwtSecret: .*32/], JSON.stringify(given))
    t.notMatch(JSON.stringify(lines), /hunter2/)
  }
  const others: Given[] = [
    { file: { jwtSecret: [short] } },
    { file: { jwtSecret: { is: short } } },
    { env: { CHARTROOM_JWT_SECRET: short, CHARTROOM_JWKS_URL: JWKS, CHARTROOM_PORT: 'x' } },
    { env: { CHARTROOM_JWT_SECRET: SECRET + short, CHARTROOM_JWKS_URL: JWKS } },
  ]
  for (const given of others) {
    const lines = linesOf(t, given)
    t.ok(Array.isArray(lines) && lines.some((line) => line.includes('jwtSecret')))
    t.notMatch(JSON.stringify(lines), /hunter2/)
  }
  t.end()
})

t.test('CONF-10 a file that is no JSON is not quoted, for it may hold the secret', (t) => {
  for (const file of ['{ "jwtSecret": hunter2-and-so-on }', '{ "jwtSecret": "hunter2\n" }', 'jwtSecret: hunter2']) {
    t.notMatch(linesOf(t, { file }), [/hunter2/], file)
  }
  t.end()
})

t.test('CONF-11 a short secret is measured in bytes', (t) => {
  t.equal(configOf(t, { env: { CHARTROOM_JWT_SECRET: 'x'.repeat(32) } }).jwtSecret, 'x'.repeat(32))
  t.ok(Array.isArray(linesOf(t, { env: { CHARTROOM_JWT_SECRET: 'x'.repeat(31) } })))
  t.equal(configOf(t, { env: { CHARTROOM_JWT_SECRET: 'é'.repeat(16) } }).jwtSecret, 'é'.repeat(16))
  t.end()
})

t.test('CONF-12 each key is enough for production', (t) => {
  for (const key of ['CHARTROOM_JWT_SECRET', 'CHARTROOM_JWT_PUBLIC_KEY', 'CHARTROOM_JWKS_URL']) {
    const env = { NODE_ENV: 'production', [key]: key === 'CHARTROOM_JWKS_URL' ? JWKS : SECRET }
    t.equal(configOf(t, { env }).production, true, key)
  }
  t.end()
})

t.test('CONF-13 what is printed has everything but the secret', (t) => {
  const config = configOf(t, { env: { CHARTROOM_JWT_SECRET: SECRET } })
  t.strictSame(printable(config), { ...config, jwtSecret: '(hidden)' })
  t.equal(config.jwtSecret, SECRET, 'the config itself is left as it is')
  t.notOk('jwtSecret' in printable(configOf(t, {})), 'no secret is not a hidden one')
  t.end()
})

// The command, in a process of its own.

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Longer than any start that is refused may take; what still runs then did not end, and has no exit code. */
const PATIENCE = 10_000

/** Runs the command to its end. The environment is the test's own, without what would configure a server. */
async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const outside = Object.entries(process.env).filter(([name]) => !/^(CHARTROOM_|NODE_ENV$)/.test(name))
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/main.ts', ...args], {
    cwd: ROOT,
    env: { ...Object.fromEntries(outside), ...env },
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [code] = await once(child, 'close')
  return { code, stdout, stderr }
}

const ONE_LINE = /^chartroom: [^\n]+\n$/

t.test('CONF-14 --print-config shows what is in force, without the secret, and ends without a trace', async (t) => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'chartroom.json')
  writeFileSync(file, JSON.stringify({ jwtSecret: SECRET, maxLag: 4321, port: 1, data: join(folder, 'data') }))
  const { code, stdout, stderr } = await run(['start', '--print-config', '--config', file, '--port', '3'], {
    CHARTROOM_PORT: '2',
    CHARTROOM_ORIGINS: 'https://a.example',
  })
  t.equal(code, 0)
  t.equal(stderr, '')
  const shown = JSON.parse(stdout)
  t.match(shown, { jwtSecret: '(hidden)', maxLag: 4321, port: 3, host: '127.0.0.1', origins: ['https://a.example'] })
  const missing = optionTable.filter(({ name, fallback }) => fallback !== '' && !(name in shown))
  t.strictSame(missing, [], 'every option that has a value')
  t.notMatch(stdout + stderr, /horse/)
  t.notOk(existsSync(join(folder, 'data')), 'the data folder was not touched')
})

t.test('CONF-25 --version and -v print the version of the package, and end', async (t) => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  for (const flag of ['--version', '-v'])
    t.strictSame(await run([flag]), { code: 0, stdout: `${version}\n`, stderr: '' })
})

t.test('CONF-15 production without a key ends at once and says what to set', async (t) => {
  const data = join(temporaryFolder(t), 'data')
  const { code, stdout, stderr } = await run(['start', '--data', data, '--port', '0'], { NODE_ENV: 'production' })
  t.equal(code, 1)
  t.match(stderr, ONE_LINE)
  t.match(stderr, /CHARTROOM_JWT_SECRET.*CHARTROOM_JWT_PUBLIC_KEY.*CHARTROOM_JWKS_URL/)
  t.equal(stdout, '')
  t.notOk(existsSync(data), 'and no folder was made for it')
})

t.test('CONF-16 a mistake ends the command with a line on stderr, and no stack', async (t) => {
  const data = temporaryFolder(t)
  const rows: [args: string[], line: RegExp][] = [
    [['strat', '--data', data], /^chartroom: .*"strat".*start/],
    [['start', '--jwt-secret', 'tooshort-hunter2', '--data', data], /^chartroom: jwtSecret: .*\(hidden\)/],
  ]
  for (const [args, line] of rows) {
    const { code, stdout, stderr } = await run(args)
    t.equal(code, 1, args.join(' '))
    t.match(stderr, ONE_LINE)
    t.match(stderr, line)
    t.notMatch(stdout + stderr, /hunter2/)
  }
})

t.test('CONF-17 a second server on the same folder or port is refused, and the first does not notice', async (t) => {
  const first = await startServer(t)
  const sameFolder = await run(['start', '--data', first.data, '--port', '0'])
  t.equal(sameFolder.code, 1)
  t.match(sameFolder.stderr, ONE_LINE)
  t.ok(sameFolder.stderr.includes(first.data) && /in use.*--data/.test(sameFolder.stderr), sameFolder.stderr)
  t.equal(sameFolder.stdout, '')

  const samePort = await run(['start', '--data', temporaryFolder(t), '--port', String(first.port)])
  t.equal(samePort.code, 1)
  t.match(samePort.stderr, ONE_LINE)
  t.match(samePort.stderr, new RegExp(`port ${first.port} of 127.0.0.1 .*--port`))
  t.equal(samePort.stdout, '')

  t.equal((await fetch(`http://127.0.0.1:${first.port}/health`)).status, 200)
})

t.test('A1 no token is made for a name that no user can have', async (t) => {
  for (const user of ['', 'x'.repeat(129)]) {
    const { code, stdout, stderr } = await run(['token', user, '--data', temporaryFolder(t)])
    t.same([code, stdout, stderr], [1, '', 'chartroom: token: a user has 1 to 128 characters\n'])
  }
})

t.test('CONF-18 a server that was killed leaves its folder and its port to the next', async (t) => {
  const server = await startServer(t)
  await server.end('SIGKILL')
  const next = new ServerProcess({ env: { CHARTROOM_DATA: server.data } })
  t.teardown(() => next.dispose())
  next.port = server.port
  await next.start()
  t.equal((await fetch(`http://127.0.0.1:${next.port}/health`)).status, 200)
})

// The lock by itself.

t.test('CONF-19 of all who want a folder at the same time one gets it', async (t) => {
  const folder = join(temporaryFolder(t), 'not', 'made', 'yet')
  const tries = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)))
  const held = tries.flatMap((tried) => (tried.status === 'fulfilled' ? [tried.value] : []))
  t.equal(held.length, 1)
  for (const tried of tries) {
    if (tried.status === 'rejected') t.match(tried.reason, { message: new RegExp(`^${folder} is in use.*--data`) })
  }
  held[0]?.release()
})

t.test('CONF-20 a lock that was let go can be taken at once, and one folder does not hold another', async (t) => {
  const folder = temporaryFolder(t)
  const other = await lockFolder(temporaryFolder(t))
  for (let i = 0; i < 5; i++) {
    const lock = await lockFolder(folder)
    await t.rejects(lockFolder(folder), /in use/)
    lock.release()
  }
  other.release()
  t.doesNotThrow(() => other.release(), 'and again is nothing')
})

t.test('CONF-21 a folder is the same by whatever name', async (t) => {
  const folder = temporaryFolder(t)
  const aside = join(temporaryFolder(t), 'aside')
  symlinkSync(folder, aside)
  const lock = await lockFolder(folder)
  for (const name of [aside, `${folder}/`, relative(process.cwd(), folder)]) await t.rejects(lockFolder(name), /in use/)
  lock.release()
})

const unshare = ['unshare', '--net', '--map-root-user']
const hasNamespaces = spawnSync(unshare[0] as string, [...unshare.slice(1), 'flock', '--version']).status === 0

t.test(
  'CONF-26 a folder is held for other network namespaces as well, and kill -9 lets it go there',
  { skip: !hasNamespaces && 'no namespaces, or no flock' },
  async (t) => {
    const folder = temporaryFolder(t)
    const hold = `
    const { lockFolder } = await import('./src/log/lock.ts')
    await lockFolder(${JSON.stringify(folder)}).then(() => console.log('held'), ({ message }) => console.log(message))
    setInterval(() => {}, 1000)`
    const elsewhere = async (): Promise<[said: string, child: ChildProcess]> => {
      const script = ['--import', 'tsx', '--input-type=module', '--eval', hold]
      const [command = '', ...args] = [...unshare, process.execPath, ...script]
      const child = spawn(command, args, { cwd: ROOT })
      t.teardown(() => child.kill('SIGKILL'))
      return [String((await once(child.stdout, 'data'))[0]).trim(), child]
    }
    const lock = await lockFolder(folder)
    t.match(await elsewhere(), [/in use by another server/])
    lock.release()
    const [said, child] = await elsewhere()
    t.equal(said, 'held')
    await t.rejects(lockFolder(folder), /in use by another server/)
    child.kill('SIGKILL')
    await once(child, 'exit')
    const again = await lockFolder(folder)
    again.release()
  },
)

t.test('CONF-22 kill -9 lets a folder go', async (t) => {
  const folder = temporaryFolder(t)
  const hold = `
    const { lockFolder } = await import('./src/log/lock.ts')
    await lockFolder(${JSON.stringify(folder)})
    console.log('held')
    setInterval(() => {}, 1000)`
  for (let round = 0; round < 2; round++) {
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', hold], { cwd: ROOT })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    await t.rejects(lockFolder(folder), /in use by another server/)
    child.kill('SIGKILL')
    await once(child, 'exit')
    const lock = await lockFolder(folder)
    lock.release()
  }
})
