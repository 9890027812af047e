/** The playground, in a real browser against a real server: what a developer does with it on the first evening. */
import fc from 'fast-check'
import jsonpatch from 'fast-json-patch'
import type { BrowserContextOptions, Page, WebSocketRoute } from 'playwright-core'
import t, { type Test } from 'tap'
import { startBrowser } from './fixtures/browser.ts'
import { CertificateFolder } from './fixtures/certificate.ts'
import { ROOT, type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'

const browser = await startBrowser(t)
/** For all tests that neither end it nor need it otherwise; each has a room of its own. */
const server = await startServer(t, { ownKey: true })

/** As much of the DOM as the functions below use that run in the page. */
declare const document: {
  querySelectorAll(selector: string): Iterable<{ textContent: string | null }>
  documentElement: { scrollWidth: number }
}
declare const innerWidth: number

/** One browser tab, and whatever its console complained about: a violated Content-Security-Policy too. */
interface Tab {
  readonly page: Page
  readonly complaints: string[]
}

interface TabOptions {
  /** Stands between the page and the server. */
  readonly line?: (line: WebSocketRoute) => void
  readonly context?: BrowserContextOptions
}

async function openTab(t: Test, server: ServerProcess, { line, context = {} }: TabOptions = {}): Promise<Tab> {
  const page = await browser.newPage(context)
  t.teardown(() => page.close())
  page.setDefaultTimeout(10_000)
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  if (line) await page.routeWebSocket('**/ws', line)
  await page.goto(`${server.origin}/`)
  return { page, complaints }
}

async function connect({ page }: Tab, user: string, room: string): Promise<void> {
  await page.getByLabel('User').fill(user)
  await page.getByLabel('Room').fill(room)
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
}

async function enter(t: Test, server: ServerProcess, user: string, room: string, options?: TabOptions): Promise<Tab> {
  const tab = await openTab(t, server, options)
  await connect(tab, user, room)
  await isOpen(tab)
  return tab
}

const isOpen = ({ page }: Tab) => page.locator('#connection[data-state=open]').waitFor()
const isNotOpen = ({ page }: Tab) => page.locator('#connection:not([data-state=open])').waitFor()

async function say({ page }: Tab, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text)
  await page.getByLabel('Message', { exact: true }).press('Enter')
}

async function sendEvent({ page }: Tab, text: string): Promise<void> {
  await page.getByLabel('Event, as JSON').fill(text)
  await page.getByRole('button', { name: 'Send event' }).click()
}

/** What the elements say, waiting until they say so. */
async function says(t: Test, { page }: Tab, selector: string, expected: string[]): Promise<void> {
  const text = expected.join('\n')
  const isThere = ([selector, text]: [string, string]) =>
    [...document.querySelectorAll(selector)].map((element) => element.textContent).join('\n') === text
  await page.waitForFunction(isThere, [selector, text] as [string, string]).catch(() => undefined)
  t.same(await page.locator(selector).allTextContents(), expected, selector)
}

const stateOf = async ({ page }: Tab) => JSON.parse((await page.locator('#document').textContent()) ?? '')
const framesOf = ({ page }: Tab, type: string) =>
  page.locator('#frames li', { has: page.locator('b', { hasText: new RegExp(`^${type}$`) }) })

t.test('PLAY-1 two people chat through the page and see the same, each other, and every frame', async (t) => {
  const ann = await enter(t, server, 'ann', 'chat/lobby')
  const bob = await enter(t, server, 'bob', 'chat/lobby')
  for (const tab of [ann, bob]) await says(t, tab, '#online li', ['ann', 'bob'])
  await say(ann, 'Good morning, <b>Bob</b>')
  await says(t, bob, '#messages p', ['Good morning, <b>Bob</b>'])
  await say(bob, 'Good morning!')
  for (const tab of [ann, bob]) await says(t, tab, '#messages p', ['Good morning, <b>Bob</b>', 'Good morning!'])
  await says(t, ann, '#messages .head b', ['ann', 'bob'])
  t.same(await stateOf(ann), await stateOf(bob))
  await says(t, bob, '#seqHeld', [(await ann.page.locator('#seqHeld').textContent()) ?? ''])

  await says(t, ann, '#frames b', ['welcome', 'join', 'ok', 'snapshot', 'patch', 'send', 'patch', 'ok', 'patch'])
  await says(t, ann, '#frames abbr', ['↓', '↑', '↓', '↓', '↓', '↑', '↓', '↓', '↓'])
  t.match(JSON.parse((await framesOf(ann, 'send').locator('code').textContent()) ?? ''), {
    type: 'send',
    room: 'chat/lobby',
    event: { type: 'message.post', text: 'Good morning, <b>Bob</b>' },
    key: String,
  })
  const newest = await ann.page.locator('#frames li').last().boundingBox()
  t.ok(newest && newest.y + newest.height < 720, 'the newest frame is in view')
  t.same([...ann.complaints, ...bob.complaints], [])
})

