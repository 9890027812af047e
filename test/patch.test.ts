/**
 * Patches: what `diff` makes turns the one state into the other, here and in any client's library, and what
 * `applyPatch` is given by a stranger changes the document as RFC 6902 says or not at all.
 */
import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import jsonpatch from 'fast-json-patch'
import t, { type Test } from 'tap'
import { applyPatch, diff, type Operation, PatchError } from '../src/patch.ts'

/** What is left of a value when it has been on the wire. */
const onTheWire = <T>(value: T): T => JSON.parse(JSON.stringify(value))

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}

/** Checks a property on many random cases; a counterexample, with its seed, is the failure's text. */
function holds<T>(t: Test, property: fc.IPropertyWithHooks<T>, numRuns = 2000): void {
  t.equal(fc.defaultReportMessage(fc.check(property, { numRuns })), undefined)
}

/** Applies without trusting the types, as a client's operations come. */
const applyAny = (document: unknown, ops: unknown): unknown => applyPatch(document, ops as Operation[])

// Random documents, and random edits of them that keep what they do not touch.

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

const key = fc.constantFrom(
  '',
  'a',
  'b',
  'c',
  'a/b',
  '~',
  '~1',
  '~0/',
  '0',
  '1',
  '-',
  'length',
  'toString',
  'é👩‍👧',
  ' ',
)
const leaf: fc.Arbitrary<Json> = fc.constantFrom(
  null,
  true,
  false,
  0,
  1,
  -1.5,
  1e21,
  '',
  'a',
  'b',
  'é👩‍👧',
  'x'.repeat(40),
)

const { json } = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('json'), { maxLength: 5 }),
    fc.dictionary(key, tie('json'), { maxKeys: 5, noNullPrototype: true }),
  ),
}))

interface Edit {
  readonly path: readonly number[]
  readonly how: 'set' | 'remove' | 'append' | 'prepend' | 'slide' | 'pop'
  readonly key: string
  readonly value: Json
}

const edit: fc.Arbitrary<Edit> = fc.record({
  path: fc.array(fc.nat(5), { maxLength: 4 }),
  how: fc.constantFrom('set', 'remove', 'append', 'prepend', 'slide', 'pop'),
  key,
  value: json,
})

/** `document` with one edit, by copying the way to it and nothing else, as an `assign` does. */
function edited(document: Json, { path: [step, ...path], ...how }: Edit): Json {
  const next = { ...how, path }
  if (Array.isArray(document)) {
    const at = (step ?? 0) % (document.length + 1)
    if (step === undefined || at === document.length) return editedArray(document, how, at)
    return document.map((item, i) => (i === at ? edited(item, next) : item))
  }
  if (document === null || typeof document !== 'object') return how.value
  const keys = Object.keys(document)
  const found = keys[(step ?? 0) % (keys.length + 1)]
  if (step !== undefined && found !== undefined) return { ...document, [found]: edited(document[found] ?? null, next) }
  if (how.how !== 'remove' || keys.length === 0) return { ...document, [how.key]: how.value }
  const { [keys[keys.length - 1] as string]: _, ...rest } = document
  return rest
}

function editedArray(list: Json[], { how, value }: Omit<Edit, 'path'>, at: number): Json[] {
  if (how === 'append') return [...list, value]
  if (how === 'prepend') return [value, ...list]
  if (how === 'slide') return [...list.slice(at || 1), value]
  if (how === 'pop') return list.slice(0, -1)
  return [...list.slice(0, at), ...(how === 'set' ? [value] : []), ...list.slice(at + 1)]
}

const container = json.filter((value) => typeof value === 'object' && value !== null)

/** A document, and the same after a few edits that share with it what they left alone. */
const sharing = fc
  .tuple(container, fc.array(edit, { minLength: 1, maxLength: 4 }))
  .map(([before, edits]) => ({ before, after: edits.reduce(edited, before) }))

/** Both libraries, on copies that share nothing with what `diff` saw, must end at `after`. */
function assertTurns(before: Json, after: Json): void {
  const ops = diff(before, after)
  deepStrictEqual(applyPatch(deepFreeze(onTheWire(before)), onTheWire(ops)), onTheWire(after), 'our applyPatch')
  const theirs = jsonpatch.applyPatch(onTheWire(before), onTheWire(ops), true).newDocument
  deepStrictEqual(theirs, onTheWire(after), 'fast-json-patch')
}

