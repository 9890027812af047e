/**
 * The codec: frames as literal text, in; a frame of the union or the one error that answers it, out. And the tables
 * of failures and closings, held against the words of the protocol.
 */
import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  type CloseReason,
  closeCodes,
  comesBack,
  type ErrorCode,
  failure,
  httpStatus,
  isFailure,
} from '../src/errors.ts'
import { pointer } from '../src/json.ts'
import { type ClientType, clientTypes, decode, encode, read as receive } from '../src/protocol.ts'

const read = (frame: unknown) => decode(JSON.stringify(frame))

/** What a refusal says that a client can build on. */
function refusal(frame: unknown) {
  const { type, code, path, id, retry } = decode(typeof frame === 'string' ? frame : JSON.stringify(frame)) as never
  return { type, code, path, id, retry }
}

const badFrame = (path: string | undefined, id?: string | number) => ({
  type: 'error',
  code: 'bad_frame',
  path,
  id,
  retry: false,
})

/** Checks a property on many random cases; a counterexample, with its seed, is the failure's text. */
function holds<T>(t: Test, property: fc.IPropertyWithHooks<T>, numRuns = 2000): void {
  t.equal(fc.defaultReportMessage(fc.check(property, { numRuns })), undefined)
}

// What is accepted.

const ROOM = 'chat/lobby'

/** Of each type: literal frames that the protocol knows. */
const accepted: { [T in ClientType]: object[] } = {
  auth: [
    { type: 'auth', token: 'a.b.c' },
    { type: 'auth', token: '', heartbeat: 'ws' },
    { type: 'auth', token: 'a.b.c', heartbeat: 'json' },
  ],
  ping: [
    { type: 'ping' },
    ...[null, 0, '', 'x', [], {}, { deep: [1, { er: ['é', '👩‍👧', '\n'] }] }].map((data) => ({ type: 'ping', data })),
  ],
  pong: [{ type: 'pong' }],
  status: [{ type: 'status' }],
  join: [
    { type: 'join', room: ROOM },
    { type: 'join', room: ROOM, since: { epoch: 'e1', seq: 0 } },
    { type: 'join', room: ROOM, since: { epoch: '', seq: 2 ** 53 - 1 }, mode: 'state' },
  ],
  leave: [{ type: 'leave', room: ROOM }],
  send: [
    { type: 'send', room: ROOM, event: { type: 'message.post', text: 'hi' } },
    { type: 'send', room: ROOM, event: { type: '' }, key: 'k', if: 0 },
    { type: 'send', room: ROOM, event: { type: 'x', from: 'me', time: 1, seq: [] }, key: 'k'.repeat(128), if: 7 },
  ],
  get: [{ type: 'get', room: ROOM }],
  history: [
    { type: 'history', room: ROOM },
    { type: 'history', room: ROOM, since: 0, limit: 1 },
    { type: 'history', room: ROOM, since: 2 ** 53 - 1, limit: 1000 },
  ],
  message: [
    { type: 'message', to: 'ann', data: null },
    { type: 'message', to: 'b'.repeat(128), data: { a: [1, 'é'] }, priority: 'high', ttl: 1, key: 'k' },
    { type: 'message', to: 'any name/at all', data: 0, priority: 'normal' },
  ],
  ack: [
    { type: 'ack', seq: 1 },
    { type: 'ack', seq: [1, 2, 2 ** 53 - 1] },
  ],
  nack: [
    { type: 'nack', seq: 1 },
    { type: 'nack', seq: [3], reason: 'busy' },
  ],
}

t.test('CODEC-1 every frame of the protocol is read as it was written', (t) => {
  t.strictSame(Object.keys(accepted).sort(), [...clientTypes].sort(), 'there is a literal frame for every type')
  for (const frame of Object.values(accepted).flat()) t.strictSame(read(frame), frame, JSON.stringify(frame))
  t.end()
})

t.test('R1 every frame may carry an id, a string or an integer', (t) => {
  for (const [frame] of Object.values(accepted)) {
    for (const id of ['q1', '', '👩‍👧', 'x'.repeat(128), 0, 1, -1, 2 ** 53 - 1]) {
      t.strictSame(read({ ...frame, id }), { ...frame, id }, JSON.stringify(id))
    }
  }
  t.end()
})