t.test('PLAY-2 after kill -9 the pages come back by themselves, and no message is lost or doubled', async (t) => {
  const server = await startServer(t, { ownKey: true })
  let isDeaf = false
  const losingAnswers = (line: WebSocketRoute): void => {
    line.connectToServer().onMessage((text) => {
      if (!isDeaf) line.send(text)
    })
  }
  const ann = await enter(t, server, 'ann', 'chat/lobby')
  const bob = await enter(t, server, 'bob', 'chat/lobby', { line: losingAnswers })
  await say(ann, 'before')
  for (const tab of [ann, bob]) await says(t, tab, '#messages p', ['before'])
  isDeaf = true
  await say(bob, 'stored, but its answer is lost')
  await says(t, ann, '#messages p', ['before', 'stored, but its answer is lost'])
  await server.end('SIGKILL')
  for (const tab of [ann, bob]) await isNotOpen(tab)
  isDeaf = false
  await say(ann, 'said in the dark')
  await says(t, ann, '#waiting', ['1 waiting to be sent'])
  await server.crashAndRestart()
  for (const tab of [ann, bob]) await isOpen(tab)
  await framesOf(bob, 'ok').locator('code', { hasText: '"dup":true' }).waitFor()
  await says(t, bob, '#messages p', ['before', 'stored, but its answer is lost', 'said in the dark'])
  await say(bob, 'after')
  const all = ['before', 'stored, but its answer is lost', 'said in the dark', 'after']
  for (const tab of [ann, bob]) await says(t, tab, '#messages p', all)
  for (const tab of [ann, bob]) await says(t, tab, '#waiting', [''])
  t.same([...(await stateOf(ann)).context.online].sort(), ['ann', 'bob'])
  t.match(await framesOf(ann, 'join').last().locator('code').textContent(), '"since":{"epoch":', 'it resumed')
  const unexpected = [...ann.complaints, ...bob.complaints].filter((text) => !text.includes('ERR_CONNECTION_'))
  t.same(unexpected, [])
})

t.test('PLAY-3 a room that is no chat is driven through its event buttons and the event box', async (t) => {
  const ann = await enter(t, server, 'ann', 'counter/one')
  await says(t, ann, '#can button', ['decrement', 'increment', 'reset'])
  t.notOk(await ann.page.locator('#chat').isVisible())
  await ann.page.getByRole('button', { name: 'increment' }).click()
  t.same(JSON.parse(await ann.page.getByLabel('Event, as JSON').inputValue()), { type: 'increment', by: 1 })
  await ann.page.keyboard.press('Control+Enter')
  await says(t, ann, '#seqHeld', ['2'])
  await sendEvent(ann, '{ "type": "increment", "by": 41 }')
  await says(t, ann, '#seqHeld', ['3'])
  t.same((await stateOf(ann)).context, { count: 42 })
  await sendEvent(ann, '{ "type": "increment", "by": "a lot" }')
  await ann.page.getByRole('alert').getByText('bad_event').waitFor()
  await ann.page.getByLabel('Event, as JSON').fill('{ "type": ')
  t.notOk(
    await ann.page.getByLabel('Event, as JSON').evaluate((box: { checkValidity(): boolean }) => box.checkValidity()),
  )
  t.same(ann.complaints, [])
})