t.test('PATCH-1 a patch between documents that share subtrees turns the one into the other', (t) => {
  holds(
    t,
    fc.property(sharing, ({ before, after }) => {
      const text = [JSON.stringify(before), JSON.stringify(after)]
      assertTurns(deepFreeze(before), deepFreeze(after))
      deepStrictEqual([JSON.stringify(before), JSON.stringify(after)], text, 'neither was changed')
    }),
  )
  t.end()
})

t.test('PATCH-2 a patch between documents that share nothing turns the one into the other', (t) => {
  holds(t, fc.property(json, json, assertTurns))
  holds(
    t,
    fc.property(sharing, ({ before, after }) => assertTurns(before, onTheWire(after))),
  )
  t.end()
})

t.test('PATCH-3 lists with equal items turn into one another, wherever they are cut and joined', (t) => {
  const item = fc.constantFrom<Json>(1, 2, 'a', null)
  holds(t, fc.property(fc.array(item, { maxLength: 8 }), fc.array(item, { maxLength: 8 }), assertTurns))
  const pool: Json[] = [{ id: 0 }, { id: 1 }, { id: 2 }, { id: 0 }, [], {}]
  const shared = fc.array(
    fc.nat(pool.length - 1).map((i) => pool[i] ?? null),
    { maxLength: 8 },
  )
  holds(t, fc.property(shared, shared, assertTurns))
  t.end()
})

t.test('PATCH-4 two documents that are equal differ in nothing', (t) => {
  holds(
    t,
    fc.property(json, (document) => {
      deepStrictEqual(diff(document, document), [])
      deepStrictEqual(diff(document, onTheWire(document)), [])
    }),
    500,
  )
  t.end()
})

t.test('PATCH-5 what is the same object in both is never looked into', (t) => {
  const untouchable = new Proxy({}, { ownKeys: () => t.fail('it was walked') as never })
  const before = { big: untouchable, list: [untouchable, untouchable], count: 1 }
  const after = { ...before, list: [...before.list, 3], count: 2 }
  t.strictSame(diff(before, after), [
    { op: 'add', path: '/list/2', value: 3 },
    { op: 'replace', path: '/count', value: 2 },
  ])
  t.end()
})

t.test('PATCH-6 what a patch does not touch stays the same object', (t) => {
  holds(
    t,
    fc.property(sharing, ({ before, after }) => {
      const ops = diff(before, after)
      if (ops.some(({ path }) => path === '')) return
      assertShared(deepFreeze(before), applyPatch(before, ops), ops, '')
    }),
  )
  t.end()
})

/** A member into which no operation leads is the object that it was. (In a list, an operation may have moved it.) */
function assertShared(before: Json, after: Json, ops: readonly Operation[], path: string): void {
  if (typeof before !== 'object' || before === null || typeof after !== 'object' || after === null) return
  if (!ops.some((op) => op.path.startsWith(`${path}/`)))
    return deepStrictEqual(before === after, true, `${path} is kept`)
  if (Array.isArray(before) || Array.isArray(after)) return
  for (const [key, inner] of Object.entries(before)) {
    const at = `${path}/${jsonpatch.escapePathComponent(key)}`
    if (Object.hasOwn(after, key) && !ops.some((op) => op.path === at)) assertShared(inner, after[key] ?? null, ops, at)
  }
}

t.test('PATCH-7 siblings of a change, above and below, are the old ones', (t) => {
  const before = deepFreeze({ a: { b: { c: [{ x: 1 }, { x: 2 }, { x: 3 }], d: {} }, e: {} }, f: [] })
  const after = applyPatch(before, [{ op: 'replace', path: '/a/b/c/1/x', value: 9 }])
  t.strictSame(after, { a: { b: { c: [{ x: 1 }, { x: 9 }, { x: 3 }], d: {} }, e: {} }, f: [] })
  t.equal(after.f, before.f)
  t.equal(after.a.e, before.a.e)
  t.equal(after.a.b.d, before.a.b.d)
  t.equal(after.a.b.c[0], before.a.b.c[0])
  t.equal(after.a.b.c[2], before.a.b.c[2])
  t.not(after.a.b.c[1], before.a.b.c[1])
  t.end()
})

