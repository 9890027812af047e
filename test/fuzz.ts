/**
 * Feeds `decode` what no client should send: `npm run fuzz -- --runs 200000 --seed 1`.
 *
 * Each input is held to what is promised: no throw; a frame of the union or one failure of the closed union; nothing in
 * it that the text did not say; valid frames are understood; no prototype is touched; no input takes long. The same seed
 * gives the same inputs. An input that breaks a promise is kept in `fixtures/fuzz-seeds.json` and tried for ever after.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { type Failure, isFailure } from '../src/errors.ts'
import { type ClientFrame, decode, encode, type ServerFrame } from '../src/protocol.ts'
import { Dice } from './fixtures/dice.ts'

/** Bytes of a frame, at most (the default of `maxFrame`). */
const LIMIT = 65_536
/** Milliseconds that one input may take, and those that rule E5 has in mind. */
const SLOW = 50
const QUICK = 5
/** What was not quick is tried again, and the best counts: the machine may be busy with something else. */
const TRIES = 4
const MAX_DEPTH = 32

export type Decode = (text: string) => ClientFrame | Failure

/** An input as it would come over the wire, and what must become of it where that is known beforehand. */
export interface Input {
  readonly bytes: Buffer
  readonly expected?: 'frame' | 'failure'
}

export interface Seed {
  /** What was wrong with it. */
  readonly why: string
  /** The bytes, in base64. */
  readonly input: string
  readonly expected?: 'frame' | 'failure'
}

const SEEDS = fileURLToPath(new URL('fixtures/fuzz-seeds.json', import.meta.url))
export const keptSeeds = (file = SEEDS): Seed[] => JSON.parse(readFileSync(file, 'utf8'))
/** The input that was kept. */
export const inputOf = ({ input, ...known }: Seed): Input => ({ bytes: Buffer.from(input, 'base64'), ...known })

const KEYS = ['type', 'id', 'room', 'event', 'key', 'if', 'since', 'epoch', 'seq', 'mode', 'token', 'data', 'heartbeat']
const PROTOTYPE_KEYS = ['__proto__', 'constructor', 'prototype']
/** The same, spelled so that only a parser knows them. */
const SPELLED = ['"\\u005f_proto__"', '"__prot\\u006f__"', '"c\\u006Fnstructor"', '"\\u0070rototype"', '"__proto__"']
const ODD_KEYS = [
  '',
  'toString',
  'hasOwnProperty',
  '__defineGetter__',
  '0',
  '-1',
  'a/b',
  '~',
  '~0',
  'é',
  '\u0000',
  '😀',
]
const ODD_TEXTS = [
  '',
  'chat/lobby',
  '@me',
  '\u0000',
  '\ud800',
  '\udfff\ud800',
  '😀',
  '\u2028\u2029',
  '\ufeff',
  '\ufffe\uffff',
  'e\u0301',
  '\u202e',
  'ﬃ',
  '"',
  '\\',
  '\u007f',
  '</script>',
  'xstate.stop',
  '__proto__',
  'n'.repeat(128),
  'n'.repeat(129),
  'n'.repeat(256),
  'n'.repeat(257),
]
const ODD_NUMBERS = [
  '0',
  '-0',
  '1',
  '-1',
  '0.1',
  '1e400',
  '-1e400',
  '1e-400',
  '9007199254740991',
  '9007199254740992',
  '-9007199254740992',
  '1E+2',
  '5e-324',
  '1.7976931348623157e308',
  '9'.repeat(400),
  `0.${'1'.repeat(400)}`,
]
const TYPES = ['auth', 'ping', 'pong', 'status', 'join', 'leave', 'send', 'get']
const STRANGE_TYPES = ['welcome', 'constructor', '__proto__', 'toString', 'hasOwnProperty', 'PING', 'ping ', '']

const quote = (text: string): string => JSON.stringify(text)

