/** The inspector's page, in a real browser against a real server: what one sees of a room, now and at any moment. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startBrowser } from './fixtures/browser.ts'
import { enter, look, there } from './fixtures/look.ts'
import { ROOT, startServer, tokenFor } from './fixtures/server.ts'

const browser = await startBrowser(t)
const server = await startServer(t)

/** An empty folder for machine files, until the test ends. */
function machineFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-machines-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  return folder
}

const OFFER = { type: 'offer', lot: 'a lamp', price: 5, lasts: 3_600_000, grace: 1000 }

t.test('INS-1 a room is found, and seen as a live chart with its state, context and log', async (t) => {
  const ann = await enter(t, server, 'auction/lamp')
  const { page, complaints } = await look(t, browser, server)
  await page.getByLabel('Search actors').fill('lamp')
  await page.getByRole('button', { name: 'lamp' }).click()
  await there(page, '[data-id="auction.empty"].active')
  await ann.ask({ type: 'send', room: 'auction/lamp', event: OFFER })
  await there(page, '[data-id="auction.open"].active')
  await there(page, '.way.taken[data-id="auction.empty:0"]')
  await there(page, '.way.pending .ring')
  await there(page, '.tree .changed', 'a lamp')
  t.match(await there(page, '.log .here', 'offer'), 'ann')
  t.equal(await page.locator('[data-id="auction.empty"].active').count(), 0)
  t.same(complaints, [])
})