// What a change costs.

interface Message {
  readonly id: number
  readonly text: string
}

const message = (id: number): Message => ({ id, text: `message ${id}` })
const messages = (first: number, count: number) => Array.from({ length: count }, (_, i) => message(first + i))

t.test('PATCH-8 a window of 200 messages that slides by one costs one remove and one add', (t) => {
  const before = messages(0, 200)
  t.strictSame(diff({ messages: before }, { messages: [...before.slice(1), message(200)] }), [
    { op: 'remove', path: '/messages/0' },
    { op: 'add', path: '/messages/199', value: message(200) },
  ])
  t.end()
})

t.test('PATCH-9 a window whose head and tail both move costs what left and what came', (t) => {
  const before = messages(0, 200)
  for (const [gone, come] of [
    [3, 5],
    [5, 3],
    [1, 0],
    [0, 1],
    [80, 5],
  ] as const) {
    const after = [...before.slice(gone), ...messages(200, come)]
    const ops = diff(before, after)
    t.equal(ops.filter(({ op }) => op === 'remove').length, gone, `${gone} left`)
    t.equal(ops.filter(({ op }) => op === 'add').length, come, `${come} came`)
    t.equal(ops.length, gone + come)
    t.strictSame(applyPatch(before, ops), after)
  }
  t.end()
})

t.test('PATCH-30 an array is replaced as a whole where that takes less room than its changes', (t) => {
  const before = messages(0, 200)
  const smaller = (after: unknown[], from: unknown[] = before): void => {
    const ops = diff(from, after)
    t.strictSame(ops, [{ op: 'replace', path: '', value: after }])
    t.strictSame(applyPatch(from, ops), after)
    t.ok(Object.isFrozen(after.at(-1)), 'it is sealed all the same')
  }
  smaller(messages(200, 200))
  smaller([...before.slice(195), ...messages(200, 195)])
  const players = Array.from({ length: 50 }, (_, n) => ({
    ...message(n),
    x: n,
    y: n,
    hp: 1,
    team: 'a',
    name: 'b',
    at: 1,
  }))
  const moved = players.map((player) => ({ ...player, x: player.x + 1, y: player.y + 1 }))
  t.equal(diff(players, moved).length, 100, 'two coordinates of each are less than all of it')
  t.end()
})

t.test('PATCH-10 a message in the middle that changes, comes or goes costs one operation', (t) => {
  const before = messages(0, 200)
  const edits = {
    changed: before.map((item, i) => (i === 90 ? { ...item, text: 'edited' } : item)),
    inserted: [...before.slice(0, 90), message(999), ...before.slice(90)],
    deleted: [...before.slice(0, 90), ...before.slice(91)],
    prepended: [message(999), ...before],
  }
  t.strictSame(diff(before, edits.changed), [{ op: 'replace', path: '/90/text', value: 'edited' }])
  t.strictSame(diff(before, edits.inserted), [{ op: 'add', path: '/90', value: message(999) }])
  t.strictSame(diff(before, edits.deleted), [{ op: 'remove', path: '/90' }])
  t.strictSame(diff(before, edits.prepended), [{ op: 'add', path: '/0', value: message(999) }])
  t.end()
})

t.test('PATCH-11 a value that changes its kind is replaced where it stands', (t) => {
  const kinds: Json[] = [null, false, 0, '', 'a', [], {}, [1], { a: 1 }]
  for (const before of kinds) {
    for (const after of kinds) {
      if (before === after) continue
      t.strictSame(applyPatch({ at: before }, onTheWire(diff({ at: before }, { at: after }))), { at: after })
    }
  }
  t.strictSame(diff({ at: [] }, { at: {} }), [{ op: 'replace', path: '/at', value: {} }])
  t.strictSame(diff([], {}), [{ op: 'replace', path: '', value: {} }])
  t.strictSame(diff({ at: null }, { at: {} }), [{ op: 'replace', path: '/at', value: {} }])
  t.end()
})

