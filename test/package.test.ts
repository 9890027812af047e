/**
 * What npm pack makes, as a user meets it: installed into an empty folder, an app made by it, its test run, its page looked
 * at, a conversation had. npm takes what it has cached, and asks its registry for the rest.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { publint } from 'publint'
import t from 'tap'
import { freePort } from '../src/testing/free-port.ts'
import { Tab } from '../src/testing/tab.ts'
import { ROOT } from './fixtures/server.ts'

/** As a bundler resolves it, every declaration looked into. */
const PAGE = `import { createClient } from 'chartroom/client'
import type { Operation } from 'chartroom/patch'
import type light from './machines/rooms/light'
const room = createClient({ url: '/ws', token: '' }).room<typeof light>('light/stairs')
room.subscribe(({ context }) => context.presses.toFixed())
export const op: Operation = { op: 'add', path: '/a', value: 1 }
// @ts-expect-error there is no such operation
export const wrong: Operation = { op: 'insert', path: '/a', value: 1 }
`
const MEGABYTE = 1_000_000
const INSTALLING = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']

/** npm unpacks the binaries of all platforms, twice. */
t.setTimeout(600_000)

const folder = mkdtempSync(join(tmpdir(), 'chartroom-package-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const checkout = join(folder, 'checkout')
const app = join(folder, 'my-app')

/** What npm has cached, beside what npx installs: a place that is removed with the rest. */
const cache = join(folder, 'npm')
mkdirSync(cache)
symlinkSync(
  join(execFileSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).trim(), '_cacache'),
  join(cache, '_cacache'),
)

/** The environment of a developer who has configured nothing. */
const env: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(CHARTROOM_|NODE_ENV$|TAP|_TAPJS)/i.test(name)),
)
env.npm_config_cache = cache

async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  return (await promisify(execFile)(command, args, { cwd, env })).stdout
}

/** A copy, so that what is built is in nobody's way. */
function copyCheckout(): void {
  const left = /^(node_modules|\.git|\.tap|data|dist|bench|test)$|\.tgz$/
  for (const name of readdirSync(ROOT).filter((name) => !left.test(name)))
    cpSync(join(ROOT, name), join(checkout, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'))
}

/** `npm run` of the app, until the test ends; resolves when it listens. */
async function serve(script: string, port: number): Promise<ChildProcess> {
  const child = spawn('npm', ['run', script, '--', '--port', String(port)], { cwd: app, env })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (said += chunk))
  child.once('exit', () => child.stdout.emit('data', ''))
  while (!said.includes('Machines')) {
    assert(child.exitCode === null, said)
    await once(child.stdout, 'data', { signal: AbortSignal.timeout(20_000) })
  }
  return child
}

/** As an operator ends it; the folder of its log is free then. */
async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM')
  await once(child, 'close')
}

async function tabOf(port: number, user: string): Promise<Tab> {
  const at = `127.0.0.1:${port}`
  const { token } = (await (await fetch(`http://${at}/dev/token?user=${user}`)).json()) as { token: string }
  return Tab.open({ url: `ws://${at}/ws`, token: async () => token }, user)
}

copyCheckout()
const tarball = join(checkout, (await run(checkout, 'npm', 'pack', '--silent')).trim().split('\n').at(-1) as string)

t.test('the package is small, and nothing is wrong with it', async (t) => {
  t.ok(statSync(tarball).size < MEGABYTE, `${statSync(tarball).size} bytes`)
  const bytes = new Uint8Array(readFileSync(tarball))
  const { messages } = await publint({ pack: { tarball: bytes.buffer } })
  t.same(messages, [])
})

