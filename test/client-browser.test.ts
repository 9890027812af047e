/** `chartroom/client` in a real browser: as the server serves it, its own WebSocket, the token as a subprotocol. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import t from 'tap'
import { blocks, machineFolder } from './fixtures/as-written.ts'
import { startBrowser } from './fixtures/browser.ts'
import { ROOT, startServer, tokenFor } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

const browser = await startBrowser(t)

t.test('CONN-1 S3 a page has the state, sends, survives kill -9, and can read why its token was refused', async (t) => {
  const server = await startServer(t)
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${server.port}/`)
  await page.evaluate("import('/client.js').then((module) => { globalThis.chartroom = module })")
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

t.test('the page of docs/client.md, as it stands there', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-client-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const [text, map] = blocks(readFileSync(join(ROOT, 'docs/client.md'), 'utf8'), 'html')
  writeFileSync(join(folder, 'index.html'), `${text}`)
  writeFileSync(join(folder, 'mapped.html'), `${map}${text?.replace('/client.js', 'chartroom/client')}`)
  const server = await startServer(t, { env: { CHARTROOM_PUBLIC: folder }, ownKey: true })
  for (const [path, count] of [
    ['', 1],
    ['mapped.html', 2],
  ] as const) {
    const page = await browser.newPage()
    await page.goto(`${server.origin}/${path}`)
    await page.getByRole('button', { name: `${count - 1}` }).click()
    const counted = page.getByRole('button', { name: `${count}` })
    await counted.waitFor()
    t.ok(await counted.isVisible(), path)
  }
})

t.test('the page that an app begins with: what one presses all see, also after kill -9', async (t) => {
  const env = {
    CHARTROOM_PUBLIC: join(ROOT, 'starter/public'),
    CHARTROOM_MACHINES: join(ROOT, 'starter/machines/rooms'),
  }
  const server = await startServer(t, { env, ownKey: true })
  const faults: string[] = []
  const [ann, bob] = await Promise.all(
    ['', '?user=bob'].map(async (query) => {
      const page = await browser.newPage()
      page.on('pageerror', ({ message }) => faults.push(message))
      await page.goto(`${server.origin}/${query}`)
      return page
    }),
  )
  assert(ann && bob)
  const press = (page: Page) => page.getByRole('button', { name: 'Light', disabled: false }).click()
  const says = (page: Page, text: string) => page.getByText(text).waitFor()
  await says(bob, 'bob, press it.')
  await press(ann)
  for (const page of [ann, bob]) await says(page, 'Presses: 1, the last by ann.')
  t.equal(await bob.getByRole('button', { pressed: true }).count(), 1)
  await server.end('SIGKILL')
  for (const page of [ann, bob]) await page.getByRole('button', { disabled: true }).waitFor()
  await server.start()
  await press(bob)
  for (const page of [ann, bob]) await says(page, 'Presses: 2, the last by bob.')
  t.same(faults, [])
})

t.test('the page of the README, with its machine', async (t) => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const [lamp = ''] = blocks(readme, 'ts')
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-page-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'index.html'), blocks(readme, 'html')[0] as string)
  const env = { CHARTROOM_MACHINES: machineFolder(t, { lamp }), CHARTROOM_PUBLIC: folder }
  const server = await startServer(t, { env })
  const page = await browser.newPage()
  await page.goto(`${server.origin}/`)
  await page.getByRole('button', { name: 'off, last turned on by null' }).click()
  const on = page.getByRole('button', { name: 'on, last turned on by cho', exact: true })
  await on.waitFor()
  t.ok(await on.isVisible())
})