t.test('PATCH-12 keys with "~" and "/", and the empty key, are escaped (RFC 6901 3)', (t) => {
  const before = { 'a/b': 1, 'm~n': 1, '~1': 1, '': { '': 1 } }
  const after = { 'a/b': 2, 'm~n': 2, '~1': 2, '': { '': 2 }, '/~': 2 }
  const ops = diff(before, after)
  t.strictSame(
    ops.map(({ path }) => path),
    ['/a~1b', '/m~0n', '/~01', '//', '/~1~0'],
  )
  t.strictSame(applyPatch(before, ops), after)
  t.end()
})

t.test('PATCH-13 a member that is undefined is not there', (t) => {
  t.strictSame(diff({ a: undefined }, {}), [])
  t.strictSame(diff({}, { a: undefined }), [])
  t.strictSame(diff({ a: 1 }, { a: undefined }), [{ op: 'remove', path: '/a' }])
  t.strictSame(diff({ a: undefined }, { a: 1 }), [{ op: 'add', path: '/a', value: 1 }])
  t.strictSame(diff({ a: undefined, b: 1 }, { b: 1, c: undefined }), [])
  const pairs: [unknown, unknown][] = [
    [{ list: [1, 2, 3] }, { list: [1, undefined, 3, undefined] }],
    [{ list: [undefined, 1] }, { list: [1] }],
    [{ list: [1] }, { list: [undefined] }],
    [{ a: 1 }, { a: { b: undefined, c: [undefined, 1] } }],
  ]
  for (const [before, after] of pairs) {
    t.strictSame(applyPatch(onTheWire(before), onTheWire(diff(before, after))), onTheWire(after))
  }
  t.end()
})

t.test('PATCH-14 whatever the keys of a state, the patch can be applied, or it is not made', (t) => {
  const names = ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', '__defineGetter__']
  for (const name of names) {
    const born = JSON.parse(`{"votes":{"${name}":1}}`)
    const changed = JSON.parse(`{"votes":{"${name}":2}}`)
    const changes: [before: unknown, after: unknown][] = [
      [{ votes: {} }, born],
      [born, changed],
      [born, { votes: {} }],
      [{ votes: 0 }, born],
      [{}, born],
      [{ votes: [0] }, { votes: [born] }],
    ]
    for (const [before, after] of changes) {
      const ops = refusedOr(() => diff(before, after))
      if (typeof ops === 'string') continue
      const patched = refusedOr(() => JSON.stringify(applyPatch(before, onTheWire(ops as Operation[]))))
      t.equal(patched, JSON.stringify(after), `${JSON.stringify(before)} to ${JSON.stringify(after)}`)
    }
  }
  t.end()
})

// RFC 6902, appendix A, in its own words.

