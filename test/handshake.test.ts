/** The opening handshake over raw TCP: every request a case, its answer beside it (RFC 6455 4.2.1, docs/websocket.md). */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { frame, PING, Raw, type Response, TEXT } from './fixtures/raw.ts'
import { ROOT, type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

/** What the server owes to the key of a request (RFC 6455 4.2.2). */
function acceptOf(request: string): string {
  const [, key] = /^Sec-WebSocket-Key: *(\S+)/m.exec(request) ?? []
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

/** Header fields by name: a list is one field for each value, `null` leaves the field out. */
type Fields = Readonly<Record<string, string | readonly string[] | null>>

/** A request that is whole but for `changes`. */
function head(changes: Fields = {}, line = 'GET /ws HTTP/1.1'): string {
  const fields: Fields = {
    Host: 'chart.example',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': KEY,
    ...changes,
  }
  const lines = Object.entries(fields).flatMap(([name, value]) => [value ?? []].flat().map((one) => `${name}: ${one}`))
  return [line, ...lines, '', ''].join('\r\n')
}

/** The same with lines at its end that no `Fields` can hold. */
const headWith = (...lines: string[]): string => `${head().slice(0, -2)}${lines.join('\r\n')}\r\n\r\n`

const many = (count: number): Fields => Object.fromEntries(Array.from({ length: count }, (_, i) => [`X-${i}`, '1']))

type Outcome = number | 'closed'
type Case = readonly [what: string, request: string, outcome: Outcome]

const version = (what: string, value: Fields[string], outcome: Outcome): Case => [
  `version ${what}`,
  head({ 'Sec-WebSocket-Version': value }),
  outcome,
]
const VERSIONS: readonly Case[] = [
  version('13', '13', 101),
  version('13 between spaces', ' 13 ', 101),
  version('13 and a tab', '13\t', 101),
  version('missing', null, 426),
  version('empty', '', 426),
  version('8', '8', 426),
  version('12', '12', 426),
  version('14', '14', 426),
  version('99', '99', 426),
  version('013', '013', 426),
  version('+13', '+13', 426),
  version('13x', '13x', 426),
  version('1 3', '1 3', 426),
  version('13, 8', '13, 8', 426),
  version('twice', ['13', '13'], 426),
  version('13 and 8', ['13', '8'], 426),
]

const key = (what: string, value: Fields[string], outcome: Outcome): Case => [
  `key ${what}`,
  head({ 'Sec-WebSocket-Key': value }),
  outcome,
]
const KEYS: readonly Case[] = [
  key('between spaces', `  ${KEY}  `, 101),
  key('of 16 zero bytes', `${'A'.repeat(22)}==`, 101),
  key('with + and /', `+/${'A'.repeat(20)}==`, 101),
  key('missing', null, 400),
  key('empty', '', 400),
  key('of 15 bytes', Buffer.alloc(15).toString('base64'), 400),
  key('of 17 bytes', Buffer.alloc(17).toString('base64'), 400),
  key('of 18 bytes, 24 digits', Buffer.alloc(18).toString('base64'), 400),
  key('of 24 "!"', '!'.repeat(24), 400),
  key('in base64url', `-_${'A'.repeat(20)}==`, 400),
  key('with trailing bits set', `${KEY.slice(0, 21)}R==`, 400),
  key('without padding', KEY.slice(0, 22), 400),
  key('with a space inside', `${KEY.slice(0, 12)} ${KEY.slice(12)}`, 400),
  key('twice', [KEY, KEY], 400),
  key('and an empty one', [KEY, ''], 400),
  key('after an empty one', ['', KEY], 400),
]

const upgrade = (what: string, value: Fields[string], outcome: Outcome): Case => [
  `Upgrade ${what}`,
  head({ Upgrade: value }),
  outcome,
]
const connection = (what: string, value: Fields[string], outcome: Outcome): Case => [
  `Connection ${what}`,
  head({ Connection: value }),
  outcome,
]
const UPGRADES: readonly Case[] = [
  upgrade('in mixed case', 'WebSocket', 101),
  upgrade('in capitals', 'WEBSOCKET', 101),
  upgrade('as a list', 'h2c, websocket', 101),
  upgrade('as a list without a space', 'websocket,h2c', 101),
  upgrade('in two fields', ['h2c', 'websocket'], 101),
  upgrade('missing', null, 426),
  upgrade('empty', '', 426),
  upgrade('to h2c', 'h2c', 426),
  upgrade('with a version', 'websocket/13', 426),
  upgrade('to websockets', 'websockets', 426),
  upgrade('of two words', 'web socket', 426),
  upgrade('in quotes', '"websocket"', 426),
  connection('in lower case', 'upgrade', 101),
  connection('in capitals', 'UPGRADE', 101),
  connection('as a list', 'keep-alive, Upgrade', 101),
  connection('in two fields', ['keep-alive', 'Upgrade'], 101),
  connection('with a comma too many', 'Upgrade,', 101),
  connection('missing', null, 400),
  connection('empty', '', 400),
  connection('keep-alive', 'keep-alive', 400),
  connection('close', 'close', 400),
  connection('upgraded', 'Upgraded', 400),
  connection('divided by a semicolon', 'keep-alive; Upgrade', 400),
]

const line = (first: string, outcome: Outcome): Case => [JSON.stringify(first), head({}, first), outcome]
const LINES: readonly Case[] = [
  line('GET /ws HTTP/1.1', 101),
  line('GET /ws?x=1 HTTP/1.1', 101),
  line('GET /ws? HTTP/1.1', 101),
  line('POST /ws HTTP/1.1', 405),
  line('PUT /ws HTTP/1.1', 405),
  line('OPTIONS /ws HTTP/1.1', 405),
  line('DELETE /ws HTTP/1.1', 405),
  line('CONNECT /ws HTTP/1.1', 405),
  line('FOO /ws HTTP/1.1', 405),
  line('get /ws HTTP/1.1', 405),
  line('Get /ws HTTP/1.1', 405),
  line(' /ws HTTP/1.1', 405),
  line('GET /ws/ HTTP/1.1', 404),
  line('GET //ws HTTP/1.1', 404),
  line('GET /WS HTTP/1.1', 404),
  line('GET /ws/x HTTP/1.1', 404),
  line('GET /./ws HTTP/1.1', 404),
  line('GET /%77s HTTP/1.1', 404),
  line('GET /ws%20 HTTP/1.1', 404),
  line('GET /ws;x HTTP/1.1', 404),
  line('GET /ws HTTP/1.0', 505),
  line('GET /ws HTTP/0.9', 505),
  line('GET /ws HTTP/2.0', 505),
]

const host = (what: string, value: Fields[string], outcome: Outcome): Case => [
  `Host ${what}`,
  head({ Host: value }),
  outcome,
]
const HOSTS: readonly Case[] = [
  host('with a port', 'chart.example:8080', 101),
  host('of an IPv6 address', '[::1]:8080', 101),
  host('missing', null, 400),
  host('empty', '', 400),
  host('twice', ['chart.example', 'chart.example'], 400),
  host('twice, and not the same', ['evil.example', 'chart.example'], 400),
  host('of two names', 'chart.example, evil.example', 400),
  host('with spaces', 'chart example', 400),
  host('with a path', 'chart.example/ws', 400),
]

const SIZES: readonly Case[] = [
  ['one header of 4 KB', head({ X: 'x'.repeat(4096) }), 101],
  ['90 headers', head(many(85)), 101],
  ['2,000 headers', head(many(2000)), 431],
  ['an extension is offered', head({ 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' }), 101],
]

const origin = (what: string, value: Fields[string], outcome: Outcome, at = 'chart.example'): Case => [
  `Origin ${what}`,
  head({ Host: at, Origin: value }),
  outcome,
]
const ORIGINS: readonly Case[] = [
  origin('none: no browser', null, 101),
  origin('of the same host', 'http://chart.example', 101),
  origin('of the same host, over TLS', 'https://chart.example', 101),
  origin('in capitals', 'http://CHART.example', 101),
  origin('of a host in capitals', 'http://chart.example', 101, 'CHART.EXAMPLE'),
  origin('of the same port', 'http://chart.example:8080', 101, 'chart.example:8080'),
  origin('with port 80 said', 'http://chart.example:80', 101),
  origin('with port 80 said by the host', 'http://chart.example', 101, 'chart.example:80'),
  origin('with port 443 said', 'https://chart.example:443', 101),
  origin('with port 443 said by the host', 'https://chart.example', 101, 'chart.example:443'),
  origin('of an IPv6 address', 'http://[::1]:8080', 101, '[::1]:8080'),
  origin('of another host', 'http://evil.example', 403),
  origin('of another port', 'http://chart.example:81', 403),
  origin('http, at port 443', 'http://chart.example', 403, 'chart.example:443'),
  origin('https, at port 80', 'https://chart.example', 403, 'chart.example:80'),
  origin('null', 'null', 403),
  origin('of a subdomain', 'http://a.chart.example', 403),
  origin('of a name that begins so', 'http://chart.example.evil.example', 403),
  origin('of a name that ends so', 'http://evilchart.example', 403),
  origin('with our host as the user', 'http://chart.example@evil.example', 403),
  origin('with our host as the fragment', 'http://evil.example#chart.example', 403),
  origin('twice', ['http://chart.example', 'http://chart.example'], 403),
  origin('ours and a foreign one', ['http://chart.example', 'http://evil.example'], 403),
  origin('an empty and a foreign one', ['', 'http://evil.example'], 403),
  origin('of two, divided by a space', 'http://chart.example http://evil.example', 403),
  origin('without a scheme', 'chart.example', 403),
  origin('with no scheme but slashes', '//chart.example', 403),
  origin('of a script', 'javascript:alert(1)', 403),
  origin('of a page from a disk, at localhost', 'file://', 403, 'localhost'),
  origin('with a path (RFC 6454 7.1 has none)', 'http://chart.example/path', 403),
  origin('with a user (RFC 6454 7.1 has none)', 'http://ann@chart.example', 403),
  origin('with a query (RFC 6454 7.1 has none)', 'http://chart.example?x', 403),
]

const LISTED: readonly Case[] = [
  origin('on the list', 'https://app.example', 101),
  origin('on the list with its port', 'http://b.example:8080', 101),
  origin('none', null, 101),
  origin('of the same host, which is not on the list', 'http://chart.example', 403),
  origin('with another scheme', 'http://app.example', 403),
  origin('with a port that is not listed', 'https://app.example:444', 403),
  origin('without the port that is listed', 'http://b.example', 403),
  origin('with a slash', 'https://app.example/', 403),
  origin('of a name that begins so', 'https://app.example.evil.example', 403),
  origin('twice', ['https://app.example', 'https://app.example'], 403),
  origin('both of the list in one', 'https://app.example,http://b.example:8080', 403),
  origin('null', 'null', 403),
]

const ANY: readonly Case[] = [
  origin('of anybody', 'https://evil.example', 101),
  origin('of the same host', 'http://chart.example', 101),
  origin('null all the same', 'null', 403),
]

const token = await tokenFor('ann')
const NOBODY = null

/** A request that carries a token or a subprotocol: its answer, the subprotocol that was chosen, and who came in. */
type Entry = readonly [
  what: string,
  fields: Fields,
  outcome: Outcome,
  protocol?: string | undefined,
  user?: string | null | undefined,
]

const protocols = (what: string, offer: Fields[string], ...rest: [Outcome, string?, (string | null)?]): Entry => [
  `subprotocol ${what}`,
  { 'Sec-WebSocket-Protocol': offer },
  ...rest,
]
const hundred = Array.from({ length: 100 }, (_, i) => `p${i}`).join(', ')
const PROTOCOLS: readonly Entry[] = [
  protocols('none', null, 101, undefined, NOBODY),
  protocols('ours', 'chartroom.v1', 101, 'chartroom.v1', NOBODY),
  protocols('ours and a token', `chartroom.v1, bearer.${token}`, 101, 'chartroom.v1', 'ann'),
  protocols('a token and ours', `bearer.${token}, chartroom.v1`, 101, 'chartroom.v1', 'ann'),
  protocols('ours and a token, in two fields', ['chartroom.v1', `bearer.${token}`], 101, 'chartroom.v1', 'ann'),
  protocols('ours and a token, nothing between commas', `chartroom.v1,,bearer.${token}`, 101, 'chartroom.v1', 'ann'),
  protocols('a token alone', `bearer.${token}`, 101, undefined, 'ann'),
  protocols('unknown', 'mqtt', 101, undefined, NOBODY),
  protocols('unknown and ours', 'mqtt, chartroom.v1', 101, 'chartroom.v1', NOBODY),
  protocols('empty', '', 101, undefined, NOBODY),
  protocols('ours twice', 'chartroom.v1, chartroom.v1', 101, 'chartroom.v1', NOBODY),
  protocols('ours in capitals', 'CHARTROOM.V1', 101, undefined, NOBODY),
  protocols('of another version', 'chartroom.v2', 101, undefined, NOBODY),
  protocols('of 100 names', hundred, 101, undefined, NOBODY),
  protocols('of 100 names and ours', `${hundred}, chartroom.v1`, 101, 'chartroom.v1', NOBODY),
  protocols('an empty token', 'chartroom.v1, bearer.', 401),
  protocols('a token that is none', 'chartroom.v1, bearer.x', 401),
  protocols('two tokens: the first counts', `bearer.x, bearer.${token}`, 401),
]

const authorization = (what: string, value: Fields[string], outcome: Outcome, user?: string | null): Entry => [
  `Authorization ${what}`,
  { Authorization: value },
  outcome,
  undefined,
  user,
]
const TOKENS: readonly Entry[] = [
  authorization('Bearer', `Bearer ${token}`, 101, 'ann'),
  authorization('bearer', `bearer ${token}`, 101, 'ann'),
  authorization('BEARER', `BEARER ${token}`, 101, 'ann'),
  authorization('with two spaces', `Bearer  ${token}`, 101, 'ann'),
  authorization('Basic: no token, so it may come as the first frame', 'Basic YTpi', 101, NOBODY),
  authorization('without a scheme', token, 101, NOBODY),
  authorization('with a scheme that begins so', `Bearer${token}`, 101, NOBODY),
  authorization('empty', '', 101, NOBODY),
  authorization('of an empty Bearer', 'Bearer', 401),
  authorization('of Bearer and a space', 'Bearer ', 401),
  authorization('twice', [`Bearer ${token}`, `Bearer ${token}`], 401),
  authorization('Bearer, then Basic', [`Bearer ${token}`, 'Basic YTpi'], 401),
  authorization('with a word behind the token', `Bearer ${token} x`, 401),
  authorization('of another secret', `Bearer ${await tokenFor('ann', { secret: 'x'.repeat(40) })}`, 401),
  authorization('that has expired', `Bearer ${await tokenFor('ann', { life: -60 })}`, 401),
  [
    'Authorization goes before a subprotocol',
    { Authorization: 'Bearer x', 'Sec-WebSocket-Protocol': `bearer.${token}` },
    401,
  ],
]

/** uWebSockets.js answers these before a line of ours runs, and not as RFC 9112 asks (docs/websocket.md). */
const DEVIATIONS: readonly Case[] = [
  ['the absolute form is 505, and should be understood', head({}, 'GET http://chart.example/ws HTTP/1.1'), 505],
  ['HTTP/1.2 is 505, and should be served as 1.1', head({}, 'GET /ws HTTP/1.2'), 505],
  ['a first line without a version is 505, and should be 400', head({}, 'GET /ws'), 505],
  ['two spaces in the first line are 505, and should be 400', head({}, 'GET  /ws HTTP/1.1'), 505],
  ['a method of two words is 505, and should be 400', head({}, 'GE T /ws HTTP/1.1'), 505],
  ['an empty line ahead is 505, and should be skipped', `\r\n${head()}`, 505],
  ['lines that end in LF alone are 505, and should be 400', head().replaceAll('\r\n', '\n'), 505],
  ['the first bytes of TLS are 505, and should be 400', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 505],
  ['a field without a name ends the fields, and should be 400', headWith(': x'), 101],
  ['a Content-Length that is no number is ignored, and should be 400', headWith('Content-Length: x'), 101],
  ['a head of 20 KB in one piece is served', head({ X: 'x'.repeat(20_000) }), 101],
]

/** The same, without any answer: uWebSockets.js takes the head for one that has not ended, and gives up in the end. */
const UNANSWERED: readonly (readonly [what: string, bytes: string])[] = [
  ['a space before the colon', headWith('X : y')],
  ['a line without a colon', headWith('no value')],
  ['a folded line', headWith('X: a', ' b')],
  ['a NUL in a value', headWith('X: a\0b')],
  ['a CR in a value', headWith('X: a\rb')],
  ['100 headers', head(many(95))],
]

/** Not a deviation: a head that does not end is waited for, and not for ever. */
const UNFINISHED: readonly (readonly [what: string, bytes: string])[] = [
  ['nothing at all', ''],
  ['half a head', head().slice(0, 60)],
  ['a head but for its last line', head().slice(0, -2)],
]

/** Behind the head with a token, and before its answer; RFC 6455 4.1 has the client wait. */
const EARLY: readonly (readonly [what: string, bytes: Buffer, outcome: Outcome])[] = [
  ['a frame is taken for a second request, and refused', frame(PING, 'early'), 505],
  ['half a frame is as well', frame(TEXT, 'early').subarray(0, 8), 505],
  ['a second request ends both', Buffer.from(head()), 'closed'],
  ['one byte is lost', Buffer.from([0x81]), 101],
]

/** What an answer must have in its headers. */
const OWED: Readonly<Record<number, Record<string, string | RegExp>>> = {
  101: { upgrade: /^websocket$/i, connection: /^upgrade$/i },
  401: { 'www-authenticate': 'Bearer error="invalid_token"' },
  405: { allow: 'GET' },
  426: { upgrade: 'websocket', connection: 'Upgrade' },
  503: { 'retry-after': /^\d+$/ },
}

async function ask(server: ServerProcess, ...pieces: (string | Buffer)[]): Promise<{ raw: Raw; answer?: Response }> {
  const raw = await Raw.connect(server.port)
  for (const [at, piece] of pieces.entries()) {
    if (at > 0) await isServed(server)
    raw.send(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
  }
  const answer = await raw.response()
  return { raw, ...(answer && { answer }) }
}

/** Whether a plain good request is still answered 101; whatever was sent before it has been read by then. */
async function isServed(server: ServerProcess): Promise<boolean> {
  const raw = await Raw.connect(server.port)
  raw.send(head())
  const answer = await raw.response()
  raw.destroy()
  return answer?.status === 101
}

function isJson(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object'
  } catch {
    return false
  }
}

/** The whole lines on stderr that are no log lines. */
function strayLines({ stderr }: ServerProcess): string[] {
  const lines = stderr.split('\n').slice(0, -1)
  return lines.filter((line) => !isJson(line))
}

/** The server lives, and has said nothing that is no log line. */
async function isWell(t: Test, server: ServerProcess, what: string): Promise<void> {
  t.ok(await isServed(server), `${what}: a good request is answered after it`)
  t.same(strayLines(server), [], `${what}: stderr holds nothing but JSON`)
}

async function holds(t: Test, server: ServerProcess, cases: readonly Case[]): Promise<void> {
  for (const [what, request, outcome] of cases) {
    const { raw, answer } = await ask(server, request)
    t.equal(answer?.status ?? 'closed', outcome, what)
    t.match(answer?.headers ?? {}, OWED[answer?.status ?? 0] ?? {}, `${what}: its headers`)
    if (answer?.status === 101) t.equal(answer.headers['sec-websocket-accept'], acceptOf(request), `${what}: the key`)
    raw.destroy()
    await isWell(t, server, what)
  }
}

/** Who the server takes the peer for, asked in its own words. */
async function userOf(raw: Raw): Promise<string | null> {
  raw.send(frame(TEXT, '{"type":"status"}'))
  for (;;) {
    const { type, user, code } = JSON.parse(String((await raw.frame())?.payload))
    if (type === 'status') return user
    if (code === 'not_in_state') return NOBODY
  }
}

async function enters(t: Test, server: ServerProcess, entries: readonly Entry[]): Promise<void> {
  for (const [what, fields, outcome, protocol, user] of entries) {
    const { raw, answer } = await ask(server, head(fields))
    t.equal(answer?.status ?? 'closed', outcome, what)
    t.match(answer?.headers ?? {}, OWED[answer?.status ?? 0] ?? {}, `${what}: its headers`)
    t.equal(answer?.headers['sec-websocket-protocol'], protocol, `${what}: the subprotocol`)
    if (answer?.status === 101) t.equal(await userOf(raw), user, `${what}: who came in`)
    raw.destroy()
    await isWell(t, server, what)
  }
}

t.test('handshakes', async (t) => {
  const env = { CHARTROOM_LOG_LEVEL: 'debug' }
  const [server, listed, any, small] = await Promise.all([
    startServer(t, { env }),
    startServer(t, { env: { ...env, CHARTROOM_ORIGINS: 'https://app.example,http://b.example:8080' } }),
    startServer(t, { env: { ...env, CHARTROOM_ORIGINS: '*' } }),
    startServer(t, { env: { ...env, CHARTROOM_MAX_CONNECTIONS: '1' } }),
  ])
  const stalled = [...UNANSWERED, ...UNFINISHED].map(async ([what, bytes]) => {
    const raw = await Raw.connect(server.port)
    const began = Date.now()
    raw.send(Buffer.from(bytes, 'latin1'))
    await raw.ended(20_000)
    return { what, took: Date.now() - began, said: String(await raw.heardWithin(0)) }
  })

  t.test('CONN-1 C4 only version 13 is spoken', (t) => holds(t, server, VERSIONS))
  t.test('CONN-1 C4 the key is one of 16 bytes in base64', (t) => holds(t, server, KEYS))
  t.test('CONN-1 C4 Upgrade and Connection are lists, and their case is nothing', (t) => holds(t, server, UPGRADES))
  t.test('CONN-1 C4 method, path and version of the first line', (t) => holds(t, server, LINES))
  t.test('CONN-1 C4 one Host, that is a host', (t) => holds(t, server, HOSTS))
  t.test('CONN-1 heads of any size that a client sends', (t) => holds(t, server, SIZES))
  t.test('C4 with no list an origin is of the same host', (t) => holds(t, server, ORIGINS))
  t.test('C4 with a list an origin is on it', (t) => holds(t, listed, LISTED))
  t.test('C4 with "*" any origin will do, but for null', (t) => holds(t, any, ANY))
  t.test('C1 the subprotocol is ours or none, and the token in it is never echoed', (t) => enters(t, server, PROTOCOLS))
  t.test('C1 the ways of a token in the Authorization header', (t) => enters(t, server, TOKENS))
  t.test('CONN-1 what uWebSockets.js answers by itself: the known deviations', (t) => holds(t, server, DEVIATIONS))

  t.test('CONN-1 a refusal of the version names the one that is spoken', async (t) => {
    const { answer } = await ask(server, head({ 'Sec-WebSocket-Version': '8' }))
    t.equal(answer?.headers['sec-websocket-version'], '13')
  })

  t.test('CONN-1 an extension is not taken up', async (t) => {
    const { answer } = await ask(server, head({ 'Sec-WebSocket-Extensions': 'permessage-deflate' }))
    t.equal(answer?.headers['sec-websocket-extensions'], undefined)
  })

  t.test('CONN-1 HEAD is answered 405, without a body (RFC 9110 9.3.2)', async (t) => {
    const raw = await Raw.connect(server.port)
    raw.send(head({}, 'HEAD /ws HTTP/1.1'))
    t.match(await raw.response({ hasBody: false }), { status: 405, headers: { allow: 'GET' } })
    raw.send(head({}, 'HEAD /ws/ HTTP/1.1'))
    t.match(await raw.response({ hasBody: false }), { status: 404 }, 'the next answer begins where the first head ends')
    raw.destroy()
    await isWell(t, server, 'HEAD')
  })

  t.test('C5 over the limit of the server: 503', async (t) => {
    const { raw, answer } = await ask(small, head())
    t.equal(answer?.status, 101)
    await holdsFull(t, small)
    raw.destroy()
  })

  t.test('CONN-1 a head that comes byte by byte behind its first line is a head', async (t) => {
    const raw = await Raw.connect(server.port)
    const request = head({ Authorization: `Bearer ${token}` })
    const second = request.indexOf('\n') + 1
    raw.send(request.slice(0, second))
    await raw.trickle(request.slice(second))
    t.equal((await raw.response())?.status, 101)
    t.equal(await userOf(raw), 'ann')
    raw.destroy()
  })

  t.test('CONN-1 a first line in two pieces is 505, and should be waited for: a known deviation', async (t) => {
    const [first] = head().split('\n') as [string]
    for (let at = 1; at <= first.length + 1; at++) {
      const { raw, answer } = await ask(server, head().slice(0, at), head().slice(at))
      const isWhole = at < 'GET '.length || at > first.length
      t.equal(answer?.status, isWhole ? 101 : 505, JSON.stringify(head().slice(0, at)))
      raw.destroy()
    }
    await isWell(t, server, 'first lines in two pieces')
  })

  t.test('C1 a token of 6 KB comes in, in one piece and in two', async (t) => {
    const long = await tokenFor('ann', { claims: { note: 'x'.repeat(4400) } })
    t.ok(long.length > 6000 && long.length < 8192)
    const request = head({ Authorization: `Bearer ${long}` })
    for (const pieces of [[request], [request.slice(0, 1400), request.slice(1400)]]) {
      const { raw, answer } = await ask(server, ...pieces)
      t.equal(answer?.status, 101, `in ${pieces.length}`)
      raw.destroy()
    }
    await isWell(t, server, 'a long token')
  })

  t.test('CONN-1 a head of 20 KB in two pieces is 431: a known deviation', async (t) => {
    const request = head({ X: 'x'.repeat(20_000) })
    const { raw, answer } = await ask(server, request.slice(0, 1400), request.slice(1400))
    t.equal(answer?.status, 431)
    raw.destroy()
    await isWell(t, server, '20 KB')
  })

  t.test('CONN-1 what comes behind the head, before its answer, never reaches the conversation', async (t) => {
    for (const [what, bytes, outcome] of EARLY) {
      const fresh = await tokenFor('ann', { claims: { jti: what } })
      const { raw, answer } = await ask(
        server,
        Buffer.concat([Buffer.from(head({ Authorization: `Bearer ${fresh}` })), bytes]),
      )
      t.equal(answer?.status ?? 'closed', outcome, what)
      if (outcome === 101) t.equal(await userOf(raw), 'ann', `${what}, and the next frame is read from its beginning`)
      raw.destroy()
      await isWell(t, server, what)
    }
    const { raw, answer } = await ask(server, Buffer.concat([Buffer.from(head()), frame(PING, 'early')]))
    t.equal(answer?.status, 101, 'without a token a frame is lost')
    raw.send(frame(PING, 'late'))
    t.equal(String((await raw.frame())?.payload), 'late')
    raw.destroy()
    t.equal(await userOf((await ask(server, head({ Authorization: `Bearer ${token}` }))).raw), 'ann')
    const known = await ask(
      server,
      Buffer.concat([Buffer.from(head({ Authorization: `Bearer ${token}` })), frame(PING, 'early')]),
    )
    t.equal(known.answer?.status, 101, 'behind a token that was good before as well')
    t.equal(await userOf(known.raw), 'ann')
    known.raw.destroy()
  })

  t.test('C2 X2 peers that are gone before the answer end nobody but themselves', async (t) => {
    for (let i = 0; i < 100; i++) {
      const raw = await Raw.connect(server.port)
      raw.send(head({ Authorization: `Bearer ${token}` }))
      if (i % 2) await raw.flushed()
      raw.socket.resetAndDestroy()
    }
    await isWell(t, server, 'a hundred that left')
  })

  t.test('CONN-1 a head that does not end is given up without an answer', async (t) => {
    for (const { what, took, said } of await Promise.all(stalled)) {
      t.equal(said, '', `${what}: no answer`)
      t.ok(took > 4000 && took < 18_000, `${what}: given up after ${took} ms`)
    }
    await isWell(t, server, 'heads that did not end')
  })

  t.test('CONN-1 docs/websocket.md counts these cases', async (t) => {
    const tables = [VERSIONS, KEYS, UPGRADES, LINES, HOSTS, SIZES, ORIGINS, LISTED, ANY, PROTOCOLS, TOKENS, UNFINISHED]
    const kept = tables.flat().length
    const byThemselves = ['a first line in two pieces', 'a head of 20 KB in two pieces'].length
    const deviations = DEVIATIONS.length + UNANSWERED.length + EARLY.length + byThemselves
    const page = readFileSync(join(ROOT, 'docs/websocket.md'), 'utf8')
    t.match(page, `handshake: ${kept} cases kept, ${deviations} deviations`)
  })

  t.test('no handshake left a word on any stderr that is no log line', async (t) => {
    for (const each of [server, listed, any, small]) {
      t.equal(await each.end('SIGTERM'), 0)
      t.same(strayLines(each), [])
      t.notMatch(each.stderr, token.slice(-20), 'nor a token')
    }
  })
})

async function holdsFull(t: Test, server: ServerProcess): Promise<void> {
  const { raw, answer } = await ask(server, head())
  t.equal(answer?.status, 503)
  t.match(answer?.headers, OWED[503] ?? {})
  raw.destroy()
}