/** A JSON value as text, so that it can say what no object could: a name twice, a number beyond all numbers. */
function json(dice: Dice, depth: number): string {
  const kind = dice.below(depth > 0 ? 8 : 6)
  if (kind < 2) return dice.pick(ODD_NUMBERS)
  if (kind < 4) return quote(dice.pick(ODD_TEXTS))
  if (kind === 4) return dice.pick(['true', 'false', 'null', '[]', '{}'])
  if (kind === 5) return String(dice.below(1e6))
  const size = dice.below(4)
  if (kind === 6) return `[${Array.from({ length: size }, () => json(dice, depth - 1)).join(',')}]`
  return object(Array.from({ length: size }, () => [key(dice), json(dice, depth - 1)]))
}

function key(dice: Dice): string {
  if (dice.chance(0.05)) return dice.pick(SPELLED)
  if (dice.chance(0.05)) return quote(dice.pick(PROTOTYPE_KEYS))
  return quote(dice.pick(dice.chance(0.6) ? KEYS : ODD_KEYS))
}

const object = (members: readonly (readonly [key: string, value: string])[]): string =>
  `{${members.map(([key, value]) => `${key}:${value}`).join(',')}}`

/** A frame as a client would send it, with every field now there, now not (docs/protocol.md, "Client frames"). */
function frame(dice: Dice): Record<string, unknown> {
  const type = dice.pick(TYPES)
  const room = dice.pick(['chat/lobby', 'counter/@me', '', 'n'.repeat(256), '😀'])
  const seq = dice.pick([0, 1, 2 ** 31, Number.MAX_SAFE_INTEGER])
  const data = JSON.parse(plain(dice, 4))
  const fields: Record<string, Record<string, unknown>> = {
    auth: { token: 'a.b.c', ...(dice.chance(0.5) && { heartbeat: dice.pick(['ws', 'json']) }) },
    ping: dice.chance(0.5) ? { data } : {},
    pong: {},
    status: {},
    join: {
      room,
      ...(dice.chance(0.5) && { since: { epoch: 'ab12', seq } }),
      ...(dice.chance(0.5) && { mode: 'state' }),
    },
    leave: { room },
    send: {
      room,
      event: { type: 'message.post', text: 'hi', more: data },
      ...(dice.chance(0.5) && { key: dice.pick(['k', 'k'.repeat(128)]) }),
      ...(dice.chance(0.5) && { if: seq }),
    },
    get: { room },
  }
  const id = dice.pick([1, 0, -1, 'q1', '', 'n'.repeat(128), Number.MIN_SAFE_INTEGER])
  return { type, ...(dice.chance(0.7) && { id }), ...fields[type] }
}

/** JSON without a name that is forbidden. */
function plain(dice: Dice, depth: number): string {
  const text = json(dice, depth)
  return PROTOTYPE_KEYS.some((key) => text.includes(key)) || text.includes('\\u') ? 'null' : text
}

/** One small thing done to a text: cut, doubled, swapped, flipped. */
function mutate(dice: Dice, text: string): Buffer {
  const bytes = Buffer.from(text)
  const [from, to] = [dice.below(bytes.length), dice.below(bytes.length)].sort((a, b) => a - b) as [number, number]
  const piece = bytes.subarray(from, to)
  switch (dice.below(6)) {
    case 0:
      return bytes.subarray(0, from)
    case 1:
      return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)])
    case 2:
      return Buffer.concat([bytes.subarray(0, to), piece, bytes.subarray(to)])
    case 3:
      bytes[from] = dice.below(256)
      return bytes
    case 4:
      return Buffer.concat([bytes.subarray(0, from), Buffer.from(json(dice, 3)), bytes.subarray(from)])
    default:
      return Buffer.concat([bytes.subarray(0, from), Buffer.from(dice.pick(['"', '\\', '{', '}', ',', ':', '\u0000']))])
  }
}

/** `open` so many times, what is within, and as many times `close`. */
const nest = (depth: number, open: string, within: string, close: string): string =>
  open.repeat(depth) + within + close.repeat(depth)

