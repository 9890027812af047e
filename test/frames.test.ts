/** Framing over raw TCP, against RFC 6455: every case is bytes, and what is heard of them (docs/websocket.md). */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  closing,
  type FrameOptions,
  frame,
  PING,
  PONG,
  Raw,
  type ServerFrame,
  TEXT,
} from './fixtures/raw.ts'
import { ROOT, type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

/** `limits.frame`, and over four times that the transport ends the connection (rule E3). */
const SOFT = 65_536
const HARD = 4 * SOFT

/**
 * What is heard, in order: `pong "a"` is the JSON pong of that data, `PONG a` the control frame, `error bad_json` an
 * error frame, `close 1000 bye` a Close frame, behind which nothing may come but the end. `cut` is an end without one.
 * Where nothing ended, a last ping was answered: `alive`.
 */
type Heard = readonly string[]
/** Several pieces are read by the server one at a time. */
type Bytes = Buffer | readonly Buffer[]
type Case = readonly [what: string, bytes: Bytes, heard: Heard]

const ping = (data: unknown): string => JSON.stringify({ type: 'ping', data })
/** A JSON ping of so many bytes. */
const pingOf = (bytes: number): string => ping('x'.repeat(bytes - ping('').length))
const pongOf = (bytes: number): string => `pong of ${bytes - ping('').length}`

const text = (payload: string | Buffer, options?: FrameOptions): Buffer => frame(TEXT, payload, options)
const begun = (payload: string | Buffer, opcode = TEXT): Buffer => frame(opcode, payload, { fin: false })
const more = (payload: string | Buffer): Buffer => frame(CONTINUATION, payload, { fin: false })
const last = (payload: string | Buffer): Buffer => frame(CONTINUATION, payload)
const bytes = (...frames: Buffer[]): Buffer => Buffer.concat(frames)

const LENGTHS: readonly Case[] = [
  ['0 bytes, which are no JSON', text(''), ['error bad_json', 'alive']],
  ['1 byte', text('1'), ['error bad_frame', 'alive']],
  ...[125, 126, 127, 128, 65_535, SOFT].map(
    (size): Case => [`${size} bytes`, text(pingOf(size)), [pongOf(size), 'alive']],
  ),
  ['a length with its high bit set', text(ping('a'), { lengthIn: 'quad', length: 1n << 63n }), ['cut']],
  ['2^64 - 1 bytes', text(ping('a'), { lengthIn: 'quad', length: (1n << 64n) - 1n }), ['cut']],
  ['a length that wraps behind its head', text(ping('a'), { lengthIn: 'quad', length: (1n << 64n) - 14n }), ['cut']],
  ['2^32 bytes and a few', text(ping('a'), { lengthIn: 'quad', length: (1n << 32n) + 24n }), ['cut']],
]

const MASKS: readonly Case[] = [
  ['a mask of zeroes', text(ping('a'), { mask: Buffer.alloc(4) }), ['pong "a"', 'alive']],
  ['a mask of ones', text(ping('a'), { mask: Buffer.alloc(4, 0xff) }), ['pong "a"', 'alive']],
  [
    'a mask of its own for each fragment',
    bytes(begun(ping('a').slice(0, 7)), frame(CONTINUATION, ping('a').slice(7), { mask: Buffer.from('fade') })),
    ['pong "a"', 'alive'],
  ],
]

const whole = ping('whole')
const [one, two] = [whole.slice(0, 9), whole.slice(9)]
const each = [...whole]
const FRAGMENTS: readonly Case[] = [
  ['two', bytes(begun(one), last(two)), ['pong "whole"', 'alive']],
  ['two, in two segments', [begun(one), last(two)], ['pong "whole"', 'alive']],
  ['one for each byte', bytes(begun(''), ...each.map(more), last('')), ['pong "whole"', 'alive']],
  ['an empty first', bytes(begun(''), last(whole)), ['pong "whole"', 'alive']],
  ['an empty last', bytes(begun(whole), last('')), ['pong "whole"', 'alive']],
  ['empty ones between', bytes(begun(one), more(''), more(''), last(two)), ['pong "whole"', 'alive']],
  ['none but empty ones', bytes(begun(''), more(''), last('')), ['error bad_json', 'alive']],
  ['a ping between', bytes(begun(one), frame(PING, 'hi'), last(two)), ['PONG hi', 'pong "whole"', 'alive']],
  [
    'pings between, in segments of their own',
    [begun(one), frame(PING, 'a'), more(two.slice(0, 3)), frame(PING, 'b'), last(two.slice(3))],
    ['PONG a', 'PONG b', 'pong "whole"', 'alive'],
  ],
  [
    'a ping in two segments between',
    [begun(one), frame(PING, 'hello').subarray(0, 8), frame(PING, 'hello').subarray(8), last(two)],
    ['PONG hello', 'pong "whole"', 'alive'],
  ],
  ['a pong between', bytes(begun(one), frame(PONG, 'hi'), last(two)), ['pong "whole"', 'alive']],
  ['a close between', bytes(begun(one), frame(CLOSE, closing(1000)), last(two)), ['close 1000']],
  [
    'two whole messages of two',
    bytes(begun(one), last(two), begun(one), last(two)),
    ['pong "whole"', 'pong "whole"', 'alive'],
  ],
  ['of binary', bytes(begun('a', BINARY), last('b')), ['error unsupported_data', 'alive']],
  ['a continuation of nothing', last(whole), ['cut']],
  ['a continuation of nothing, not the last', more(whole), ['cut']],
  ['a continuation of what has ended', [text(whole), last('')], ['pong "whole"', 'cut']],
  ['a new text inside', bytes(begun(one), text(whole)), ['cut']],
  ['a new text inside, not the last', bytes(begun(one), begun(whole)), ['cut']],
  ['a new text inside a binary', bytes(begun('a', BINARY), text(whole)), ['cut']],
]

const CONTROLS: readonly Case[] = [
  ...[0, 1, 64, 124, 125].map(
    (size): Case => [`a ping of ${size}`, frame(PING, 'y'.repeat(size)), [`PONG ${'y'.repeat(size)}`, 'alive']],
  ),
  ['a ping that is no UTF-8', frame(PING, Buffer.from('ff', 'hex')), ['PONG \ufffd', 'alive']],
  [
    '50 pings in one segment',
    bytes(...Array.from({ length: 50 }, (_, i) => frame(PING, `${i}`))),
    [...Array.from({ length: 50 }, (_, i) => `PONG ${i}`), 'alive'],
  ],
  ['a pong that nobody asked for', frame(PONG), ['alive']],
  ['a pong of 125 that nobody asked for', frame(PONG, 'z'.repeat(125)), ['alive']],
  ['a ping of 126', frame(PING, 'y'.repeat(126)), ['cut']],
  ['a pong of 126', frame(PONG, 'y'.repeat(126)), ['cut']],
  ['a close of 126', frame(CLOSE, closing(1000, 'y'.repeat(124))), ['cut']],
  ['a ping of 30 that writes its length in a word', frame(PING, 'y'.repeat(30), { lengthIn: 'word' }), ['cut']],
  ['a ping in fragments', frame(PING, 'a', { fin: false }), ['cut']],
  ['a pong in fragments', frame(PONG, '', { fin: false }), ['cut']],
  ['a close in fragments', frame(CLOSE, closing(1000), { fin: false }), ['cut']],
]

const RESERVED: readonly Case[] = [
  ...[4, 2, 1, 6, 7].map((rsv): Case => [`bits ${rsv} of a text`, text(whole, { rsv }), ['cut']]),
  ...[4, 2, 1].map((rsv): Case => [`bits ${rsv} of a ping`, frame(PING, 'a', { rsv }), ['cut']]),
  ['bit 4 of a continuation', bytes(begun(one), frame(CONTINUATION, two, { rsv: 4 })), ['cut']],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): Case => [`opcode ${opcode}`, frame(opcode, 'a'), ['cut']]),
  ['opcode 3, empty', frame(3), ['cut']],
  ['opcode 11, not the last', frame(11, '', { fin: false }), ['cut']],
]