/** Title, document, patch, result; `undefined` where the patch is to be refused. All as text, as the RFC has it. */
const appendix: [title: string, document: string, patch: string, result: string | undefined][] = [
  [
    'A.1 adding an object member',
    '{ "foo": "bar"}',
    '[ { "op": "add", "path": "/baz", "value": "qux" } ]',
    '{ "baz": "qux", "foo": "bar" }',
  ],
  [
    'A.2 adding an array element',
    '{ "foo": [ "bar", "baz" ] }',
    '[ { "op": "add", "path": "/foo/1", "value": "qux" } ]',
    '{ "foo": [ "bar", "qux", "baz" ] }',
  ],
  [
    'A.3 removing an object member',
    '{ "baz": "qux", "foo": "bar" }',
    '[ { "op": "remove", "path": "/baz" } ]',
    '{ "foo": "bar" }',
  ],
  [
    'A.4 removing an array element',
    '{ "foo": [ "bar", "qux", "baz" ] }',
    '[ { "op": "remove", "path": "/foo/1" } ]',
    '{ "foo": [ "bar", "baz" ] }',
  ],
  [
    'A.5 replacing a value',
    '{ "baz": "qux", "foo": "bar" }',
    '[ { "op": "replace", "path": "/baz", "value": "boo" } ]',
    '{ "baz": "boo", "foo": "bar" }',
  ],
  [
    'A.6 moving a value',
    '{ "foo": { "bar": "baz", "waldo": "fred" }, "qux": { "corge": "grault" } }',
    '[ { "op": "move", "from": "/foo/waldo", "path": "/qux/thud" } ]',
    '{ "foo": { "bar": "baz" }, "qux": { "corge": "grault", "thud": "fred" } }',
  ],
  [
    'A.7 moving an array element',
    '{ "foo": [ "all", "grass", "cows", "eat" ] }',
    '[ { "op": "move", "from": "/foo/1", "path": "/foo/3" } ]',
    '{ "foo": [ "all", "cows", "eat", "grass" ] }',
  ],
  [
    'A.8 testing a value: success',
    '{ "baz": "qux", "foo": [ "a", 2, "c" ] }',
    '[ { "op": "test", "path": "/baz", "value": "qux" }, { "op": "test", "path": "/foo/1", "value": 2 } ]',
    '{ "baz": "qux", "foo": [ "a", 2, "c" ] }',
  ],
  [
    'A.9 testing a value: error',
    '{ "baz": "qux" }',
    '[ { "op": "test", "path": "/baz", "value": "bar" } ]', //
    undefined,
  ],
  [
    'A.10 adding a nested member object',
    '{ "foo": "bar" }',
    '[ { "op": "add", "path": "/child", "value": { "grandchild": { } } } ]',
    '{ "foo": "bar", "child": { "grandchild": { } } }',
  ],
  [
    'A.11 ignoring unrecognized elements',
    '{ "foo": "bar" }',
    '[ { "op": "add", "path": "/baz", "value": "qux", "xyz": 123 } ]',
    '{ "foo": "bar", "baz": "qux" }',
  ],
  [
    'A.12 adding to a nonexistent target',
    '{ "foo": "bar" }',
    '[ { "op": "add", "path": "/baz/bat", "value": "qux" } ]',
    undefined,
  ],
  [
    'A.13 invalid JSON Patch document',
    '{ "foo": "bar" }',
    '[ { "op": "add", "path": "/baz", "value": "qux", "op": "remove" } ]',
    undefined,
  ],
  [
    'A.14 ~ escape ordering',
    '{ "/": 9, "~1": 10 }',
    '[ {"op": "test", "path": "/~01", "value": 10} ]',
    '{ "/": 9, "~1": 10 }',
  ],
  [
    'A.15 comparing strings and numbers',
    '{ "/": 9, "~1": 10 }',
    '[ {"op": "test", "path": "/~01", "value": "10"} ]',
    undefined,
  ],
  [
    'A.16 adding an array value',
    '{ "foo": ["bar"] }',
    '[ { "op": "add", "path": "/foo/-", "value": ["abc", "def"] } ]',
    '{ "foo": ["bar", ["abc", "def"]] }',
  ],
]

t.test('PATCH-15 the examples of RFC 6902 come out as it says', (t) => {
  for (const [title, document, patch, result] of appendix) {
    const before = deepFreeze(JSON.parse(document))
    if (result === undefined) t.throws(() => applyAny(before, JSON.parse(patch)), PatchError, title)
    else t.strictSame(applyAny(before, JSON.parse(patch)), JSON.parse(result), title)
  }
  t.end()
})