/** Everything that is fed, each as often as the others. */
const makers: readonly ((dice: Dice) => Input)[] = [
  function randomBytes(dice) {
    return { bytes: Buffer.from(Array.from({ length: dice.below(200) }, () => dice.below(256))) }
  },
  function randomJson(dice) {
    return { bytes: Buffer.from(json(dice, 6)) }
  },
  function randomObject(dice) {
    const members = Array.from({ length: dice.below(6) }, () => [key(dice), json(dice, 3)] as const)
    const type = dice.pick(dice.chance(0.7) ? TYPES : STRANGE_TYPES)
    return { bytes: Buffer.from(object([['"type"', quote(type)], ...members])) }
  },
  function validFrame(dice) {
    return { bytes: Buffer.from(JSON.stringify(frame(dice))), expected: 'frame' }
  },
  function mutatedFrame(dice) {
    return { bytes: mutate(dice, JSON.stringify(frame(dice))) }
  },
  function frameWithOneFieldReplaced(dice) {
    const members = Object.entries(frame(dice)).map(([name, value]) => [quote(name), JSON.stringify(value)] as const)
    const at = dice.below(members.length)
    return { bytes: Buffer.from(object(members.map(([name, value], i) => [name, i === at ? json(dice, 3) : value]))) }
  },
  function frameWithOneFieldMissing(dice) {
    const members = Object.entries(frame(dice))
    members.splice(dice.below(members.length), 1)
    return { bytes: Buffer.from(JSON.stringify(Object.fromEntries(members))) }
  },
  function prototypeKey(dice) {
    const hidden = `${dice.chance(0.5) ? dice.pick(SPELLED) : quote(dice.pick(PROTOTYPE_KEYS))}:${json(dice, 2)}`
    const within = nest(dice.below(20), dice.pick(['{"a":', '[']), `{${hidden}}`, '')
    const closed = within + closing(within)
    const text = dice.chance(0.5) ? `{"type":"ping","data":${closed}}` : `{"type":"ping",${hidden}}`
    return { bytes: Buffer.from(text), expected: 'failure' }
  },
  function nesting(dice) {
    const depth = dice.chance(0.5) ? 28 + dice.below(8) : dice.below(10_000)
    const [open, close] = dice.pick([
      ['[', ']'],
      ['{"a":', '}'],
      ['[{"":', '}]'],
    ] as const)
    const levels = 1 + depth * (open.startsWith('[{') ? 2 : 1)
    const text = `{"type":"ping","data":${nest(depth, open, '0', close)}}`
    return { bytes: Buffer.from(text), expected: levels > MAX_DEPTH ? 'failure' : 'frame' }
  },
  function bracketsInText(dice) {
    const brackets = dice.pick(['[', '{', '\\"[', '\\\\\\"{']).repeat(dice.below(2000))
    return { bytes: Buffer.from(`{"type":"ping","data":"${brackets}"}`), expected: 'frame' }
  },
  function unclosed(dice) {
    return { bytes: Buffer.from(dice.pick(['{"type":', '[', '{', '"', '"\\', '{"a":"']).repeat(dice.below(3000))) }
  },
  function hugeNumber(dice) {
    const digits = dice.pick(ODD_NUMBERS) + '0'.repeat(dice.chance(0.05) ? dice.below(60_000) : 0)
    const field = dice.pick(['"id"', '"if"', '"data"', '"room"', '"type"'])
    return { bytes: Buffer.from(`{"type":"send","room":"chat/a","event":{"type":"a"},${field}:${digits}}`) }
  },
  function unicode(dice) {
    const text = Array.from({ length: dice.below(30) }, () => dice.pick(ODD_TEXTS)).join('')
    const raw = dice.chance(0.5) ? quote(text) : `"${text}"`
    const field = dice.pick(['"id"', '"room"', '"type"', '"data"', raw])
    return { bytes: Buffer.from(`{"type":"get","room":"chat/a",${field}:${raw}}`) }
  },
  function brokenUtf8(dice) {
    const bytes = Buffer.from(`{"type":"ping","data":"${'é😀'.repeat(dice.below(20))}"}`)
    for (let i = 0; i < 3; i++) bytes[dice.below(bytes.length)] = 0x80 + dice.below(0x80)
    return { bytes }
  },
]