/** A JSON ping whose data is these bytes. */
const raw = (hex: string): Buffer =>
  bytes(Buffer.from('{"type":"ping","data":"'), Buffer.from(hex, 'hex'), Buffer.from('"}'))
const emoji = raw('f09f8e89')
const UTF8: readonly Case[] = [
  ...['c280', 'c3a9', 'e0a080', 'e282ac', 'ed9fbf', 'ee8080', 'efbfbe', 'f0908080', 'f09f8e89', 'f48fbfbf'].map(
    (hex): Case => [
      `good ${hex}`,
      text(raw(hex)),
      [`pong ${JSON.stringify(String(Buffer.from(hex, 'hex')))}`, 'alive'],
    ],
  ),
  [
    'a character over two fragments',
    bytes(begun(emoji.subarray(0, 25)), last(emoji.subarray(25))),
    ['pong "🎉"', 'alive'],
  ],
  ['a character over two segments', [text(emoji).subarray(0, 31), text(emoji).subarray(31)], ['pong "🎉"', 'alive']],
  [
    'a character over four fragments and a ping',
    [
      begun(emoji.subarray(0, 24)),
      more(emoji.subarray(24, 25)),
      frame(PING, 'a'),
      more(emoji.subarray(25, 26)),
      last(emoji.subarray(26)),
    ],
    ['PONG a', 'pong "🎉"', 'alive'],
  ],
  ...['c080', 'c1bf', 'e08080', 'e09fbf', 'f0808080', 'f08fbfbf'].map(
    (hex): Case => [`overlong ${hex}`, text(raw(hex)), ['cut']],
  ),
  ...['eda080', 'edbfbf', 'eda081edb080'].map((hex): Case => [`surrogates ${hex}`, text(raw(hex)), ['cut']]),
  ...['f4908080', 'f5808080', 'f888808080', 'fe', 'ff'].map(
    (hex): Case => [`over U+10FFFF ${hex}`, text(raw(hex)), ['cut']],
  ),
  ...['80', 'c3', 'e282', 'f09f8e'].map((hex): Case => [`broken off ${hex}`, text(raw(hex)), ['cut']]),
  ...['c3', 'e282', 'f09f8e'].map(
    (hex): Case => [
      `broken off at the very end ${hex}`,
      text(bytes(Buffer.alloc(17, 'x'), Buffer.from(hex, 'hex'))),
      ['cut'],
    ],
  ),
  ['bad in the second fragment', bytes(begun('x'), last(Buffer.from('80', 'hex'))), ['cut']],
  [
    'bad in the first fragment, which is noticed at the end of the message',
    [begun(raw('ff')), frame(PING, 'still'), last('')],
    ['PONG still', 'cut'],
  ],
  ['in binary nothing is bad UTF-8', frame(BINARY, Buffer.from('ff', 'hex')), ['error unsupported_data', 'alive']],
]