t.test('PLAY-4 a patch that does not fit what the page holds makes it join again', async (t) => {
  let lost = 0
  const losingOnePatch = (line: WebSocketRoute): void => {
    line.connectToServer().onMessage((text) => {
      if (String(text).includes('"type":"patch"') && lost++ === 0) return
      line.send(text)
    })
  }
  const ann = await enter(t, server, 'ann', 'counter/two', { line: losingOnePatch })
  await ann.page.locator('#can button').first().waitFor()
  await sendEvent(ann, '{ "type": "increment" }')
  await framesOf(ann, 'ok').nth(1).waitFor()
  t.same((await stateOf(ann)).context, { count: 0 }, 'the first patch is lost')
  await sendEvent(ann, '{ "type": "increment" }')
  await framesOf(ann, 'mismatch').waitFor()
  await framesOf(ann, 'snapshot').nth(1).waitFor()
  await says(t, ann, '#seqHeld', ['3'])
  t.same((await stateOf(ann)).context, { count: 2 })
})

t.test('PLAY-5 a closing from 4000 to 4099 stops the page, which says why', async (t) => {
  let dialled = 0
  const closing = { type: 'closing', code: 4010, reason: 'the token was revoked', reconnect: false }
  const revoking = (line: WebSocketRoute): void => {
    dialled++
    line.send(JSON.stringify(closing))
    void line.close({ code: 4010, reason: 'revoked' })
  }
  const ann = await openTab(t, server, { line: revoking })
  await connect(ann, 'ann', 'chat/closed')
  await ann.page.locator('#connection[data-state=closed]').waitFor()
  await says(t, ann, '#verdict', ['closed 4010'])
  await says(t, ann, '#reason', ['the token was revoked'])
  t.equal(dialled, 1)
})

t.test('PLAY-6 whoever finds no place left is told so, and gets in once there is one', async (t) => {
  const server = await startServer(t, { ownKey: true, env: { CHARTROOM_MAX_CONNECTIONS_PER_USER: '1' } })
  const first = await enter(t, server, 'ann', 'chat/lobby')
  const second = await openTab(t, server)
  await connect(second, 'ann', 'chat/lobby')
  await second.page.getByText('closed 4104', { exact: true }).waitFor()
  await framesOf(second, 'closing').first().waitFor()
  await first.page.getByRole('button', { name: 'Disconnect' }).click()
  await isOpen(second)
  t.match(await first.page.locator('#reason').textContent(), 'by you')
})

t.test('PLAY-11 where there is no chat the machines that there are stand ready', async (t) => {
  const server = await startServer(t, { ownKey: true, env: { CHARTROOM_MACHINES: `${ROOT}/starter/machines/rooms` } })
  const tab = await openTab(t, server)
  await connect(tab, 'ann', 'chat/lobby')
  await says(t, tab, '#notice', ['unknown_machine: no machine is called chat; there are light'])
  t.equal(await tab.page.getByLabel('Room').inputValue(), 'light/one')
  await tab.page.getByRole('button', { name: 'Connect', exact: true }).click()
  await framesOf(tab, 'snapshot').first().waitFor()
})

t.test('PLAY-7 in production the page asks for a token, and takes its user from there', async (t) => {
  const secret = 'a production secret of more than 32 bytes'
  const server = await startServer(t, { ownKey: true, env: { NODE_ENV: 'production', CHARTROOM_JWT_SECRET: secret } })
  const tab = await openTab(t, server)
  await connect(tab, 'ann', 'counter/one')
  await tab.page.getByLabel('Token').fill(await tokenFor('carol', { secret }))
  await tab.page.getByRole('button', { name: 'Connect', exact: true }).click()
  await isOpen(tab)
  await says(t, tab, '#whoHeld', ['carol'])
})

t.test('PLAY-8 a narrow page and a dark one lose nothing of it', async (t) => {
  const context = { viewport: { width: 360, height: 640 }, colorScheme: 'dark' } as const
  const { page } = await enter(t, server, 'ann', 'chat/narrow', { context })
  await page.getByLabel('Message', { exact: true }).waitFor()
  t.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it does not scroll sideways')
  for (const title of ['Chat', 'State', 'Frames']) t.ok(await page.getByRole('heading', { name: title }).isVisible())
})