/** Makers of inputs of the greatest length, which are dear, and so are fed more seldom. */
const longMakers: readonly ((dice: Dice) => Input)[] = [
  function longText(dice) {
    const shell = '{"type":"ping","data":""}'
    const unit = dice.pick(['a', '\\u0000', '\\"', '\\\\', '[', '{', ' ', 'é', '😀'])
    const filling = unit.repeat(Math.floor((LIMIT - shell.length) / Buffer.byteLength(unit)))
    return { bytes: Buffer.from(shell.replace('""', `"${filling}"`)), expected: 'frame' }
  },
  function longField(dice) {
    const [name, more] = dice.pick([
      ['type', ''],
      ['room', '"type":"get",'],
      ['id', '"type":"pong",'],
      ['key', '"type":"send","room":"a","event":{"type":"a"},'],
    ] as const)
    const filling = dice.pick(['a', '\\"', '\\\\', '~', '/']).repeat(32_000).slice(0, 64_000)
    return { bytes: Buffer.from(`{${more}"${name}":"${filling}"}`), expected: 'failure' }
  },
  function longName(dice) {
    const name = dice.pick(['a', '~', '/', '\\u005f', '😀']).repeat(10_000)
    const within = dice.chance(0.5) ? '1' : '{"__proto__":1}'
    return { bytes: Buffer.from(`{"type":"ping","data":{"${name}":${within}}}`) }
  },
  function manyMembers(dice) {
    const members = Array.from({ length: 5000 }, (_, i) => [dice.chance(0.5) ? `"a${i}"` : '"a"', '1'] as const)
    return { bytes: Buffer.from(object([['"type"', '"ping"'], ...members])), expected: 'frame' }
  },
  function manyItems(dice) {
    const items = dice.pick(['1', '{}', '[]', '""', '-0', '{"a":{"b":[]}}'])
    const text = `{"type":"ping","data":[${Array(Math.floor(60_000 / (items.length + 1))).fill(items)}]}`
    return { bytes: Buffer.from(text), expected: 'frame' }
  },
  function space(dice) {
    const filling = dice.pick([' ', '\n', '\t', '\r']).repeat(60_000)
    return { bytes: Buffer.from(`{${filling}"type"${filling.slice(0, 5000)}:"pong"}`), expected: 'frame' }
  },
  function depthAtTheLimit(dice) {
    const [open, close] = dice.pick([
      ['[', ']'],
      ['{"":', '}'],
    ] as const)
    const depth = Math.floor((LIMIT - 30) / (open.length + 1))
    return { bytes: Buffer.from(`{"type":"ping","data":${nest(depth, open, '0', close)}}`), expected: 'failure' }
  },
]

/** One input in so many is long. */
const LONG_EVERY = 200

/** The brackets that close what a text leaves open. */
function closing(text: string): string {
  const open: string[] = []
  for (const [mark] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (mark === '{') open.push('}')
    else if (mark === '[') open.push(']')
    else if (mark === '}' || mark === ']') open.pop()
  }
  return open.reverse().join('')
}

export function* inputs(seed: number, runs: number): Generator<Input> {
  const dice = new Dice(seed)
  for (let run = 0; run < runs; run++) {
    const { bytes, expected } = dice.pick(run % LONG_EVERY === LONG_EVERY - 1 ? longMakers : makers)(dice)
    if (bytes.length <= LIMIT) yield { bytes, ...(expected && { expected }) }
    else yield { bytes: bytes.subarray(0, LIMIT) }
  }
}

const isText = (value: unknown, least: number, most: number): boolean =>
  typeof value === 'string' && value.length >= least && value.length <= most
const isSeq = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

type Fits = (value: unknown) => boolean
const optional =
  (fits: Fits): Fits =>
  (value) =>
    value === undefined || fits(value)
const isId = optional((value) => isText(value, 0, 128) || Number.isSafeInteger(value))
const isRoom: Fits = (value) => isText(value, 0, 256)