const CLOSES: readonly Case[] = [
  ['empty', frame(CLOSE), ['close']],
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 4000, 4001, 4999].map(
    (code): Case => [`${code}`, frame(CLOSE, closing(code)), [`close ${code}`]],
  ),
  ['1000 with a reason', frame(CLOSE, closing(1000, 'bye')), ['close 1000 bye']],
  ['1000 with a reason of three alphabets', frame(CLOSE, closing(1000, 'é€🎉')), ['close 1000 é€🎉']],
  ['1000 with a reason of 123 bytes', frame(CLOSE, closing(1000, 'r'.repeat(123))), [`close 1000 ${'r'.repeat(123)}`]],
  [
    'in two segments',
    [frame(CLOSE, closing(1000, 'bye')).subarray(0, 7), frame(CLOSE, closing(1000, 'bye')).subarray(7)],
    ['close 1000 bye'],
  ],
  ['and data after it', bytes(frame(CLOSE, closing(1000)), text(whole)), ['close 1000']],
  ['and a ping after it', bytes(frame(CLOSE, closing(1000)), frame(PING, 'a')), ['close 1000']],
  ['and a second one', bytes(frame(CLOSE, closing(1000)), frame(CLOSE, closing(1001))), ['close 1000']],
  ['and nonsense after it', bytes(frame(CLOSE, closing(1000)), Buffer.from('ffff', 'hex')), ['close 1000']],
  ['behind an answer', bytes(text(whole), frame(CLOSE, closing(1000))), ['pong "whole"', 'close 1000']],
]

const KINDS: readonly Case[] = [
  ['binary', frame(BINARY, whole), ['error unsupported_data', 'alive']],
  ['empty binary', frame(BINARY), ['error unsupported_data', 'alive']],
  [
    'binary between texts',
    bytes(text(ping(1)), frame(BINARY, 'x'), text(ping(2))),
    ['pong 1', 'error unsupported_data', 'pong 2', 'alive'],
  ],
]

