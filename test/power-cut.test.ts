/** Power cuts, as far as a process can show them: `npm run torture -- power-cut` is the long run. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Dice } from './fixtures/dice.ts'
import { brokenBy, cutPower } from './torture/power-cut.ts'
import { noShim } from './torture/shim.ts'
import { Trace } from './torture/trace.ts'

/** Of a quick run: images, and messages that are acknowledged. */
const QUICK = { images: 20, acks: 200 }

t.test('L2 R3 what was told before a power cut is on the disk behind it', { skip: noShim }, async (t) => {
  const tally = await cutPower({ ...QUICK, seed: 7 })
  t.strictSame(tally.violations, [])
  t.ok(tally.promised > 1000, `there was something to lose: ${tally.promised} promises`)
  t.ok(tally.lostPages > 0, 'and something was lost, that nobody had been told of')
})

t.test('L2 R3 a disk that only says that it syncs is found out', { skip: noShim }, async (t) => {
  const tally = await cutPower({ ...QUICK, images: 8, seed: 7, isLying: true })
  t.equal(tally.syncs, 0)
  t.ok(brokenBy(tally) > 0, `${brokenBy(tally)} of 8 images broke a promise`)
})

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
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-trace-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const [NAMED, WRITING, WRITTEN, SYNCING, SYNCED] = [1, 2, 3, 4, 5]
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