/** The fields of each client frame, as docs/protocol.md has them, and not as the code does. */
const SHAPES: Readonly<Record<string, Readonly<Record<string, Fits>>>> = {
  auth: { token: (value) => typeof value === 'string', heartbeat: optional((v) => v === 'ws' || v === 'json') },
  ping: { data: () => true },
  pong: {},
  status: {},
  join: {
    room: isRoom,
    since: optional((value) => isObject(value) && typeof value.epoch === 'string' && isSeq(value.seq)),
    mode: optional((value) => value === 'state'),
  },
  leave: { room: isRoom },
  send: {
    room: isRoom,
    event: (value) => isObject(value) && typeof value.type === 'string',
    key: optional((value) => isText(value, 1, 128)),
    if: optional(isSeq),
  },
  get: { room: isRoom },
}

/** The codes that `decode` may refuse with. */
const CODES = ['bad_json', 'bad_frame', 'unknown_type']

/** @throws when a frame is none of the union, or says what its text did not. */
function checkFrame(result: Record<string, unknown>, given: unknown): void {
  assert(isObject(given), 'a frame was made of what is no object')
  assert(depthOf(given) <= MAX_DEPTH, 'it is nested too deeply')
  assert(!hasPrototypeKey(given), 'a key that reaches a prototype was let through')
  const shape = SHAPES[result.type as string]
  assert(shape && Object.hasOwn(SHAPES, result.type as string), `no frame has the type ${result.type}`)
  const fields: Record<string, Fits> = { type: () => true, id: isId, ...shape }
  for (const [name, fits] of Object.entries(fields)) assert(fits(result[name]), `${name} has not its shape`)
  for (const [name, value] of Object.entries(result)) {
    assert(Object.hasOwn(fields, name), `${name} is a field of no such frame`)
    if (name === 'since') assert.deepEqual({ ...(given.since as object), ...(value as object) }, given.since)
    else assert(isDeepStrictEqual(value, given[name]), `${name} is not what the text says`)
  }
}

/** @throws when a failure is none that may be sent. */
function checkFailure(result: Failure, given: unknown): void {
  assert(CODES.includes(result.code), `${result.code} is none of ${CODES}`)
  assert.equal(result.retry, false)
  assert(typeof result.message === 'string' && result.message !== '')
  if (result.code === 'bad_frame') assert.equal(typeof result.path, 'string', 'bad_frame has a path')
  if (result.code === 'unknown_type') assert(Array.isArray(result.allowed), 'unknown_type says what is allowed')
  assert.equal(result.code === 'bad_json', given === undefined && result.code !== 'bad_frame')
  const isTooDeep = given === undefined || depthOf(given) > MAX_DEPTH
  if (!isTooDeep && isObject(given) && given.id !== undefined && isId(given.id))
    assert.equal(result.id, given.id, 'the id of the frame is missing')
  assert.deepEqual(JSON.parse(encode(result as ServerFrame)), JSON.parse(JSON.stringify(result)))
}

/** How deep a value is nested; no more is counted than what is too deep. */
function depthOf(value: unknown, most = MAX_DEPTH + 1): number {
  if (typeof value !== 'object' || value === null || most === 0) return 0
  let deepest = 0
  for (const inner of Object.values(value)) deepest = Math.max(deepest, depthOf(inner, most - 1))
  return deepest + 1
}

function hasPrototypeKey(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return (
    Reflect.ownKeys(value).some((key) => PROTOTYPE_KEYS.includes(key as string)) ||
    Object.values(value).some(hasPrototypeKey)
  )
}

/** What the text says by JSON's own rules; `undefined` where it is no JSON. */
function read(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // What is to be said of it is not known here, only that no frame may come of it.
  }
}

const PROTOTYPES = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Number.prototype]
const fingerprint = (): unknown[] => PROTOTYPES.map((prototype) => Object.getOwnPropertyDescriptors(prototype))
const untouched = fingerprint()
const sizes = (): string => PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype).length).join()
const untouchedSizes = sizes()

/** What decoding cost, in milliseconds, and whether a frame came of it, or which code. */
export interface Verdict {
  readonly outcome: string
  readonly took: number
}