t.test('PLAY-9 the page applies patches as RFC 6902 says', async (t) => {
  const { page } = await openTab(t, server)
  const json = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('__proto__'))
  const random = fc.sample(fc.tuple(json, json), { numRuns: 300, seed: 6902 }).map((pair): PatchCase => {
    const [before, after] = JSON.parse(JSON.stringify(pair.map((value) => ({ value }))))
    return [before, jsonpatch.compare(before, after), after]
  })
  const cases = [...random, ...appendixA, ...refused]
  const got = await page.evaluate(applyInPage, { cases, file: '/playground.js' })
  for (const [at, [before, ops, expected]] of cases.entries()) {
    t.same(got[at], expected, `${JSON.stringify(ops)} on ${JSON.stringify(before)}`)
  }
})

/** A document, the operations on it, and what they give. */
type PatchCase = [unknown, unknown[], unknown]

const REFUSED = 'refused'

async function applyInPage({ cases, file }: { cases: PatchCase[]; file: string }): Promise<unknown[]> {
  const { applyPatch } = await import(file)
  return cases.map(([document, ops]) => {
    try {
      return applyPatch(document, ops)
    } catch {
      return 'refused'
    }
  })
}

/** RFC 6902, Appendix A, where it is about applying. */
const appendixA: PatchCase[] = [
  [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
  [{ foo: ['bar', 'baz'] }, [{ op: 'add', path: '/foo/1', value: 'qux' }], { foo: ['bar', 'qux', 'baz'] }],
  [{ baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
  [{ foo: ['bar', 'qux', 'baz'] }, [{ op: 'remove', path: '/foo/1' }], { foo: ['bar', 'baz'] }],
  [{ baz: 'qux', foo: 'bar' }, [{ op: 'replace', path: '/baz', value: 'boo' }], { baz: 'boo', foo: 'bar' }],
  [{ a: { b: 1 }, c: {} }, [{ op: 'move', from: '/a/b', path: '/c/d' }], { a: {}, c: { d: 1 } }],
  [{ foo: [0, 1, 2, 3] }, [{ op: 'move', from: '/foo/1', path: '/foo/3' }], { foo: [0, 2, 3, 1] }],
  [{ baz: 'qux', foo: ['a', 2] }, [{ op: 'test', path: '/foo/1', value: 2 }], { baz: 'qux', foo: ['a', 2] }],
  [{ baz: 'qux' }, [{ op: 'test', path: '/baz', value: 'bar' }], REFUSED],
  [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 1, xyz: 2 }], { foo: 'bar', baz: 1 }],
  [{ foo: 'bar' }, [{ op: 'add', path: '/baz/bat', value: 'qux' }], REFUSED],
  [{ '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
  [{ '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: '10' }], REFUSED],
  [{ foo: ['bar'] }, [{ op: 'add', path: '/foo/-', value: ['abc'] }], { foo: ['bar', ['abc']] }],
  [{ a: { b: [1] } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: [1] }, c: { b: [1] } }],
  [{ a: 1 }, [{ op: 'replace', path: '', value: [2] }], [2]],
]

const refused: PatchCase[] = [
  { op: 'add', path: '/list/3', value: 1 },
  { op: 'add', path: '/list/01', value: 1 },
  { op: 'replace', path: '/list/length', value: 0 },
  { op: 'replace', path: '/none', value: 1 },
  { op: 'remove', path: '/list/-' },
  { op: 'remove', path: '/toString' },
  { op: 'add', path: '/__proto__/polluted', value: true },
  { op: 'move', from: '/tree', path: '/tree/leaf' },
  { op: 'merge', path: '/tree', value: {} },
].map((op) => [{ list: [1, 2], tree: { leaf: 1 } }, [op], REFUSED])

t.test('PLAY-10 over TLS the page connects as well', async (t) => {
  const files = new CertificateFolder(t)
  files.make()
  const secure = await startServer(t, { ownKey: true, env: files.env })
  const tab = await enter(t, secure, 'ann', 'chat/lobby', { context: { ignoreHTTPSErrors: true } })
  await say(tab, 'Good morning')
  await says(t, tab, '#messages p', ['Good morning'])
  t.same(tab.complaints, [])
})