t.test('PATCH-16 each operation does what RFC 6902 section 4 says of it', (t) => {
  const rows: [document: Json, op: object, result: Json][] = [
    [{ a: 1 }, { op: 'add', path: '/a', value: 2 }, { a: 2 }],
    [{ a: 1 }, { op: 'add', path: '', value: [1] }, [1]],
    [[1, 2], { op: 'add', path: '/2', value: 3 }, [1, 2, 3]],
    [[1, 2], { op: 'add', path: '/0', value: 3 }, [3, 1, 2]],
    [[], { op: 'add', path: '/-', value: null }, [null]],
    [{}, { op: 'add', path: '/', value: 1 }, { '': 1 }],
    [{ a: {} }, { op: 'add', path: '/a/', value: 1 }, { a: { '': 1 } }],
    [{ 1: 'a' }, { op: 'add', path: '/01', value: 1 }, { 1: 'a', '01': 1 }],
    [{ '-': 1 }, { op: 'replace', path: '/-', value: 2 }, { '-': 2 }],
    [{ a: null }, { op: 'replace', path: '/a', value: 1 }, { a: 1 }],
    [{ a: null }, { op: 'remove', path: '/a' }, {}],
    [[null], { op: 'remove', path: '/0' }, []],
    [{ a: 1 }, { op: 'replace', path: '', value: 'whole' }, 'whole'],
    [{ a: { b: 1 } }, { op: 'move', from: '/a', path: '' }, { b: 1 }],
    [{ a: { b: 1 } }, { op: 'move', from: '/a/b', path: '/a' }, { a: 1 }],
    [{ a: 1 }, { op: 'move', from: '/a', path: '/a' }, { a: 1 }],
    [{ a: 1, ab: 2 }, { op: 'move', from: '/a', path: '/ab' }, { ab: 1 }],
    [[1, 2, 3], { op: 'move', from: '/0', path: '/2' }, [2, 3, 1]],
    [[1, 2, 3], { op: 'move', from: '/0', path: '/-' }, [2, 3, 1]],
    [{ a: { b: 1 } }, { op: 'copy', from: '/a', path: '/a/c' }, { a: { b: 1, c: { b: 1 } } }],
    [{ a: 1 }, { op: 'copy', from: '', path: '/all' }, { a: 1, all: { a: 1 } }],
    [[1, 2], { op: 'copy', from: '/1', path: '/0' }, [2, 1, 2]],
    [{ a: [1, { b: null }] }, { op: 'test', path: '/a', value: [1, { b: null }] }, { a: [1, { b: null }] }],
    [
      { a: 1, b: 2 },
      { op: 'test', path: '', value: { b: 2, a: 1 } },
      { a: 1, b: 2 },
    ],
    [{ a: 1 }, { op: 'test', path: '/a', value: 1.0 }, { a: 1 }],
  ]
  for (const [document, op, result] of rows) {
    t.strictSame(applyAny(deepFreeze(document), [deepFreeze(op)]), result, JSON.stringify([document, op]))
  }
  t.end()
})

t.test('PATCH-17 operations build on one another, and none of them changes what it was given', (t) => {
  const ops: Operation[] = [
    { op: 'add', path: '/list', value: [] },
    { op: 'add', path: '/list/-', value: { n: 1 } },
    { op: 'copy', from: '/list/0', path: '/list/-' },
    { op: 'replace', path: '/list/1/n', value: 2 },
    { op: 'move', from: '/list/0', path: '/first' },
    { op: 'add', path: '/first/deep', value: {} },
    { op: 'add', path: '/first/deep/er', value: true },
  ]
  const before = deepFreeze({ kept: {} })
  const after = applyPatch<unknown>(before, deepFreeze(ops))
  t.strictSame(after, { kept: {}, list: [{ n: 2 }], first: { n: 1, deep: { er: true } } })
  t.strictSame(applyPatch<unknown>(before, ops), after, 'and the same operations can be applied again')
  t.end()
})

// What is refused.

/** What came of a call: its value, or the name of its error. */
function refusedOr(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return (error as Error).name
  }
}

const tree = deepFreeze({ a: { b: 1 }, s: 'text', n: 7, no: null, list: [1, { x: 2 }, 3] })

/** Every operation that may lead to a place, with the place that it leads to. */
const leadingTo = (path: string) => [
  { op: 'add', path, value: 1 },
  { op: 'replace', path, value: 1 },
  { op: 'remove', path },
  { op: 'test', path, value: 1 },
  { op: 'move', from: path, path: '/to' },
  { op: 'copy', from: path, path: '/to' },
  { op: 'move', from: '/a/b', path },
  { op: 'copy', from: '/a/b', path },
]

/** Only what may lead to a place that must be there already. */
const leadingFrom = (path: string) => [
  { op: 'replace', path, value: 1 },
  { op: 'remove', path },
  { op: 'test', path, value: null },
  { op: 'move', from: path, path: '/to' },
  { op: 'copy', from: path, path: '/to' },
]

/** Those of the operations that were not refused with a PatchError, or of which anything became. */
function accepted(ops: readonly unknown[], document: unknown = tree): string[] {
  const text = JSON.stringify(document)
  const inherited = Object.getOwnPropertyNames(Object.prototype).join()
  const isRefused = (op: unknown) =>
    refusedOr(() => applyAny(document, [op])) === 'PatchError' &&
    JSON.stringify(document) === text &&
    Object.getOwnPropertyNames(Object.prototype).join() === inherited
  return ops.filter((op) => !isRefused(op)).map((op) => `${JSON.stringify(op)} on ${text}`)
}