/** Holds one input to every promise. @throws when one is broken, with what was. */
export function check({ bytes, expected }: Input, by: Decode = decode): Verdict {
  const text = bytes.toString()
  let took = Number.POSITIVE_INFINITY
  let result: unknown
  for (let tries = 0; tries < TRIES && took > QUICK; tries++) {
    const began = performance.now()
    result = by(text)
    took = Math.min(took, performance.now() - began)
  }
  assert(took <= SLOW, `it took ${took.toFixed(0)} ms, at most ${SLOW} are allowed`)
  assert.equal(sizes(), untouchedSizes, 'a prototype was touched')
  assert(isObject(result), 'it is neither a frame nor a failure')
  const given = read(text)
  if (isFailure(result)) checkFailure(result, given)
  else checkFrame(result, given)
  const outcome = isFailure(result) ? result.code : 'frame'
  if (expected) assert.equal(outcome === 'frame', expected === 'frame', `a ${expected} was expected, it is ${outcome}`)
  return { outcome, took }
}

/** What came of an input, or the seed to keep of it. */
function attempt(input: Input, by: Decode): Verdict | Seed {
  try {
    return check(input, by)
  } catch (error) {
    const { bytes, ...known } = input
    const [why = ''] = (error as Error).message.split('\n')
    return { why, input: bytes.toString('base64'), ...known }
  }
}

export interface Options {
  readonly runs: number
  readonly seed: number
  readonly decode?: Decode
  /** Where inputs that break a promise are kept. */
  readonly seeds?: string
  /** Is told now and then how many inputs were tried. */
  readonly progress?: (tried: number) => void
}

export interface Report {
  readonly outcomes: Readonly<Record<string, number>>
  readonly slowest: number
  readonly broken: readonly Seed[]
}

/** Progress is told after so many inputs. */
const PROGRESS_EVERY = 20_000
/** So many broken inputs tell enough. */
const MAX_BROKEN = 20

/** Tries `runs` inputs, and keeps those that break a promise. @throws when a prototype is not what it was. */
export function fuzz({ runs, seed, decode: by = decode, seeds = SEEDS, progress = () => {} }: Options): Report {
  const outcomes: Record<string, number> = {}
  const broken: Seed[] = []
  let slowest = 0
  let count = 0
  for (const input of inputs(seed, runs)) {
    const tried = attempt(input, by)
    if ('why' in tried) broken.push(tried)
    else {
      outcomes[tried.outcome] = (outcomes[tried.outcome] ?? 0) + 1
      slowest = Math.max(slowest, tried.took)
    }
    if (++count % PROGRESS_EVERY === 0) progress(count)
    if (broken.length === MAX_BROKEN) break
  }
  if (broken.length > 0) keep(broken, seeds)
  assert(isDeepStrictEqual(fingerprint(), untouched), 'a prototype was changed')
  return { outcomes, slowest, broken }
}

function keep(broken: readonly Seed[], file: string): void {
  const kept = keptSeeds(file)
  const isNew = ({ input }: Seed): boolean => !kept.some((seed) => seed.input === input)
  writeFileSync(file, `${JSON.stringify([...kept, ...broken.filter(isNew)], null, 2)}\n`)
}

function main(): void {
  const { values } = parseArgs({
    options: { runs: { type: 'string', default: '200000' }, seed: { type: 'string', default: '1' } },
  })
  const [runs, seed] = [Number(values.runs), Number(values.seed)]
  assert(Number.isSafeInteger(runs) && Number.isSafeInteger(seed), '--runs and --seed are whole numbers')
  const began = performance.now()
  const again = keptSeeds().map((seed) => attempt(inputOf(seed), decode))
  const { outcomes, slowest, ...found } = fuzz({ runs, seed, progress: (count) => console.log(`${count} of ${runs}`) })
  const broken = [...again.filter((seed) => 'why' in seed), ...found.broken]
  for (const { why, input } of broken) console.log(`BROKEN ${why}: ${input.slice(0, 200)}`)
  const counts = Object.entries(outcomes).map(([outcome, count]) => `${count} ${outcome}`)
  const tried = Object.values(outcomes).reduce((sum, count) => sum + count, found.broken.length)
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(
    `${tried} inputs of seed ${seed} in ${seconds} s: ${counts.join(', ')}; the slowest took ${slowest.toFixed(2)} ms; ` +
      `${broken.length} broke a promise`,
  )
  process.exitCode = broken.length > 0 ? 1 : 0
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main()