const LIMITS: readonly Case[] = [
  ['a byte over limits.frame', text(pingOf(SOFT + 1)), ['error too_large', 'alive']],
  ['binary over limits.frame', frame(BINARY, Buffer.alloc(SOFT + 1)), ['error too_large', 'alive']],
  [
    'fragments that together are over limits.frame',
    bytes(begun('x'.repeat(SOFT)), last('x')),
    ['error too_large', 'alive'],
  ],
  ['the hard limit', text('x'.repeat(HARD)), ['error too_large', 'alive']],
  ['a byte over the hard limit', text('x'.repeat(HARD + 1)), ['cut']],
  ['fragments that together are over the hard limit', bytes(begun('x'.repeat(HARD)), last('x')), ['cut']],
  ['a head that claims more than the hard limit', text('', { length: BigInt(HARD) + 1n, lengthIn: 'quad' }), ['cut']],
]

/** What masks to itself is read as text even unmasked: the first four bytes are taken for the mask. */
const unmasked = (payload: string): Buffer => {
  const mask = Buffer.from('fade')
  const [head, body] = [frame(TEXT, payload, { mask: null }).subarray(0, 2), frame(TEXT, payload, { mask }).subarray(2)]
  return bytes(head, body)
}

/** uWebSockets.js decides these; docs/websocket.md says what each means for a client. */
const DEVIATIONS: readonly Case[] = [
  // 5.1: the server MUST close on a frame that is not masked. Nobody looks at the bit.
  ['an unmasked text is read as if it were masked', frame(TEXT, ping('a'), { mask: null }), ['cut']],
  ['an unmasked frame whose first bytes serve as a mask is accepted', unmasked(ping('a')), ['pong "a"', 'alive']],
  [
    'an unmasked close is answered when four bytes more have come',
    frame(CLOSE, closing(1000), { mask: null }),
    ['close'],
  ],
  // 5.2: the minimal number of bytes MUST be used to encode the length.
  ['a length of 60 in a word is accepted', text(pingOf(60), { lengthIn: 'word' }), [pongOf(60), 'alive']],
  ['a length of 60 in a quad is accepted', text(pingOf(60), { lengthIn: 'quad' }), [pongOf(60), 'alive']],
  ['a length of 200 in a quad is accepted', text(pingOf(200), { lengthIn: 'quad' }), [pongOf(200), 'alive']],
  // 5.4: the fragments of one message MUST NOT be interleaved with those of another.
  [
    'a binary inside a text is joined to it',
    bytes(begun(one), frame(BINARY, 'b'), last(two)),
    ['error unsupported_data', 'error bad_json', 'alive'],
  ],
  [
    'a binary inside a binary is joined to it',
    bytes(begun('a', BINARY), frame(BINARY, 'b'), last('c')),
    ['error unsupported_data', 'error unsupported_data', 'alive'],
  ],
  [
    'behind a ping a text inside a text is joined to it',
    bytes(begun(one), frame(PING, 'p'), text(two)),
    ['PONG p', 'pong "whole"', 'alive'],
  ],
  // 7.1.7: what was said before a connection is failed should still arrive.
  ['the answer to a good frame is lost if a bad one was read with it', bytes(text(whole), frame(3)), ['cut']],
  // 7.4.2: 3000-3999 are for libraries and frameworks; 1012 to 1014 are registered. Answered without a code.
  ...[1012, 1013, 1014, 3000, 3999].map(
    (code): Case => [`close ${code} is answered without a code`, frame(CLOSE, closing(code, 'bye')), ['close']],
  ),
  // 7.4: codes that nobody may send are a protocol error (1002). Answered as a clean close, without a code.
  ...[0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map(
    (code): Case => [`close ${code} is answered as if it were clean`, frame(CLOSE, closing(code)), ['close']],
  ),
  // 5.5.1: a body has at least the two bytes of a code, and its reason is UTF-8.
  ['a close of 1 byte is answered as if it were empty', frame(CLOSE, 'a'), ['close']],
  [
    'a close with a bad reason is answered as if it were clean',
    frame(CLOSE, closing(1000, Buffer.from('ff', 'hex'))),
    ['close'],
  ],
]

/** 7.1.7: before it fails a connection a server SHOULD say why. Each `cut` above is this deviation too. */
const cuts = (cases: readonly Case[]): number => cases.filter(([, , heard]) => heard.includes('cut')).length

const token = await tokenFor('ann')
const REQUEST = [
  'GET /ws HTTP/1.1',
  'Host: chart.example',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  `Authorization: Bearer ${token}`,
  '',
  '',
].join('\r\n')

/** An open connection, its `welcome` read. */
async function open(server: ServerProcess): Promise<Raw> {
  const raw = await Raw.connect(server.port)
  raw.send(REQUEST)
  const answer = await raw.response()
  const welcome = await raw.frame()
  assert(welcome, `the upgrade was answered ${answer?.status}, and then the server ended without a welcome`)
  return raw
}

const ALIVE = 'still there?'

function wordFor({ opcode, payload, code }: ServerFrame): string {
  if (opcode === CLOSE) return ['close', ...(code === 1005 ? [] : [code]), String(payload.subarray(2))].join(' ').trim()
  if (opcode === PONG) return `PONG ${payload}`
  const { type, data, code: error } = JSON.parse(String(payload))
  if (type === 'error') return `error ${error}`
  if (data === ALIVE) return 'alive'
  return typeof data === 'string' && /^x{20,}$/.test(data)
    ? `pong of ${data.length}`
    : `${type} ${JSON.stringify(data)}`
}

/** RFC 6455 5.1 and 5.2: a server's frames are not masked, have no reserved bits, and here are never in fragments. */
const isSound = ({ fin, rsv, isMasked }: ServerFrame): boolean => fin && rsv === 0 && !isMasked

async function hear(t: Test, server: ServerProcess, sent: Bytes, what: string): Promise<string[]> {
  const raw = await open(server)
  for (const [at, piece] of [sent].flat().entries()) {
    if (at > 0) (await open(server)).destroy()
    raw.send(piece)
  }
  raw.send(text(ping(ALIVE)))
  const heard: string[] = []
  let hasClosed = false
  while (heard.at(-1) !== 'alive') {
    const came = await raw.frame()
    if (came === undefined) break
    t.ok(isSound(came), `${what}: the server's own frame`)
    hasClosed ||= came.opcode === CLOSE
    heard.push(wordFor(came))
  }
  if (heard.at(-1) !== 'alive' && !hasClosed) heard.push('cut')
  raw.destroy()
  return heard
}

async function holds(t: Test, server: ServerProcess, neighbour: Tab, cases: readonly Case[]): Promise<void> {
  for (const [what, sent, heard] of cases) {
    t.same(await hear(t, server, sent, what), heard, what)
    t.equal((await neighbour.ask({ type: 'ping', data: what })).data, what, `${what}: the neighbour is answered`)
  }
}

/** Resident memory of the server process, in MB. */
function residentOf({ pid }: ServerProcess): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) / 1024
}

