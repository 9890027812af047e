/** `chartroom/client` in a real browser: its bundle in a page, its own WebSocket, the token as a subprotocol. */
import { join } from 'node:path'
import { build } from 'esbuild'
import t from 'tap'
import { startBrowser } from './fixtures/browser.ts'
import { ROOT, startServer, tokenFor } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

const browser = await startBrowser(t)

t.test('CONN-1 S3 a page has the state, sends, survives kill -9, and can read why its token was refused', async (t) => {
  const server = await startServer(t)
  const { outputFiles } = await build({
    entryPoints: [join(ROOT, 'src/client/client.ts')],
    bundle: true,
    format: 'iife',
    globalName: 'chartroom',
    write: false,
  })
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${server.port}/`)
  await page.evaluate(`${outputFiles[0]?.text}; globalThis.chartroom = chartroom`)
  const run = <T>(code: string) => page.evaluate<T>(code)
  const dial = async (life: number) => `chartroom.createClient({
    url: '/ws', token: '${await tokenFor('ann', { life })}', backoff: { base: 20, cap: 100 } })`
  await run(`globalThis.client = ${await dial(600)}; globalThis.room = client.room('counter/page'); globalThis.states = []
    client.subscribe(({ state }) => states.push(state)); room.subscribe(() => {}); undefined`)
  t.match(await run("room.send({ type: 'increment', by: 2 })"), { seq: 2 })
  t.equal(await run('room.state.context.count'), 2)
  await server.crashAndRestart()
  const bob = await Tab.open(server, 'bob')
  await bob.ask({ type: 'send', room: 'counter/page', event: { type: 'increment' } })
  t.match(await run('room.waitFor(({ context }) => context.count === 3)'), { context: { count: 3 } })
  t.match(await run('states'), ['open', 'waiting', 'connecting'])
  await run('client.close()')
  const code = await run(`${await dial(-3600)}.opened().catch(({ code }) => code)`)
  t.equal(code, 'token_expired')
})
