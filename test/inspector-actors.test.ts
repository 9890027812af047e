/** The inspector's page, in a real browser: actors in trouble, a great many of them, and whether everybody can read it. */
import { join } from 'node:path'
import type { Locator, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { startBrowser } from './fixtures/browser.ts'
import { faintLines, faintTexts, ring, textsOf } from './fixtures/contrast.ts'
import { enter, look, picture, there } from './fixtures/look.ts'
import { ROOT, type ServerProcess, startServer } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { Tab } from './fixtures/tab.ts'
import { forge, good, KeyServer } from './fixtures/tokens.ts'

const browser = await startBrowser(t)
const server = await startServer(t, { env: { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/inspected') } })

async function sendAll(tab: Tab, room: string, ...types: string[]): Promise<void> {
  for (const type of types) await tab.ask({ type: 'send', room, event: { type } })
}

/** The rows of a list of connections of which nobody knows yet whose they are. */
const strangers = (page: Page): Locator =>
  page.locator('section', { has: page.locator('p.group', { hasText: 'not yet known' }) }).locator('.actor.connection')

t.test('INS-8 a room that failed is found, says why, shows its past, and is revived as the page says', async (t) => {
  const ann = await enter(t, server, 'fragile/vase')
  await enter(t, server, 'fragile/whole')
  const { page, complaints } = await look(t, browser, server, '#room:fragile/vase')
  await sendAll(ann, 'fragile/vase', 'go', 'go', 'drop')
  t.match(await there(page, '.failure[role=alert]'), 'fragile/vase failed: its machine threw once within 30 s')
  await there(page, '.possible', 'The room has failed.')
  t.equal(await page.locator('.line.possible').count(), 0)
  await page.getByRole('checkbox', { name: 'Failed' }).check()
  await page.getByRole('button', { name: 'whole' }).waitFor({ state: 'detached' })
  t.same(await page.locator('.list .actor').allTextContents(), ['vasefailed'])
  t.equal(await page.locator('.list .actor .dot.failed').count(), 1)
  await picture(page, 'INS-8 failed')

  await page.getByLabel('Moment in the log').press('Home')
  await there(page, 'output.seq', /^1 /)
  await there(page, '.stage:not(.failed) [data-id="fragile.whole"].active')
  t.equal(await page.locator('.failure').count(), 0, 'it had not failed then')
  await page.getByRole('button', { name: 'Past' }).click()
  await there(page, '.failure')

  const service = await Service.of(server)
  const [letters = '', revive = ''] = await page.locator('.failure code').allTextContents()
  const [event, error] = [{ type: 'drop' }, { message: 'it fell' }]
  t.match(await service.get(letters.replace('GET ', '')), { letters: [{ event, error }] })
  await service.post(revive.replace('POST ', ''), {})
  await page.locator('.failure').waitFor({ state: 'detached' })
  await page.getByText('No actor fits.').waitFor()
  t.same(complaints, [])
})

t.test(
  'INS-14 a state among the figures of a machine lists the rooms in it, also one of several at once',
  async (t) => {
    const ann = await enter(t, server, 'match/final')
    await enter(t, server, 'match/waiting')
    await sendAll(ann, 'match/final', 'FULL', 'START', 'map.ok', 'assets.ok', 'START')
    const { page, complaints } = await look(t, browser, server, '#machine:match')
    const states = page.locator('.population .share')
    await states.filter({ hasText: /^playing\.rounds\.countdown$/ }).click()
    await there(page, '.list .actor', 'final')
    await page.locator('.list .actor', { hasText: 'waiting' }).waitFor({ state: 'detached' })
    await states.filter({ hasText: /^lobby$/ }).click()
    await there(page, '.list .actor', 'waiting')
    t.same(complaints, [])
  },
)

t.test('INS-9 a handshake that hangs is seen where it hangs, until when, and why it was closed', async (t) => {
  const keys = await KeyServer.open(t)
  const env = { CHARTROOM_JWKS_URL: keys.url, CHARTROOM_AUTH_TIMEOUT: '8000' }
  const own = await startServer(t, { ownKey: true, env })
  const { page, complaints } = await look(t, browser, own)
  await Tab.open(own, '', { token: null })
  await strangers(page).click()
  await there(page, '[data-id="connection.connecting.waiting"].active')
  await there(page, '.way.pending[data-id="connection.connecting.waiting:1"] .ring')
  t.match(await there(page, '.timers'), /after authTimeoutin \d/)
  await picture(page, 'INS-9 waiting')
  t.match(await there(page, '.ending', 'closed'), 'closed 4008 auth_timeout: no auth frame came in time')
  await there(page, '[data-id="connection.closed"].active')
  t.match(await there(page, '.possible'), 'no event')
  await picture(page, 'INS-9 closed')

  await strangers(page).filter({ hasText: 'closed' }).waitFor()
  const late = await Tab.open(own, '', { token: null })
  await strangers(page).filter({ hasText: 'connecting' }).click()
  await there(page, '[data-id="connection.connecting.waiting"].active')
  const asked = keys.hold()
  late.send({ type: 'auth', token: forge({ alg: 'ES256', kid: 'one' }, good()) })
  await asked
  await there(page, '[data-id="connection.connecting.verifying"].active')
  await picture(page, 'INS-9 verifying')
  t.match(await there(page, '.ending', 'closed'), 'closed 4001 unauthorized: the keys cannot be fetched now')
  t.same(complaints, [])
})

/** So many people in so many rooms, each of which has had one event. */
async function crowd(t: Test, server: ServerProcess, people: number, rooms: number): Promise<void> {
  const come = async (person: number): Promise<void> => {
    const tab = await enter(t, server, `light/${person}`, `user ${person}`)
    for (let room = person; room <= rooms; room += people) await sendAll(tab, `light/${room}`, 'switch')
  }
  await Promise.all(Array.from({ length: people }, (_, index) => come(index + 1)))
}

t.test('INS-10 of a thousand rooms and hundreds of connections any is found, and seen live', async (t) => {
  const own = await startServer(t, { env: { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/inspected') } })
  await crowd(t, own, 300, 1000)
  const { page, complaints } = await look(t, browser, own)
  await there(page, '.list h2', 'Rooms 1000')
  await there(page, '.list h2', 'People 300')
  t.match(await there(page, '.list .further'), 'Show more (970)')
  t.ok((await page.locator('.list .actor').count()) <= 430, 'the feed names 200 sessions and 200 connections')
  t.equal(
    await page.evaluate('((list) => list.scrollHeight > list.clientHeight)(document.querySelector(".list"))'),
    true,
  )
  t.equal(await page.evaluate('document.documentElement.scrollHeight <= innerHeight'), true)
  await picture(page, 'INS-10 many')

  await page.getByLabel('Search actors').fill('light/1000')
  await page.getByRole('button', { name: '1000 on' }).click()
  await there(page, '[data-id="light.on"].active')
  await sendAll(await enter(t, own, 'light/1000', 'zoe'), 'light/1000', 'switch')
  await there(page, '[data-id="light.off"].active')
  t.match(await there(page, '.log .here'), 'zoe')
  await page.getByLabel('Search actors').fill('user 300')
  await there(page, '.list .session', 'user 300')
  t.same(complaints, [])
})

/** Everything on the page that is hard to read or to see, in both themes. */
async function isLegible(t: Test, page: Page, what: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    t.ok((await textsOf(page)).length > 5, `${what}: there is something to read`)
    t.same(await faintTexts(page), [], `texts of ${what}, ${colorScheme}`)
    t.same(await faintLines(page), [], `lines of ${what}, ${colorScheme}`)
    await picture(page, `INS-11 ${what} ${colorScheme}`)
  }
}

/** A match in which something is active in every region, and a delay is waiting. */
async function match(t: Test): Promise<Tab> {
  const ann = await enter(t, server, 'match/42')
  const begun = ['player.join', 'FULL', 'START', 'map.ok', 'assets.ok', 'START']
  await sendAll(ann, 'match/42', ...begun, 'START', 'SAY', 'MUTE', 'DROP', 'MOVE')
  return ann
}

t.test('INS-11 every text can be read and every line that says something be seen, by day and by night', async (t) => {
  await match(t)
  await sendAll(await enter(t, server, 'fragile/cup'), 'fragile/cup', 'drop')
  const { page, complaints } = await look(t, browser, server, '#room:match/42')
  await there(page, '[data-id="match.playing.rounds.live.turn"].active')
  await isLegible(t, page, 'a match')
  t.equal(
    await page.evaluate('getComputedStyle(document.querySelector(\'[data-of="match.playing"] .title\')).stroke'),
    await page.evaluate('getComputedStyle(document.querySelector(\'[data-id="match.playing"] .frame\')).fill'),
    'what keeps lines off a title is of the colour beneath it',
  )
  await page.getByRole('button', { name: 'Fork here' }).click()
  await page.getByLabel('Events, one a line').fill('PAUSE\nNEXT')
  await page.getByRole('button', { name: 'Run' }).click()
  await there(page, '.ideas .refused')
  await isLegible(t, page, 'a fork')
  await page.goto(page.url().replace(/#.*/, '#room:fragile/cup'))
  await there(page, '.failure')
  await isLegible(t, page, 'a failed room')
  await page.goto(page.url().replace(/#.*/, '#machine:match'))
  await there(page, '.counted .count:not(.none)')
  await page.getByRole('button', { name: 'Keys' }).click()
  await isLegible(t, page, 'an overview')
  t.same(complaints, [])
})

t.test('INS-11 the gate can be read by day and by night', async (t) => {
  const own = await startServer(t, { env: { NODE_ENV: 'production' } })
  const { page } = await look(t, browser, own)
  await page.getByLabel('Token').fill('no.token.atall')
  await page.getByRole('button', { name: 'Look' }).click()
  await there(page, '.gate .bad')
  await isLegible(t, page, 'the gate')
})

t.test('INS-11 the theme is the system’s until the button says otherwise, and then stays', async (t) => {
  const { page } = await look(t, browser, server)
  const ground = (): Promise<string> => page.evaluate('getComputedStyle(document.body).backgroundColor')
  const grounds: string[] = []
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    grounds.push(await ground())
  }
  const [light, dark] = grounds
  t.not(light, dark)
  await page.getByRole('button', { name: 'Light or dark' }).click()
  t.equal(await ground(), light)
  await page.reload()
  t.equal(await ground(), light)
  await page.getByRole('button', { name: 'Light or dark' }).click()
  await page.emulateMedia({ colorScheme: 'light' })
  t.equal(await ground(), dark)
})

const ROLES = ['button', 'link', 'searchbox', 'textbox', 'combobox', 'checkbox', 'slider', 'img'] as const

t.test(
  'INS-11 every control has a name, and is seen to have the focus when the keyboard brings it there',
  async (t) => {
    await sendAll(await enter(t, server, 'light/keys'), 'light/keys', 'switch')
    const { page } = await look(t, browser, server, '#room:light/keys')
    await page.getByRole('button', { name: 'Fork here' }).waitFor()
    for (const role of ROLES) {
      const named = page.getByRole(role, { name: /\S/ })
      t.equal(await page.getByRole(role).count(), await named.count(), `every ${role} has a name`)
    }
    const seen = new Set<string>()
    for (;;) {
      await page.keyboard.press('Tab')
      if (await page.evaluate('document.activeElement === document.body')) break
      const found = await ring(page)
      t.ok(found && found.ratio >= 3, JSON.stringify(found))
      seen.add(found?.what ?? '')
    }
    const named = [
      'Search actors',
      'In state',
      'Moment in the log',
      'One step back',
      'Live',
      'Copy link',
      'Export',
      'Keys',
    ]
    for (const name of [...named, 'Light or dark', 'switch', 'Fork here', 'Zoom in', 'Filter the events shown'])
      t.ok(seen.has(name), `${name} is reached`)
  },
)