t.test('INS-2 any moment is shown again, has an address, and Space leads back to now', async (t) => {
  const ann = await enter(t, server, 'counter/past')
  for (const by of [1, 2, 3]) await ann.ask({ type: 'send', room: 'counter/past', event: { type: 'increment', by } })
  const { page, complaints } = await look(t, browser, server, '#room:counter/past')
  await there(page, '.context', 'count 6')
  await page.locator('.event', { hasText: '{"by":2}' }).click()
  await there(page, '.context', 'count 3')
  const address = page.url()
  t.match(address, /#room:counter\/past@\d+$/)
  await ann.ask({ type: 'send', room: 'counter/past', event: { type: 'reset' } })
  await there(page, '.context', 'count 3')
  await page.locator('.canvas').press('Space')
  await there(page, '.context', 'count 0')
  const again = await look(t, browser, server, new URL(address).hash)
  await there(again.page, '.context', 'count 3')
  t.same([...complaints, ...again.complaints], [])
})

t.test(
  'INS-3 an event that is possible now is sent from its button, and tried on a fork that stays without effect',
  async (t) => {
    const ann = await enter(t, server, 'counter/sent')
    const { page } = await look(t, browser, server, '#room:counter/sent')
    await page.getByRole('button', { name: 'Fork here' }).click()
    await page.getByLabel('Events, one a line').fill('increment {"by": 40}\nincrement {"by": 2}')
    await page.getByRole('button', { name: 'Run' }).click()
    await there(page, '.imagined .context', 'count 42')
    await page.getByRole('button', { name: 'Close', exact: true }).click()
    await there(page, '.context', 'count 0')
    await page.getByRole('button', { name: 'increment', exact: true }).click()
    await page.locator('#payload').fill('{"by": 7}')
    await page.getByRole('button', { name: 'Send' }).click()
    await there(page, '.send output', 'stored as')
    await there(page, '.context', 'count 7')
    t.match(await ann.ask({ type: 'join', room: 'counter/sent' }), { type: 'ok' })
  },
)

t.test('INS-15 the past of a room is taken away as a file, whatever its key', async (t) => {
  await enter(t, server, 'chat/..')
  const { page } = await look(t, browser, server, '#room:chat/..')
  await there(page, '.log .event', 'room.created')
  const coming = page.waitForEvent('download')
  await page.getByRole('link', { name: 'Export' }).click()
  const [heading = ''] = readFileSync(await (await coming).path(), 'utf8').split('\n')
  t.match(JSON.parse(heading), { chartroom: 1, room: 'chat/..' })
})

t.test('INS-4 what people write is text in the page, never markup', async (t) => {
  const ann = await enter(t, server, 'chat/markup')
  const text = '<img src=x onerror=document.title=1><b>bold</b>'
  await ann.ask({ type: 'send', room: 'chat/markup', event: { type: 'message.post', text } })
  const { page, complaints } = await look(t, browser, server, '#room:chat/markup')
  await there(page, '.context', text)
  t.equal(await page.locator('aside img, aside .tree b').count(), 0)
  t.same(complaints, [])
})

t.test('INS-5 all rooms of a machine on one chart, and a connection as a chart', async (t) => {
  await enter(t, server, 'counter/many', 'olga')
  const { page, complaints } = await look(t, browser, server, '#machine:auction')
  await there(page, '.counted .chart')
  await page.getByLabel('Search actors').fill('olga')
  const olga = page.locator('section', { has: page.locator('.session', { hasText: 'olga' }) })
  await olga.locator('.actor.connection').click()
  await there(page, '[data-id="connection.open"].active')
  t.same(complaints, [])
})

t.test('INS-6 a server that goes away is said to be out of reach, and found again', async (t) => {
  const own = await startServer(t)
  await enter(t, own, 'counter/away', 'ann')
  const { page } = await look(t, browser, own, '#room:counter/away')
  await there(page, '[data-id="counter"].active')
  await own.end('SIGTERM')
  await there(page, '.notice', 'out of reach')
  await own.start()
  await page
    .locator('.notice', { hasText: 'out of reach' })
    .waitFor({ state: 'detached' })
    .catch(() => undefined)
  const ann = await enter(t, own, 'counter/away', 'ann')
  await ann.ask({ type: 'send', room: 'counter/away', event: { type: 'increment', by: 9 } })
  await there(page, '.context', 'count 9')
})

t.test('INS-7 in production the page asks for a token with the scope', async (t) => {
  const own = await startServer(t, { env: { NODE_ENV: 'production' } })
  await enter(t, own, 'counter/shut', 'ann')
  const { page } = await look(t, browser, own, '#room:counter/shut')
  await page.getByLabel('Token').fill('no.token.atall')
  await page.getByRole('button', { name: 'Look' }).click()
  await there(page, '.gate', 'was refused')
  await page.getByLabel('Token').fill(await tokenFor('ann'))
  await page.getByRole('button', { name: 'Look' }).click()
  await there(page, '.gate', 'lacks the scope')
  await page.getByLabel('Token').fill(await tokenFor('ann', { claims: { scope: 'inspect' } }))
  await page.getByRole('button', { name: 'Look' }).click()
  await there(page, '[data-id="counter"].active')
  t.equal(await page.locator('.possible button.chip').count(), 0, 'without inspect:send nothing can be sent')
  t.equal(await page.getByRole('button', { name: 'Fork here' }).count(), 0, 'and nothing tried')
  await there(page, '.possible', 'You may look only')
})

t.test('INS-12 every machine is listed, its overview opens, and a fork lets a pending delay end', async (t) => {
  const ann = await enter(t, server, 'poll/lunch')
  const event = { type: 'ask', question: 'Soup?', options: ['yes', 'no'], lasts: 3_600_000 }
  await ann.ask({ type: 'send', room: 'poll/lunch', event })
  const { page, complaints } = await look(t, browser, server)
  const machine = (name: string) => page.locator('.heading', { hasText: name })
  t.match(await machine('workflow').textContent(), /workflow\s*0/, 'also one without rooms')
  await machine('poll').locator('small .dot.awake').waitFor({ state: 'attached' })
  await machine('poll').locator('.group').click()
  await there(page, '.population', /in memory.*By state.*open/s)
  await page.locator('.actor', { hasText: 'lunch' }).click()
  await page.getByRole('button', { name: 'Fork here' }).click()
  await page.getByLabel('Events, one a line').fill('')
  await page.getByRole('group', { name: 'Pending delays' }).getByRole('button').click()
  await page.getByRole('button', { name: 'Run' }).click()
  await there(page, '.imagined .value', 'closed')
  await there(page, '[data-id="poll.closed"].active')
  t.same(complaints, [])
})

t.test('INS-16 a machine called as something of every object is has its figures and its rooms', async (t) => {
  const folder = machineFolder(t)
  const text =
    "import { createMachine } from 'xstate'\nexport default createMachine({ id: 'constructor', initial: 'a', states: { a: {} } })"
  writeFileSync(join(folder, 'constructor.ts'), text)
  const own = await startServer(t, { env: { CHARTROOM_MACHINES: folder } })
  const { page, complaints } = await look(t, browser, own, '#machine:constructor')
  await there(page, '.population', /in memory0.*It has no room yet/s)
  await there(page, '.counted [data-count="constructor"].none')
  await enter(t, own, 'constructor/x')
  await there(page, '.list .actor', 'x')
  await there(page, '.population .share', 'a')
  t.same(complaints, [])
})

t.test('INS-13 a machine that is changed while one looks is drawn anew, and what it hides is hidden', async (t) => {
  const folder = machineFolder(t)
  const write = (states: string, rest = ''): void =>
    writeFileSync(
      join(folder, 'door.ts'),
      `import { createMachine } from 'xstate'
      const context = { pin: 'from the beginning' }
      export default createMachine({ id: 'a door', context, initial: 'open', states: { ${states} } })
      ${rest}`,
    )
  write('open: {}')
  const own = await startServer(t, { command: 'dev', env: { CHARTROOM_MACHINES: folder } })
  await enter(t, own, 'door/a')
  const { page, complaints } = await look(t, browser, own, '#room:door/a')
  const all = await look(t, browser, own, '#machine:door')
  await there(page, '.context', 'from the beginning')
  for (const each of [page, all.page]) {
    await there(each, '[data-id="a door.open"]')
    t.equal(await each.locator('[data-id="a door.shut"]').count(), 0)
  }
  write("open: { on: { SHUT: 'shut' } }, shut: {}", "export const policy = { redact: ['pin'] }")
  for (const each of [page, all.page]) await there(each, '[data-id="a door.shut"]')
  await there(page, '.context', '(hidden)')
  t.notMatch(await page.locator('body').textContent(), /from the beginning/)
  t.same([...complaints, ...all.complaints], [])
})
