/** Bad disks and spoiled logs: `npm run torture -- disk` is the long run. */
import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import t from 'tap'
import { Dice } from './fixtures/dice.ts'
import { type Disk, noMount, smallDisk, type Trial, tryDisk } from './torture/bad-disk.ts'
import { type BadFolder, badDisks, beginIn, impossibleFolder, missingFolder, readOnlyFolder } from './torture/disk.ts'
import { mutate, PAGE_KINDS, pagesOf, WAYS } from './torture/mutations.ts'
import { noShim } from './torture/shim.ts'
import { type Healthy, isPromised, judge, type Spoiled, spoil, writeHealthyLog } from './torture/spoiled-log.ts'

t.setTimeout(300_000)

/** Every way on every kind of page, once. */
const ALL = WAYS.length * PAGE_KINDS.length

let trials: readonly Trial[] = []
let healthy: Healthy
let spoiled: readonly Spoiled[] = []

t.before(async () => {
  for (const [what, make] of badDisks()) trials = [...trials, await tryDisk(what, make())]
  healthy = await writeHealthyLog(6, 1)
  spoiled = await spoil(healthy, { mutations: ALL, seed: 100 })
})

t.test('L2 R3 a disk that is full or fails makes no false ok', { skip: noShim }, async (t) => {
  t.equal(trials.length, noMount ? 4 : 5)
  for (const { what, answers, violations } of trials) {
    t.strictSame(
      violations.filter((violation) => violation.includes('had been told')),
      [],
      what,
    )
    t.ok(
      Object.keys(answers).some((answer) => answer !== 'ok'),
      `${what}: the disk was bad: ${JSON.stringify(answers)}`,
    )
  }
})

/** LMDB gives up the whole environment then: the server ends, to be started again. */
const FATAL = 'EIO of one meta page'

t.test('E2 on a bad disk sends are read_only, the rest goes on, and writing after it', { skip: noShim }, async (t) => {
  for (const { what, violations } of trials) if (what !== FATAL) t.strictSame(violations, [], what)
})

t.test('a folder that is missing is made, and one that cannot be is refused with a line that names it', async (t) => {
  t.match(await beginIn(missingFolder()), { class: 'served right' })
  t.match(await beginIn(impossibleFolder()), { class: 'refused' })
})

t.test('a folder that is read-only is refused with a line that names it', { skip: noMount }, async (t) => {
  t.match(await beginIn(readOnlyFolder() as BadFolder), { class: 'refused' })
})

t.test('a small disk is full until it is mended', { skip: noMount }, async (t) => {
  const disk = smallDisk() as Disk
  t.teardown(() => disk.dispose())
  disk.break()
  const blocks = (): number => statfsSync(dirname(disk.data)).bavail
  t.equal(blocks(), 0)
  disk.mend()
  t.ok(blocks() > 500)
})

t.test('a spoiled log makes no server serve records that never were, nor hang', async (t) => {
  t.equal(spoiled.length, ALL)
  const bad = spoiled.filter(({ server }) => server.class === 'wrong' || server.class === 'hung')
  t.strictSame(
    bad.map(({ mutation: { way, page }, server }) => ({ way, page, server })),
    [],
  )
})

t.test('a spoiled log is refused, quarantined or served right', async (t) => {
  const bad = spoiled.filter(({ server }) => !isPromised(server))
  t.strictSame(
    bad.map(({ mutation: { way, page }, server }) => ({ way, page, server })),
    [],
  )
})

t.test('a mutation spoils the kind of page that it says', async (t) => {
  for (let number = 0; number < ALL; number++) {
    const { way, page, bytes } = mutate(healthy.file, number, new Dice(number))
    t.notOk(bytes.equals(healthy.file), `${way}, ${page}`)
    if (page === 'end') continue
    const changed = pagesOf(healthy.file, page).filter((at) => !samePage(bytes, at))
    t.equal(changed.length, 1, `one page is another, and it was a ${page} page`)
  }
})

const samePage = (bytes: Buffer, page: number): boolean =>
  bytes.subarray(page * 4096, (page + 1) * 4096).equals(healthy.file.subarray(page * 4096, (page + 1) * 4096))

t.test('a room that is not as it was is seen', async (t) => {
  const [[room, frame]] = [...healthy.rooms] as [[string, { state: { value: unknown } }]]
  const other = { ...frame, state: { ...frame.state, value: 'another' } }
  t.match(await judge({ ...healthy, rooms: new Map([[room, other]]) }, healthy.file), { class: 'wrong' })
  t.match(await judge(healthy, healthy.file), { class: 'served right' })
})
