/** A short fuzz run, every input that was kept of the long ones, and what the fuzzer itself would find. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { failure, isFailure } from '../src/errors.ts'
import { type ClientFrame, decode } from '../src/protocol.ts'
import { ROOT } from './fixtures/server.ts'
import { check, type Decode, fuzz, inputOf, inputs, keptSeeds, type Seed } from './fuzz.ts'

/** A file without seeds, for what a test makes the fuzzer find. */
function emptySeeds(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-fuzz-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'seeds.json')
  writeFileSync(file, '[]')
  return file
}

t.test('E4 E5 of 5,000 inputs each is a frame of the union or one failure', async (t) => {
  const { outcomes, slowest, broken } = fuzz({ runs: 5000, seed: 20_260_101, seeds: emptySeeds(t) })
  t.strictSame(broken, [])
  t.strictSame(Object.keys(outcomes).sort(), ['bad_frame', 'bad_json', 'frame', 'unknown_type'], 'it saw them all')
  t.comment(`${JSON.stringify(outcomes)}, the slowest took ${slowest.toFixed(2)} ms`)
})

t.test('E4 E5 every input that was kept keeps every promise', async (t) => {
  const seeds = keptSeeds()
  t.ok(seeds.length > 0)
  for (const seed of seeds) t.doesNotThrow(() => check(inputOf(seed)), seed.why)
})

/** `decode`, but what it refuses in such words is taken as it stands. */
const taking =
  (words: RegExp): Decode =>
  (text) => {
    const found = decode(text)
    return isFailure(found) && words.test(found.message) ? JSON.parse(text) : found
  }

/** `decode`, but for one mistake, and what the fuzzer says of it. */
const mistakes: Record<string, { by: Decode; why: RegExp }> = {
  'E5 throws': {
    by: (text) => (text.includes('\ufffd') ? JSON.parse('{') : decode(text)),
    why: /JSON/,
  },
  'E5 gives nothing': {
    by: (text) => (text.startsWith('[') ? (undefined as never) : decode(text)),
    why: /neither a frame nor a failure/,
  },
  'E5 takes any depth': {
    by: taking(/levels deep/),
    why: /nested too deeply|in JSON|not valid JSON/,
  },
  'E5 refuses what is nested as deeply as it may be': {
    by: (text) => (/\[{31}0/.test(text) ? failure('bad_frame', 'too deep', { path: '' }) : decode(text)),
    why: /a frame was expected, it is bad_frame/,
  },
  'E5 takes long': {
    by: (text) => {
      const end = performance.now() + (text.includes('"auth"') ? 60 : 0)
      while (performance.now() < end);
      return decode(text)
    },
    why: /it took \d+ ms/,
  },
  'E4 lets a key through that reaches a prototype': {
    by: taking(/is not allowed/),
    why: /a key that reaches a prototype was let through/,
  },
  'E4 changes a prototype': {
    by: (text) => {
      if (text.includes('__proto__')) Object.assign(Object.prototype, { polluted: true })
      return decode(text)
    },
    why: /a prototype was touched/,
  },
  'E2 has a code of its own': {
    by: (text) => {
      const found = decode(text)
      return isFailure(found) ? failure('bad_event', found.message, { id: found.id }) : found
    },
    why: /bad_event is none of/,
  },
  'R1 forgets the id of a failure': {
    by: (text) => {
      const found = decode(text)
      if (!isFailure(found)) return found
      const { id: _, code, message, retry: __, type: ___, ...details } = found
      return failure(code, message, details)
    },
    why: /the id of the frame is missing/,
  },
  'E2 takes a frame that is none': {
    by: taking(/^get\/room/),
    why: /room has not its shape/,
  },
  'E2 invents a field': {
    by: (text) => (isFailure(decode(text)) ? decode(text) : { ...decode(text), from: 'ann' }) as ClientFrame,
    why: /from is a field of no such frame/,
  },
}

t.test('E4 E5 the fuzzer finds and keeps the input that shows a mistake', async (t) => {
  for (const [what, { by, why }] of Object.entries(mistakes)) {
    const seeds = emptySeeds(t)
    const run = () => fuzz({ runs: what.includes('long') ? 100 : 2000, seed: 1, decode: by, seeds })
    const found = what.includes('changes a prototype') ? polluted(run, seeds) : run().broken
    t.ok(found.length > 0, `a decoder that ${what.slice(3)}`)
    t.match(found[0]?.why, why, what)
    t.strictSame(keptSeeds(seeds), found, `${what}: kept`)
    t.throws(() => check(inputOf(found[0] as Seed), by), `${what}: it fails again`)
    Reflect.deleteProperty(Object.prototype, 'polluted')
    t.doesNotThrow(() => check(inputOf(found[0] as Seed)), `${what}: and not by the real one`)
  }
})

/** What was kept by a run that also has to notice, at its end, what it left behind. */
function polluted(run: () => unknown, seeds: string): Seed[] {
  t.throws(run, /a prototype was changed/)
  Reflect.deleteProperty(Object.prototype, 'polluted')
  return keptSeeds(seeds)
}

t.test('E5 the same seed gives the same inputs, another one others', async (t) => {
  const list = (seed: number): string => [...inputs(seed, 600)].map(({ bytes }) => bytes.toString('base64')).join()
  const [once, again, other] = [7, 7, 8].map(list)
  t.ok(once === again)
  t.ok(once !== other)
})

t.test('E5 npm run fuzz says in one line what became of it', async (t) => {
  const args = ['--import', 'tsx', 'test/fuzz.ts', '--runs', '300', '--seed', '5']
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT })
  t.match(stdout, /^300 inputs of seed 5 in .* 0 broke a promise$/m)
})