t.test('CODEC-2 fields that the protocol does not know are ignored, but those of an event are its own', (t) => {
  for (const [frame] of Object.values(accepted))
    t.strictSame(read({ ...frame, extra: { any: 'thing' }, x: null }), frame)
  const event = { type: 'x', extra: { any: ['thing', null] }, '': 1 }
  t.strictSame(read({ type: 'send', room: ROOM, event, more: 1 }), { type: 'send', room: ROOM, event })
  const since = { epoch: 'e', seq: 1 }
  t.strictSame(read({ type: 'join', room: ROOM, since: { ...since, more: 1 } }), { type: 'join', room: ROOM, since })
  t.end()
})

t.test('CODEC-3 white space, the order of fields and escapes do not matter', (t) => {
  const text = ' \n\t{ "id" : 1 ,\r\n "\\u0074ype":"\\u0067et", "room":"chat\\/lobby" } \n'
  t.strictSame(decode(text), { type: 'get', id: 1, room: 'chat/lobby' })
  t.end()
})

// What is refused.

t.test('CODEC-4 bad_json says what is wrong without a word of the text', (t) => {
  const rows: [text: string, message: RegExp][] = [
    ['', /empty$/],
    [' \n', /empty$/],
    ['{"token":"hunter2', /look at position 17$/],
    ['{"token":hunter2}', /JSON does not know$/],
    ['hunter2 at position 5', /JSON does not know$/],
    ['{"a":1}hunter2', /look at position 7$/],
    ['{"hunter2":', /too early$/],
  ]
  for (const [text, message] of rows) {
    const { message: said } = decode(text) as { message: string }
    t.match(said, message, text)
    t.notMatch(said, /hun|ter2|"/, text)
  }
  t.end()
})

t.test('CODEC-4 what is no JSON is bad_json', (t) => {
  const texts = ['', ' ', 'hello', '{', '{"type":"ping"', '{"type":"ping"}}', "{'type':'ping'}", '{"type":"ping",}']
  const more = ['{type:"ping"}', 'undefined', 'NaN', '\u0000', '\ufeff{"type":"ping"}', '{"type":"pi\nng"}', '"\ud800']
  for (const text of [...texts, ...more]) {
    t.strictSame(refusal(text), { ...badFrame(undefined), code: 'bad_json' }, JSON.stringify(text))
  }
  t.end()
})

t.test('CODEC-4 a byte order mark before the object is bad_json: JSON has no place for it (RFC 8259 8.1)', (t) => {
  const { buffer } = new Uint8Array(Buffer.from('\ufeff{"type":"ping"}'))
  t.match(receive(buffer, false, 100), { type: 'error', code: 'bad_json' })
  t.end()
})

t.test('CODEC-5 what is JSON but no object is bad_frame', (t) => {
  for (const text of ['null', 'true', '1', '"ping"', '[]', '[{"type":"ping"}]', '["ping"]']) {
    t.match(decode(text), { type: 'error', code: 'bad_frame', retry: false, message: /a frame is a JSON object/ }, text)
  }
  t.end()
})

t.test('CODEC-6 a frame without a type, or with one that is no string, is bad_frame at /type', (t) => {
  t.strictSame(refusal({ id: 3 }), badFrame('/type', 3))
  for (const type of [null, 1, true, {}, ['ping']]) t.strictSame(refusal({ type, id: 'a' }), badFrame('/type', 'a'))
  t.end()
})

t.test('CODEC-7 a type that does not exist is unknown_type, with those that do', (t) => {
  const names = ['', 'Ping', 'ping ', 'welcome', 'snapshot', 'toString', 'constructor', 'hasOwnProperty', 'valueOf']
  for (const type of names) {
    const wanted = { type: 'error', code: 'unknown_type', retry: false, id: 9, allowed: clientTypes }
    const { message, ...refused } = read({ type, id: 9 }) as unknown as Record<string, unknown>
    t.strictSame(refused, wanted, type)
    t.ok(String(message).includes(JSON.stringify(type)), 'it says which')
  }
  t.end()
})

/** Of each type: a good frame, and for each of its fields what must not stand there, and where the error points. */
const refused: { [T in ClientType]: [good: object, bad: [fields: object, path: string][]] } = {
  auth: [
    { type: 'auth', token: 'a.b.c' },
    [
      ...[undefined, null, 1, {}, ['a']].map((token): [object, string] => [{ token }, '/token']),
      ...['tcp', '', 'JSON', null, 1, true].map((heartbeat): [object, string] => [{ heartbeat }, '/heartbeat']),
    ],
  ],
  ping: [{ type: 'ping' }, []],
  pong: [{ type: 'pong' }, []],
  status: [{ type: 'status' }, []],
  join: [
    { type: 'join', room: ROOM },
    [
      ...badRooms(),
      ...[null, 1, 'e1', [], true].map((since): [object, string] => [{ since }, '/since']),
      ...[undefined, null, 1, {}].map((epoch): [object, string] => [{ since: { epoch, seq: 1 } }, '/since/epoch']),
      ...badSeqs().map((seq): [object, string] => [{ since: { epoch: 'e', seq } }, '/since/seq']),
      [{ since: { epoch: 'e' } }, '/since/seq'],
      ...['all', '', null, 1, []].map((mode): [object, string] => [{ mode }, '/mode']),
    ],
  ],
  leave: [{ type: 'leave', room: ROOM }, badRooms()],
  send: [
    { type: 'send', room: ROOM, event: { type: 'x' } },
    [
      ...badRooms(),
      ...[undefined, null, 1, 'x', true, [], [{ type: 'x' }]].map((event): [object, string] => [{ event }, '/event']),
      ...[undefined, null, 1, {}, ['x']].map((type): [object, string] => [{ event: { type } }, '/event/type']),
      ...['', 'k'.repeat(129), null, 1, {}].map((key): [object, string] => [{ key }, '/key']),
      ...badSeqs().map((seq): [object, string] => [{ if: seq }, '/if']),
    ],
  ],
  get: [{ type: 'get', room: ROOM }, badRooms()],
  history: [
    { type: 'history', room: ROOM },
    [
      ...badRooms(),
      ...badSeqs().map((since): [object, string] => [{ since }, '/since']),
      ...[0, 1001, ...badSeqs()].map((limit): [object, string] => [{ limit }, '/limit']),
    ],
  ],
  message: [
    { type: 'message', to: 'ann', data: 1 },
    [
      ...[undefined, null, 1, '', 'u'.repeat(129), ['ann']].map((to): [object, string] => [{ to }, '/to']),
      [{ data: undefined }, '/data'],
      ...['urgent', '', null, 1].map((priority): [object, string] => [{ priority }, '/priority']),
      ...[0, ...badSeqs()].map((ttl): [object, string] => [{ ttl }, '/ttl']),
      ...['', 'k'.repeat(129), null, 1].map((key): [object, string] => [{ key }, '/key']),
    ],
  ],
  ack: [{ type: 'ack', seq: 1 }, badSettled()],
  nack: [
    { type: 'nack', seq: 1 },
    [...badSettled(), ...[null, 1, {}, 'r'.repeat(257)].map((reason): [object, string] => [{ reason }, '/reason'])],
  ],
}

function badSettled(): [object, string][] {
  const bad = [undefined, 0, [], ['1'], Array(1001).fill(1), ...badSeqs().filter((seq) => !Array.isArray(seq))]
  return [...bad.map((seq): [object, string] => [{ seq }, '/seq']), [{ seq: [1, 0] }, '/seq/1']]
}

function badRooms(): [object, string][] {
  return [undefined, null, 1, {}, [ROOM], 'r'.repeat(257)].map((room) => [{ room }, '/room'])
}

function badSeqs(): unknown[] {
  return [-1, 1.5, 2 ** 53, 1e300, '1', null, true, [1], {}]
}

t.test('CODEC-8 each field that is wrong is bad_frame, with its path and the id of the frame', (t) => {
  t.strictSame(Object.keys(refused).sort(), [...clientTypes].sort(), 'there are rows for every type')
  for (const [good, rows] of Object.values(refused)) {
    t.strictSame(read(good), good)
    for (const [fields, path] of rows) {
      const frame = { ...good, ...fields }
      t.strictSame(refusal(frame), badFrame(path), JSON.stringify(frame).slice(0, 100))
      t.strictSame(refusal({ ...frame, id: 'q7' }), badFrame(path, 'q7'))
    }
  }
  t.end()
})

t.test('CODEC-9 an id that cannot be one is bad_frame at /id, and is not sent back', (t) => {
  const ids = [null, true, 1.5, 2 ** 53, 1e300, {}, [], ['a'], 'x'.repeat(129)]
  for (const id of ids) {
    for (const [frame] of Object.values(accepted)) t.strictSame(refusal({ ...frame, id }), badFrame('/id'))
  }
  t.strictSame(refusal('{"type":"ping","id":1e999}'), badFrame('/id'))
  t.end()
})

t.test('CODEC-10 an id is sent back with every refusal in which it could be read', (t) => {
  for (const id of ['q', '', 0, -7]) {
    t.equal(refusal({ id }).id, id, 'no type')
    t.equal(refusal({ id, type: 'nothing' }).id, id, 'unknown type')
    t.equal(refusal({ id, type: 'get' }).id, id, 'field missing')
    t.equal(refusal(`{"id":${JSON.stringify(id)},"type":"ping","data":{"__proto__":1}}`).id, id, 'a key not allowed')
  }
  t.end()
})

t.test('E2 every bad_frame says where', (t) => {
  const deep = `{"type":"ping","data":${'['.repeat(40)}${']'.repeat(40)}}`
  for (const text of ['[]', 'null', '"ping"', deep, '{}', '{"type":"get"}', '{"type":"ping","id":{}}']) {
    t.match(decode(text), { code: 'bad_frame', path: /^(\/|$)/ }, text.slice(0, 40))
  }
  t.end()
})

// Rule E4.

/** A key that could reach a prototype, in the spellings that JSON allows. */
const spellings: [text: string, key: string][] = [
  ['__proto__', '__proto__'],
  ['\\u005f_proto__', '__proto__'],
  ['__pr\\u006Fto__', '__proto__'],
  ['\\u005F\\u005F\\u0070\\u0072\\u006f\\u0074\\u006f\\u005f\\u005f', '__proto__'],
  ['constructor', 'constructor'],
  ['c\\u006fnstructor', 'constructor'],
  ['prototype', 'prototype'],
  ['prototyp\\u0065', 'prototype'],
]

t.test('E4 a key that could reach a prototype is refused at any depth, however it is spelled', (t) => {
  for (const [spelling, key] of spellings) {
    const rows: [text: string, path: string][] = [
      [`{"id":1,"type":"ping","${spelling}":{"polluted":true}}`, `/${key}`],
      [`{"id":1,"type":"ping","data":{"${spelling}":null}}`, `/data/${key}`],
      [`{"id":1,"type":"ping","data":[0,[{"a/b":{"${spelling}":1}}]]}`, `/data/1/0/a~1b/${key}`],
      [`{"id":1,"type":"send","room":"chat/x","event":{"type":"x","${spelling}":{}}}`, `/event/${key}`],
      [`{"id":1,"type":"join","room":"chat/x","since":{"epoch":"e","seq":1,"${spelling}":0}}`, `/since/${key}`],
      [`{"id":1,"type":"nothing","${spelling}":1}`, `/${key}`],
      [`{"id":1,"${spelling}":1}`, `/${key}`],
    ]
    const nested = 29
    const deep = `{"id":1,"type":"ping","data":${'['.repeat(nested)}{"${spelling}":1}${']'.repeat(nested)}}`
    rows.push([deep, `/data${'/0'.repeat(nested)}/${key}`])
    for (const [text, path] of rows) t.strictSame(refusal(text), badFrame(path, 1), text)
  }
  t.notOk('polluted' in {})
  t.end()
})

t.test('E4 the same words are welcome as values, and keys that only look like them as keys', (t) => {
  for (const [spelling, word] of spellings) {
    const frame = decode(`{"type":"send","room":"${spelling}","key":"${spelling}","event":{"type":"${spelling}"}}`)
    t.strictSame(frame, { type: 'send', room: word, key: word, event: { type: word } })
    t.strictSame(decode(`{"type":"ping","data":["${spelling}"]}`), { type: 'ping', data: [word] })
  }
  for (const key of [
    '__proto',
    'proto__',
    '__PROTO__',
    'Constructor',
    'constructors',
    'prototypes',
    ' __proto__',
    'toString',
  ]) {
    t.strictSame(read({ type: 'ping', data: { [key]: 1 } }), { type: 'ping', data: { [key]: 1 } })
  }
  t.strictSame(decode('{"type":"ping","data":{"\\\\u005f_proto__":1}}'), {
    type: 'ping',
    data: { '\\u005f_proto__': 1 },
  })
  t.end()
})

// Rule E5.

const opening = ['[', '{"a":', '["]]",', '{"[[[[":"]]]]","a":']
const closing = [']', '}', ']', '}']

/** A value nested `levels` deep, of containers chosen by `kinds`. */
function nested(levels: number, kinds: readonly number[], core: string): string {
  const chosen = Array.from({ length: levels }, (_, i) => (kinds[i % kinds.length] ?? 0) % opening.length)
  const close = chosen.map((kind) => closing[kind]).reverse()
  return `${chosen.map((kind) => opening[kind]).join('')}${core}${close.join('')}`
}

t.test('E5 JSON nested 32 levels deep is read, 33 is bad_frame', (t) => {
  for (const kinds of [[0], [1], [2], [3], [0, 1, 2, 3]]) {
    // The frame itself is the first level.
    const deepest = `{"type":"ping","data":${nested(31, kinds, '0')}}`
    t.strictSame(decode(deepest), JSON.parse(deepest), deepest.slice(0, 60))
    for (const levels of [32, 33, 100, 10_000]) {
      const tooDeep = `{"type":"ping","data":${nested(levels, kinds, '0')}}`
      t.match(decode(tooDeep), { type: 'error', code: 'bad_frame', retry: false, message: /32/ }, tooDeep.slice(0, 60))
    }
  }
  t.match(decode('['.repeat(33) + ']'.repeat(33)), { code: 'bad_frame', message: /32/ })
  t.match(decode('['.repeat(32) + ']'.repeat(32)), { code: 'bad_frame', message: /object/ })
  t.end()
})

t.test('E5 how deep a frame may be does not depend on what stands in its strings, or beside it', (t) => {
  const core = fc.oneof(
    fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', '\\', 'u', 'x'), maxLength: 60 }),
    fc.json(),
  )
  const property = fc.property(
    fc.integer({ min: 0, max: 40 }),
    fc.array(fc.nat(3), { minLength: 1 }),
    core,
    (levels, kinds, core) => {
      const text = `{"before":"]]}}\\\\","type":"ping","data":${nested(levels, kinds, JSON.stringify(core))},"after":[${'[],{},'.repeat(40)}0]}`
      const frame = decode(text)
      deepStrictEqual(isFailure(frame), levels > 31, text)
      if (levels <= 31) deepStrictEqual(frame, { type: 'ping', data: JSON.parse(text).data })
    },
  )
  holds(t, property)
  t.end()
})

t.test('E5 brackets within strings do not count', (t) => {
  for (const data of [
    '['.repeat(1000),
    '{"'.repeat(500),
    `\\${'['.repeat(100)}`,
    `"${'{'.repeat(100)}\\"`,
    '\\"'.repeat(99),
  ]) {
    t.strictSame(read({ type: 'ping', data }), { type: 'ping', data })
    t.strictSame(read({ type: 'ping', data: { [data]: data } }), { type: 'ping', data: { [data]: data } })
  }
  t.end()
})

// Whatever comes.

/** One `error` frame with a known code, or a frame of one of the known types. Never a throw. */
function assertAnswered(text: string): void {
  const frame = decode(text)
  if (isFailure(frame)) {
    deepStrictEqual(['bad_json', 'bad_frame', 'unknown_type'].includes(frame.code), true, frame.code)
    deepStrictEqual(typeof frame.message === 'string' && frame.message.length > 0, true, 'it says what is wrong')
    JSON.parse(encode(frame))
  } else deepStrictEqual(clientTypes.includes(frame.type), true, frame.type)
}

t.test('CODEC-11 whatever text comes, there is a frame or one error, and no prototype changes', (t) => {
  const inherited = Object.getOwnPropertyNames(Object.prototype).join()
  const noise = fc.string({ unit: fc.constantFrom(...'{}[]":,\\u0type pingdata1.-e__proto__\n\u0000é') })
  holds(t, fc.property(fc.oneof(fc.string({ unit: 'binary' }), noise, fc.json()), assertAnswered), 5000)
  t.equal(Object.getOwnPropertyNames(Object.prototype).join(), inherited)
  t.end()
})

t.test('CODEC-12 whatever stands in the fields of a frame, there is a frame or one error', (t) => {
  const field = fc.constantFrom(
    'type',
    'id',
    'token',
    'room',
    'event',
    'key',
    'if',
    'since',
    'mode',
    'data',
    '__proto__',
  )
  const value = fc.oneof(
    fc.constantFrom(...clientTypes, 1, -1, null, {}, { type: 'x' }, { epoch: 'e', seq: 1 }),
    fc.jsonValue(),
  )
  const fields = fc.array(fc.tuple(field, value), { maxLength: 8 })
  const property = fc.property(fc.constantFrom(...clientTypes), fields, (type, fields) => {
    const members = [['type', type] as const, ...fields].map(
      ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`,
    )
    assertAnswered(`{${members.join()}}`)
  })
  holds(t, property, 5000)
  t.end()
})

t.test('CODEC-13 a good frame with one character changed is a frame or one error', (t) => {
  const frames = Object.values(accepted)
    .flat()
    .map((frame) => JSON.stringify({ ...frame, id: 1 }))
  const change = fc.tuple(fc.constantFrom(...frames), fc.nat(), fc.constantFrom(...'{}[]":,\\0-eé\n\u0000x', ''))
  holds(
    t,
    fc.property(change, ([text, place, unit]) => {
      const at = place % text.length
      assertAnswered(text.slice(0, at) + unit + text.slice(at + 1))
      assertAnswered(text.slice(0, at))
    }),
  )
  t.end()
})

// What is sent.

t.test('CODEC-14 a frame is sent as one JSON object, its type first, its id beside it', (t) => {
  t.equal(encode({ type: 'pong', data: [1], time: 5 }), '{"type":"pong","data":[1],"time":5}')
  t.equal(encode({ type: 'pong', data: [1], time: 5 }, 'q1'), '{"type":"pong","id":"q1","data":[1],"time":5}')
  t.equal(encode({ type: 'ok', room: ROOM, seq: 1 }, 0), '{"type":"ok","id":0,"room":"chat/lobby","seq":1}')
  t.equal(encode({ type: 'ok' }, ''), '{"type":"ok","id":""}')
  t.end()
})

t.test('R1 whatever a reply holds, it is sent as JSON.stringify would write it', (t) => {
  const scalars = fc.constantFrom(
    -0,
    1e21,
    5e-324,
    NaN,
    Infinity,
    true,
    null,
    undefined,
    '',
    '"',
    '\\',
    '\u007f',
    '\u2028',
    '\ud800',
  )
  const unwritten = fc.constantFrom<unknown>(undefined, Symbol('x'), () => 1, { toJSON: () => undefined })
  const unit = fc.constantFrom(...'ab "\\/\n\t\u0000\u001f\u007f\u0080é\u2028\ud83d\ude00\ud800')
  const text = fc.string({ unit, maxLength: 12 })
  const value = fc.oneof(
    scalars,
    unwritten,
    text,
    fc.double(),
    fc.integer(),
    fc.jsonValue(),
    fc.date({ noInvalidDate: true }),
  )
  const id = fc.oneof(text, fc.maxSafeInteger())
  holds(
    t,
    fc.property(value, id, (data, id) => {
      deepStrictEqual(encode({ type: 'pong', data, time: 5 }, id), JSON.stringify({ type: 'pong', id, data, time: 5 }))
    }),
    5000,
  )
  t.end()
})

t.test('CODEC-15 the error that answers a frame goes out with the id of that frame', (t) => {
  const error = read({ type: 'get', id: 'q9' })
  t.ok(isFailure(error))
  if (isFailure(error))
    t.match(JSON.parse(encode(error)), { type: 'error', id: 'q9', code: 'bad_frame', path: '/room' })
  const conflict = failure('conflict', 'the room is at seq 4', { expected: 3, actual: 4 })
  t.strictSame(JSON.parse(encode(conflict, 5)), {
    type: 'error',
    id: 5,
    code: 'conflict',
    message: 'the room is at seq 4',
    retry: true,
    expected: 3,
    actual: 4,
  })
  t.end()
})

t.test('CODEC-16 a path is a JSON Pointer (RFC 6901)', (t) => {
  t.equal(pointer([]), '')
  t.equal(pointer(['a', 0, '']), '/a/0/')
  t.equal(pointer(['a/b', 'm~n', '~1']), '/a~1b/m~0n/~01')
  t.end()
})

// The tables.

/** Rule E2: which codes there are, and whether asking again can help. */
const codes: { [Code in ErrorCode]: boolean } = {
  bad_json: false,
  bad_frame: false,
  unsupported_data: false,
  too_large: false,
  unknown_type: false,
  not_in_state: false,
  unauthorized: false,
  token_expired: false,
  subject_mismatch: false,
  forbidden: false,
  unknown_machine: false,
  bad_room: false,
  not_joined: false,
  bad_event: false,
  not_accepted: false,
  conflict: true,
  event_failed: false,
  room_failed: true,
  unknown_seq: false,
  inbox_full: true,
  rate_limited: true,
  overloaded: true,
  read_only: true,
  internal: true,
}

t.test('E2 asking again is said to help for these codes, and for no others', (t) => {
  for (const [code, retry] of Object.entries(codes) as [ErrorCode, boolean][]) {
    t.strictSame(failure(code, 'why'), { type: 'error', code, message: 'why', retry }, code)
    t.ok([400, 401, 403, 404, 409, 429, 503].includes(httpStatus(code)), `${code} over HTTP is ${httpStatus(code)}`)
    t.ok(!retry || [409, 429, 503].includes(httpStatus(code)), `${code} over HTTP says the same`)
  }
  t.equal(failure('not_in_state', 'why', { state: 'connecting', allowed: ['auth'] }).state, 'connecting')
  t.end()
})

/** "Closing" in the protocol: every code above 4000 that it names. */
const closings: Partial<{ [Reason in CloseReason]: number }> = {
  bad_request: 4000,
  unauthorized: 4001,
  forbidden: 4003,
  auth_timeout: 4008,
  revoked: 4010,
  internal: 4100,
  overloaded: 4103,
  too_many_connections: 4104,
  rate_limited: 4129,
  token_expired: 4201,
  heartbeat_timeout: 4208,
  too_slow: 4211,
  moved: 4213,
}

t.test('CODEC-17 the close codes are those of the protocol', (t) => {
  const ours = Object.entries(closeCodes).filter(([, code]) => code >= 4000)
  t.strictSame(Object.fromEntries(ours), closings)
  const theirs = Object.values(closeCodes).filter((code) => code < 4000)
  for (const code of theirs) t.ok([1000, 1001, 1007, 1009, 1011].includes(code), `${code} is of RFC 6455`)
  t.equal(new Set(Object.values(closeCodes)).size, Object.keys(closeCodes).length, 'no code has two reasons')
  t.end()
})

t.test('CODEC-18 the range of a close code says whether the client comes back, also for one that nobody knows', (t) => {
  const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)
  t.strictSame(range(4000, 4099).filter(comesBack), [])
  t.strictSame(
    range(4100, 4299).filter((code) => !comesBack(code)),
    [],
  )
  t.strictSame([1000, 1007, 1009].filter(comesBack), [], 'these have their RFC meaning: the same would happen again')
  t.equal(comesBack(1001), true, 'a drained server is one to come back to')
  t.end()
})