/** Polls until the memory is back. @returns what it was in the end, in MB over `before`. */
async function excess(server: ServerProcess, before: number): Promise<number> {
  const deadline = Date.now() + 5000
  for (;;) {
    const over = residentOf(server) - before
    if (over <= 20 || Date.now() > deadline) return over
    await pause(50)
  }
}

t.test('frames', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_MAX_CONNECTIONS_PER_USER: '1000' } })
  const neighbour = await Tab.open(server, 'bob')
  const check = (cases: readonly Case[]) => (t: Test) => holds(t, server, neighbour, cases)

  t.test('FRAME-1 a payload of any length that may be', check(LENGTHS))
  t.test('FRAME-2 any mask will do', check(MASKS))
  t.test('FRAME-3 a message in fragments is one message, and they stay in order', check(FRAGMENTS))
  t.test('FRAME-4 control frames are short and whole, and a ping gets its own payload back', check(CONTROLS))
  t.test('FRAME-5 what is reserved ends the connection', check(RESERVED))
  t.test('FRAME-6 text is UTF-8, wherever it is cut in two', check(UTF8))
  t.test('FRAME-7 a close is answered by a close, and nothing comes after it', check(CLOSES))
  t.test('FRAME-8 E1 binary is refused, and the connection lives', check(KINDS))
  t.test('E3 over limits.frame is too_large, over the hard limit is the end', check(LIMITS))
  t.test('FRAME-9 where uWebSockets.js deviates: the known deviations', check(DEVIATIONS))

  t.test('FRAME-10 frames that come byte by byte are the same frames', async (t) => {
    const raw = await open(server)
    await raw.trickle(
      bytes(begun(one), frame(PING, 'a'), last(two), frame(BINARY, 'b'), frame(CLOSE, closing(1000, 'bye'))),
    )
    const heard: string[] = []
    for (let came = await raw.frame(); came; came = await raw.frame()) heard.push(wordFor(came))
    t.same(heard, ['PONG a', 'pong "whole"', 'error unsupported_data', 'close 1000 bye'])
    raw.destroy()
  })

  t.test('FRAME-11 a frame that is not finished is waited for, and disturbs nobody', async (t) => {
    const raw = await open(server)
    raw.send(text(whole).subarray(0, 12))
    t.equal((await neighbour.ask({ type: 'ping', data: 1 })).data, 1)
    t.equal(String(await raw.heardWithin(50)), '', 'silence')
    raw.send(text(whole).subarray(12))
    t.equal(wordFor((await raw.frame()) as ServerFrame), 'pong "whole"')
    raw.destroy()
  })

  t.test('FRAME-12 the server ends the TCP connection first, once both closes are sent (RFC 6455 7.1.1)', async (t) => {
    const raw = await open(server)
    raw.send(frame(CLOSE, closing(1000)))
    t.match(await raw.frame(), { opcode: CLOSE, code: 1000 })
    await raw.ended()
    t.equal(raw.socket.writable, true, 'this side is still open')
    raw.destroy()
  })

  t.test(
    'FRAME-13 X2 a flood of 300,000 one-byte fragments ends at the hard limit and leaves no memory behind',
    async (t) => {
      await hear(t, server, text('x'.repeat(HARD)), 'warm')
      const before = residentOf(server)
      const raw = await open(server)
      const chunk = bytes(...Array.from({ length: 1000 }, () => more('x')))
      raw.send(begun('x'))
      for (let sent = 0; sent < 300 && !raw.isEnded; sent++) {
        raw.send(chunk)
        await raw.flushed()
      }
      await raw.ended()
      t.equal(await raw.frame(), undefined, 'no frame came of it')
      t.equal((await neighbour.ask({ type: 'ping', data: 1 })).data, 1, 'the neighbour is answered')
      const over = await excess(server, before)
      t.ok(over <= 20, `${over.toFixed(1)} MB over the ${before.toFixed(1)} MB before`)
    },
  )

  t.test('FRAME-14 a flood of 1,000,000 empty fragments is one message, and leaves no memory behind', async (t) => {
    const before = residentOf(server)
    const raw = await open(server)
    const chunk = bytes(...Array.from({ length: 10_000 }, () => more('')))
    raw.send(begun(one))
    for (let sent = 0; sent < 100; sent++) {
      raw.send(chunk)
      await raw.flushed()
      if (sent % 10 === 0)
        t.equal((await neighbour.ask({ type: 'ping', data: sent })).data, sent, 'the neighbour is answered')
    }
    raw.send(last(two))
    t.equal(wordFor((await raw.frame()) as ServerFrame), 'pong "whole"')
    raw.destroy()
    const over = await excess(server, before)
    t.ok(over <= 20, `${over.toFixed(1)} MB over the ${before.toFixed(1)} MB before`)
  })

  t.test('FRAME-15 docs/websocket.md counts these cases', async (t) => {
    const kept = [LENGTHS, MASKS, FRAGMENTS, CONTROLS, RESERVED, UTF8, CLOSES, KINDS, LIMITS].flat() as Case[]
    const page = readFileSync(join(ROOT, 'docs/websocket.md'), 'utf8')
    t.match(page, `frames: ${kept.length} cases kept, ${DEVIATIONS.length} deviations`)
    t.match(page, `${cuts(kept)} of the kept cases end without a Close frame`)
  })

  t.test('no frame left a word on stderr that is no log line, and the server still ends cleanly', async (t) => {
    await neighbour.leave()
    t.equal(await server.end('SIGTERM'), 0)
    for (const line of server.stderr.split('\n').filter(Boolean)) t.doesNotThrow(() => JSON.parse(line), line)
  })
})