t.test('an app that it makes passes its test, checks its types, and refuses to be made twice', async (t) => {
  await run(folder, 'npx', '--yes', '--prefer-offline', `--package=${tarball}`, 'chartroom', 'init', 'my-app')
  await run(app, 'npm', 'install', ...INSTALLING)
  t.match(await run(app, 'npm', 'test'), /# pass 1\n# fail 0/)
  const tsc = (...args: string[]) => run(app, process.execPath, join(ROOT, 'node_modules/typescript/bin/tsc'), ...args)
  await tsc('-p', '.')
  writeFileSync(join(app, 'page.ts'), PAGE)
  await tsc('--ignoreConfig', '--noEmit', '--strict', '--module', 'preserve', '--target', 'es2023', 'page.ts')
  rmSync(join(app, 'page.ts'))
  t.ok(readdirSync(app).includes('.gitignore'))
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  t.equal(await run(app, 'npx', 'chartroom', '--version'), `${version}\n`)
  await t.rejects(run(folder, join(app, 'node_modules/.bin/chartroom'), 'init', 'my-app'), /my-app is not empty/)
})

t.test('an app made from a checkout takes what was packed there, and says where nothing was yet', async (t) => {
  const made = async (name: string): Promise<string> => {
    const told = await run(folder, process.execPath, join(checkout, 'bin/chartroom.js'), 'init', name)
    const { dependencies } = JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8'))
    t.equal(dependencies.chartroom, `file:${tarball}`)
    return told
  }
  t.notMatch(await made('packed'), 'npm pack')
  renameSync(tarball, `${tarball}.away`)
  t.teardown(() => renameSync(`${tarball}.away`, tarball))
  t.match(await made('unpacked'), `(cd ${checkout} && npm pack)\n  cd unpacked`)
})

t.test('npm start serves its page, the playground, the inspector and a conversation', async (t) => {
  const port = await freePort()
  const child = await serve('start', port)
  t.teardown(() => end(child))
  const get = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text()
  t.match(await get('/'), /<title>Stairs<\/title>/)
  t.match(await get('/light.js'), /createClient/)
  const client = await import(`data:text/javascript,${encodeURIComponent(await get('/client.js'))}`)
  t.type(client.createClient, 'function')
  t.match(await get('/playground'), /<title>Chartroom<\/title>/)
  t.match(await get('/inspect'), /page\.js/)
  t.match(await get('/inspect/page.js'), /EventSource|WebSocket/)
  const [ann, bob] = [await tabOf(port, 'ann'), await tabOf(port, 'bob')]
  for (const tab of [ann, bob]) await tab.join('light/stairs')
  t.match(await ann.emit('light/stairs', { type: 'press' }), { type: 'ok', seq: 2 })
  await bob.sees('light/stairs', ({ value, context }) => value === 'on' && context.by === 'ann')
})

t.test('npm run dev: a machine that is written now is played in two tabs', async (t) => {
  const port = await freePort()
  const child = await serve('dev', port)
  t.teardown(() => end(child))
  const [ann, bob] = [await tabOf(port, 'ann'), await tabOf(port, 'bob')]
  const light = readFileSync(join(app, 'machines/rooms/light.ts'), 'utf8')
  writeFileSync(join(app, 'machines/rooms/bell.ts'), light.replace("id: 'light'", "id: 'bell'"))
  await ann.until(async () => (await ann.ask({ type: 'get', room: 'bell/door' })).type === 'snapshot')
  for (const tab of [ann, bob]) await tab.join('bell/door')
  t.match(await bob.emit('bell/door', { type: 'press' }), { type: 'ok' })
  await ann.sees('bell/door', ({ value }) => value === 'on')
})

t.test('a program starts a server, and a browser bundles the protocol without a schema library', async (t) => {
  const program = `import { startServer } from 'chartroom'
import { applyPatch } from 'chartroom/patch'
const server = await startServer({ port: 0, logLevel: 'silent' })
console.log(server.machines.join(), applyPatch({ a: 1 }, [{ op: 'remove', path: '/a' }]))
await server.stop()`
  writeFileSync(join(app, 'program.js'), program)
  t.equal(await run(app, process.execPath, 'program.js'), 'bell,light {}\n')
  const contents =
    "import { closeCodes, comesBack } from 'chartroom/protocol'; console.log(comesBack(closeCodes.moved))"
  const { metafile } = await build({
    stdin: { contents, resolveDir: app },
    bundle: true,
    platform: 'browser',
    format: 'esm',
    write: false,
    metafile: true,
  })
  const inputs = Object.keys(metafile.inputs).filter((name) => name !== '<stdin>')
  t.same(inputs.map((name) => name.split('/').at(-1)).sort(), ['errors.js', 'subprotocol.js', 'wire.js'])
})
