/** Bad frames: each gets exactly one error with the right code, the connection stays open, and the next ping is answered. */
import t, { type Test } from 'tap'
import { type ServerProcess, startServer } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

type Bad = readonly [text: string | Buffer, expected: object]

const post = (fields: object): string =>
  JSON.stringify({ type: 'send', room: 'chat/errors', event: { type: 'message.post', ...fields } })

const SCENARIOS: readonly (readonly [title: string, ...Bad[]])[] = [
  ['ERR-1 invalid JSON', ['{"type":"ping",}', { code: 'bad_json' }]],
  ['ERR-2 truncated JSON', ['{"type":"pi', { code: 'bad_json' }]],
  ['ERR-3 an empty frame', ['', { code: 'bad_json' }]],
  ['ERR-4 plain text', ['hello there', { code: 'bad_json' }]],
  ['ERR-5 no type', ['{"id":5}', { code: 'bad_frame', path: '/type', id: 5 }]],
  ['ERR-6 an unknown type', ['{"type":"dance","id":6}', { code: 'unknown_type', id: 6, allowed: ['auth', 'ping'] }]],
  ['ERR-7 a room event without its required field', [post({}), { code: 'bad_event', path: '/event/text' }]],
  [
    'ERR-8 malformed, unknown, {} and an empty type in turn',
    ['{{', { code: 'bad_json' }],
    ['{"type":"dance"}', { code: 'unknown_type' }],
    ['{}', { code: 'bad_frame', path: '/type' }],
    ['{"type":""}', { code: 'unknown_type' }],
  ],
  [
    'ERR-10 binary, array, number, string, null, too deep, a prototype',
    [Buffer.from('{"type":"ping"}'), { code: 'unsupported_data' }],
    ['[{"type":"ping"}]', { code: 'bad_frame' }],
    ['42', { code: 'bad_frame' }],
    ['"ping"', { code: 'bad_frame' }],
    ['null', { code: 'bad_frame' }],
    [`{"type":"ping","data":${'['.repeat(32)}${']'.repeat(32)}}`, { code: 'bad_frame' }],
    ['{"type":"ping","data":{"__proto__":{}}}', { code: 'bad_frame', path: '/data/__proto__' }],
  ],
]

/** Sends what is bad, and holds the server to one error for it and to an answer for the next ping. */
async function refused(t: Test, tab: Tab, [text, expected]: Bad): Promise<void> {
  const before = tab.frames.length
  tab.socket.send(text)
  const error = await tab.next('error')
  t.match(error, { type: 'error', retry: false, ...expected }, String(text).slice(0, 60))
  t.ok(error.message.length > 10 && /[a-z]/.test(error.message), `a person understands: ${error.message}`)
  await tab.ask({ type: 'ping' })
  t.equal(tab.frames.length, before + 2, 'one error, one pong, nothing else')
}

t.test('errors', async (t) => {
  const server: ServerProcess = await startServer(t)

  for (const [title, ...bad] of SCENARIOS) {
    t.test(title, async (t) => {
      const tab = await Tab.open(server, 'ann')
      for (const one of bad) await refused(t, tab, one)
    })
  }

  t.test('ERR-9 five malformed at once: five errors, then the pong', async (t) => {
    const tab = await Tab.open(server, 'ann')
    tab.burst(['{', '[', 'x', '', '{"type":1}', { type: 'ping', id: 'after' }])
    await tab.next((frame) => frame.id === 'after')
    const types = tab.frames.slice(1).map((frame: Frame) => frame.type)
    t.same(types, ['error', 'error', 'error', 'error', 'error', 'pong'])
  })

  t.test('ERR-12 19 errors survive, the 20th closes 4000', async (t) => {
    const tab = await Tab.open(server, 'ann')
    tab.burst(Array(19).fill('{'))
    for (let i = 0; i < 19; i++) await tab.next('error')
    await tab.ask({ type: 'ping' })
    tab.socket.send('{')
    await tab.next('error')
    t.match(await tab.next('closing'), { code: 4000, reconnect: false })
    t.same(await tab.close(), { code: 4000, reason: 'bad_request' })
  })
})