t.test('PATCH-18 a path that is no JSON Pointer is refused (RFC 6901 3)', (t) => {
  const paths = ['a', 'a/b', '#/a', ' /a', './a', '/a~', '/a~2', '/~', '/~a/b']
  t.strictSame(
    paths.flatMap((path) => accepted(leadingTo(path))),
    [],
  )
  const odd = [undefined, null, 1, ['a'], {}]
  t.strictSame(accepted(odd.map((path) => ({ op: 'add', path, value: 1 }))), [])
  t.strictSame(accepted(odd.map((from) => ({ op: 'copy', from, path: '/to' }))), [])
  t.end()
})

t.test('PATCH-19 an index that is no position of the array is refused', (t) => {
  const indices = ['4', '5', '01', '00', '-1', '-0', '+1', '1e0', '1.0', '0x1', ' 1', '1 ', '', 'x', 'length', '١']
  const huge = ['4294967295', '4294967296', '2147483648', '9007199254740993', '1e400', '9'.repeat(400)]
  for (const index of [...indices, ...huge]) {
    t.strictSame(accepted([...leadingTo(`/list/${index}`), ...leadingTo(`/list/${index}/x`)]), [], index)
  }
  t.strictSame(accepted([...leadingFrom('/list/3'), ...leadingFrom('/list/-')]), [], 'the place past the end')
  t.strictSame(accepted([...leadingTo('/list/3/x'), ...leadingTo('/list/-/x')]), [], 'a member of what is not there')
  t.end()
})

t.test('PATCH-20 a move to past the end that it leaves is refused', (t) => {
  t.strictSame(accepted([{ op: 'move', from: '/list/0', path: '/list/3' }]), [])
  t.end()
})

t.test('PATCH-21 a path that leads nowhere is refused', (t) => {
  for (const path of ['/zz', '/a/zz', '/', '/list/1/zz']) t.strictSame(accepted(leadingFrom(path)), [], path)
  for (const path of ['/zz/x', '/a/zz/x', '/a/b/x', '/s/0', '/s/length', '/n/x', '/no/x', '/list/0/x']) {
    t.strictSame(accepted(leadingTo(path)), [], path)
  }
  t.end()
})

t.test('PATCH-22 a document that is no object or array has no members', (t) => {
  for (const document of [null, 5, 'text', true]) {
    const ops = [{ op: 'add', path: '/a', value: 1 }, ...leadingFrom('/a')]
    t.strictSame(accepted(ops, document), [], String(document))
  }
  t.end()
})

t.test('PATCH-23 what every object inherits is not there', (t) => {
  for (const name of ['toString', 'valueOf', 'hasOwnProperty', '__defineGetter__']) {
    t.strictSame(accepted([...leadingFrom(`/${name}`), ...leadingFrom(`/a/${name}`)]), [], name)
    t.strictSame(accepted(leadingTo(`/${name}/x`)), [], name)
  }
  t.strictSame(applyAny({}, [{ op: 'add', path: '/toString', value: 1 }]), { toString: 1 }, 'but it can be made')
  t.end()
})

t.test('E4 a path over "__proto__", "constructor" or "prototype" is refused, and no prototype changes', (t) => {
  for (const name of ['__proto__', 'constructor', 'prototype']) {
    for (const path of [`/${name}`, `/${name}/x`, `/a/${name}`, `/a/${name}/x`, `/list/1/${name}`, `/list/${name}`]) {
      t.strictSame(accepted(leadingTo(path)), [], path)
    }
  }
  for (const path of ['/constructor/prototype/polluted', '/__proto__/polluted', '/list/__proto__/polluted']) {
    t.strictSame(accepted(leadingTo(path)), [], path)
  }
  t.notOk('polluted' in {} || 'polluted' in [])
  t.notOk('x' in {} || 'x' in Object)
  t.end()
})

