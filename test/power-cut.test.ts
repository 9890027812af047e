/** Power cuts, as far as a process can show them: `npm run torture -- power-cut` is the long run. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Dice } from './fixtures/dice.ts'
import { startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'
import { LogReader } from './torture/log-reader.ts'
import { brokenBy, cutPower } from './torture/power-cut.ts'
import { noShim, Shim } from './torture/shim.ts'
import { Trace } from './torture/trace.ts'

/** `enum kind` of shim.c. */
const [NAMED, WRITING, WRITTEN, SYNCING, SYNCED] = [1, 2, 3, 4, 5] as const

/** Of a quick run: images, and messages that are acknowledged. */
const QUICK = { images: 20, acks: 100 }

t.setTimeout(180_000)

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-test-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

t.test('L2 R3 what was told before a power cut is on the disk behind it', { skip: noShim }, async (t) => {
  const tally = await cutPower({ ...QUICK, seed: 7 })
  t.strictSame(tally.violations, [])
  t.ok(tally.promised > 1000, `there was something to lose: ${tally.promised} promises`)
  t.ok(tally.lostPages > 0, 'and something was lost, that nobody had been told of')
})

t.test('L2 R3 a disk that only says that it syncs is found out', { skip: noShim }, async (t) => {
  const tally = await cutPower({ ...QUICK, images: 6, seed: 7, isLying: true })
  t.equal(tally.syncs, 0)
  t.ok(brokenBy(tally) > 0, `${brokenBy(tally)} of 6 images broke a promise`)
})

t.test('R3 what kill -9 left half stored is told to nobody after the restart', { skip: noShim }, async (t) => {
  const shim = new Shim()
  const [data, image] = [temporaryFolder(t), temporaryFolder(t)]
  const reader = new LogReader()
  t.teardown(() => reader.dispose())
  t.teardown(() => shim.dispose())
  const server = await startServer(t, { env: { ...shim.env(data), CHARTROOM_DATA: data } })
  const tab = await Tab.open(server, 'ann')
  const increment = { type: 'send', room: 'counter/a', event: { type: 'increment' } }
  await tab.ask(increment)

  shim.set('syncDelay', 60_000_000)
  tab.send(increment)
  await tab.until(async () => lastKind(shim.trace) === SYNCING)
  shim.set('syncDelay', 0)
  await server.crashAndRestart()
  const told = await (await Tab.open(server, 'bob')).ask({ type: 'get', room: 'counter/a' })
  t.equal(told.type, 'snapshot')
  const place = statSync(shim.trace).size
  await server.end('SIGKILL')

  writeFileSync(join(image, 'log.mdb'), new Trace(shim.trace, 'log.mdb').imageAt(place, new Dice(1), 0).bytes)
  const reading = await reader.read({ folder: image, topics: ['counter/a'] })
  t.match(
    reading,
    { kind: 'read', topics: { 'counter/a': { last: told.seq } } },
    'a power cut takes away nothing of it',
  )
})

/** The kind of the newest note, if it has no bytes. */
const lastKind = (trace: string): number => readFileSync(trace).at(-24) ?? 0

/** A note as shim.c writes it. */
function note(kind: number, call: number, offset: number, bytes = '', isSynced = 0): Buffer {
  const head = Buffer.alloc(24)
  head.writeUInt8(kind, 0)
  head.writeUInt8(isSynced, 1)
  head.writeUInt16LE(1, 2)
  head.writeUInt32LE(call, 4)
  head.writeBigUInt64LE(BigInt(offset), 8)
  head.writeUInt32LE(bytes.length, 16)
  return Buffer.concat([head, Buffer.from(bytes)])
}

t.test('a power cut keeps what was synced, and of the rest what chance leaves', async (t) => {
  const folder = temporaryFolder(t)
  const notes = [note(NAMED, 0, 0, 'f'), note(WRITING, 1, 0, 'one'), note(WRITTEN, 1, 0), note(SYNCING, 2, 0)]
  // The second write returns while the sync is under way, so the sync does not speak for it.
  notes.push(note(WRITING, 3, 0, 'two'), note(WRITTEN, 3, 0), note(SYNCED, 2, 0, '', 1))
  // The third is on a descriptor that syncs by itself, on another page.
  notes.push(note(WRITING, 4, 4096, 'three', 1), note(WRITTEN, 4, 4096, '', 1))
  writeFileSync(join(folder, 'trace'), Buffer.concat(notes))
  const trace = new Trace(join(folder, 'trace'), 'f')
  const place = (count: number): number => Buffer.concat(notes.slice(0, count)).length
  const outcomes = (count: number): string[] => {
    const images = Array.from({ length: 40 }, (_, seed) => trace.imageAt(place(count), new Dice(seed), 0.5))
    return [...new Set(images.map(({ bytes }) => bytes.toString().replaceAll('\0', '')))].sort()
  }
  t.equal(trace.syncs, 1)
  t.strictSame(outcomes(1), [''], 'nothing was written')
  t.strictSame(outcomes(4), ['', 'one'], 'a sync that has not returned promises nothing')
  t.strictSame(outcomes(6), ['', 'one', 'two'])
  t.strictSame(outcomes(7), ['one', 'two'], 'what had returned before the sync began is there, what came later may be')
  t.strictSame(outcomes(8), ['one', 'onethree', 'two', 'twothree'])
  t.strictSame(outcomes(9), ['onethree', 'twothree'], 'a descriptor that syncs by itself')
})