t.test('PATCH-24 a test that fails is refused', (t) => {
  const rows: [path: string, value: Json][] = [
    ['/a', { b: '1' }],
    ['/a', {}],
    ['/a', { b: 1, c: 2 }],
    ['/a/b', true],
    ['/no', 0],
    ['/no', false],
    ['/no', {}],
    ['/s', 'Text'],
    ['/list', [1, { x: 2 }]],
    ['/list', { 0: 1, 1: { x: 2 }, 2: 3 }],
    ['', {}],
    ['', null],
  ]
  t.strictSame(accepted(rows.map(([path, value]) => ({ op: 'test', path, value }))), [])
  t.end()
})

t.test('PATCH-25 an operation that RFC 6902 does not know, or that lacks a part, is refused', (t) => {
  const names = [
    'frob',
    'ADD',
    '',
    '_get',
    'toString',
    'constructor',
    'hasOwnProperty',
    '__proto__',
    null,
    undefined,
    1,
  ]
  for (const path of ['/a', '', '/list/0']) {
    t.strictSame(accepted(names.map((op) => ({ op, path, value: 1, from: '/n' }))), [], path)
  }
  const lacking = [
    ...[
      { op: 'add', path: '/z' },
      { op: 'replace', path: '/a' },
      { op: 'test', path: '/a' },
      { op: 'add', path: '' },
    ],
    ...[{ op: 'move', path: '/z' }, { op: 'copy', path: '/z' }, { op: 'add', value: 1 }, {}],
  ]
  t.strictSame(accepted(lacking), [])
  t.end()
})

t.test('PATCH-26 an operation that is no object is refused', (t) => {
  t.strictSame(accepted([1, 'add', true, [], ['add', '/a', 1], null]), [])
  t.end()
})

t.test('PATCH-27 nothing is moved into itself (RFC 6902 4.4)', (t) => {
  const intoItself = [
    { op: 'move', from: '/a', path: '/a/b' },
    { op: 'move', from: '/a', path: '/a/new' },
    { op: 'move', from: '', path: '/a/b' },
    { op: 'move', from: '', path: '/new' },
    { op: 'move', from: '/list/1', path: '/list/1/x' },
  ]
  t.strictSame(accepted(intoItself), [])
  t.strictSame(accepted([{ op: 'move', from: '/0', path: '/0/in' }], deepFreeze([{ n: 0 }, { n: 1 }])), [])
  t.end()
})

t.test('PATCH-28 one operation that does not fit undoes all of them', (t) => {
  const before = deepFreeze({ count: 1, list: [1, 2, 3], deep: { er: {} } })
  const good: Operation[] = [
    { op: 'replace', path: '/count', value: 2 },
    { op: 'remove', path: '/list/0' },
    { op: 'add', path: '/deep/er/x', value: 1 },
    { op: 'move', from: '/deep', path: '/moved' },
  ]
  for (let at = 0; at <= good.length; at++) {
    const ops = [...good.slice(0, at), { op: 'test', path: '/count', value: 'no' } as const, ...good.slice(at)]
    t.throws(() => applyPatch(before, ops), PatchError)
    t.strictSame(before, { count: 1, list: [1, 2, 3], deep: { er: {} } })
  }
  t.strictSame(applyPatch<unknown>(before, good), { count: 2, list: [2, 3], moved: { er: { x: 1 } } })
  t.end()
})

t.test('PATCH-29 whatever a stranger sends is applied or refused, and the old document stays what it was', (t) => {
  const steps = [
    '',
    'a',
    'b',
    'list',
    '0',
    '1',
    '3',
    '-',
    '~',
    '~1',
    'length',
    '__proto__',
    'constructor',
    'x',
    'toString',
  ]
  const path = fc
    .array(fc.constantFrom(...steps), { maxLength: 4 })
    .map((path) => path.map((step) => `/${step}`).join(''))
  const op = fc.record(
    { op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'frob'), path, from: path, value: json },
    { requiredKeys: ['op'] },
  )
  const text = JSON.stringify(tree)
  const inherited = Object.getOwnPropertyNames(Object.prototype).join()
  holds(
    t,
    fc.property(fc.array(op, { maxLength: 4 }), (ops) => {
      const outcome = refusedOr(() => JSON.stringify(applyAny(tree, ops)))
      if (outcome !== 'PatchError') JSON.parse(outcome as string)
      deepStrictEqual(JSON.stringify(tree), text)
      deepStrictEqual(Object.getOwnPropertyNames(Object.prototype).join(), inherited)
    }),
  )
  t.end()
})
