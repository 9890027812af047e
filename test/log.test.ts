/** The log: one contract that every engine keeps, and what only a disk and a crash can break. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  type Database,
  openStore,
  type Store,
  sealEntry,
  sealMeta,
  segmentKey,
  topicKey,
} from '../src/log/lmdb-store.ts'
import {
  type Batch,
  type CommitResult,
  DamagedLog,
  decodeLine,
  decodeSegment,
  encodeLine,
  encodeSegment,
  type Log,
  type LogRecord,
  type LogSnapshot,
  withoutHole,
} from '../src/log/log.ts'
import { openLmdbLog, openLmdbLogToRead } from '../src/log/log-lmdb.ts'
import { MemoryLog } from '../src/log/log-memory.ts'
import { verify } from '../src/log/log-verify.ts'
import { place, seal } from '../src/log/seal.ts'
import { flip, tamper } from './fixtures/damage.ts'
import { ROOT } from './fixtures/server.ts'

const ALL = { after: 0, limit: 1_000_000 }

function record(seq: number, text = `number ${seq}`): LogRecord {
  return {
    seq,
    event: { type: 'message.post', text },
    from: 'ann',
    time: 1_767_222_000_000 + seq,
    ops: [{ op: 'add', path: '/context/messages/-', value: { id: seq, text } }],
  }
}

/** The records `first` to `last`. */
function records(first: number, last: number, text?: string): LogRecord[] {
  return Array.from({ length: last - first + 1 }, (_, i) => record(first + i, text))
}

/** One topic's part of a commit: the records behind `after`, up to `last`. */
function batch(topic: string, after: number, last: number, text?: string): Batch {
  return { topic, after, lines: records(after + 1, last, text).map(encodeLine) }
}

async function seqs(log: Log, topic: string, range: Parameters<Log['read']>[1] = ALL): Promise<number[]> {
  return (await log.read(topic, range)).map(({ seq }) => seq)
}

const counted = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-log-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A log that is closed, before its folder goes, when the test ends. */
function openIn(t: Test, folder: string): Log {
  const log = openLmdbLog(folder)
  t.teardown(() => log.close())
  return log
}

contract('in memory', () => new MemoryLog())
contract('on disk', (t) => openIn(t, temporaryFolder(t)))

function contract(engine: string, open: (t: Test) => Log): void {
  t.test(`LOG-1 ${engine}: a commit gives each topic its last place`, async (t) => {
    const log = open(t)
    t.strictSame(await log.commit([batch('chat/a', 0, 3), batch('chat/b', 0, 1)]), [{ last: 3 }, { last: 1 }])
    t.strictSame(await log.commit([batch('chat/b', 1, 2)]), [{ last: 2 }])
    t.equal(await log.last('chat/a'), 3)
    t.equal(await log.last('chat/b'), 2)
  })

  t.test(`LOG-2 ${engine}: what was committed is read in order, whole`, async (t) => {
    const log = open(t)
    await log.commit([batch('chat/a', 0, 2)])
    await log.commit([batch('chat/a', 2, 3)])
    await log.commit([batch('chat/a', 3, 7)])
    t.strictSame(await log.read('chat/a', ALL), records(1, 7))
  })

  t.test(`LOG-3 ${engine}: every range is read exactly, whatever commits it spans`, async (t) => {
    const log = open(t)
    const ends = [1, 4, 5, 11, 12]
    const wrong: string[] = []
    let after = 0
    for (const end of ends) {
      await log.commit([batch('chat/a', after, end), batch('chat/b', after, end)])
      after = end
    }
    for (let from = 0; from <= 13; from++) {
      for (const limit of [1, 2, 3, 6, 7, 12, 100]) {
        const found = await seqs(log, 'chat/a', { after: from, limit })
        const wanted = counted(from + 1, Math.min(12, from + limit))
        if (`${found}` !== `${wanted}`) wrong.push(`${limit} after ${from}: ${found}`)
      }
    }
    t.strictSame(wrong, [])
  })

  t.test(`LOG-4 ${engine}: seqs and topics keep their order when they outgrow a byte`, async (t) => {
    const log = open(t)
    const topics = Array.from({ length: 300 }, (_, i) => `counter/${i}`)
    await log.commit(topics.map((topic) => batch(topic, 0, 2, topic)))
    for (let after = 0; after < 700; after += 70) await log.commit([batch('chat/long', after, after + 70)])
    t.strictSame(await seqs(log, 'chat/long'), counted(1, 700))
    t.strictSame(await seqs(log, 'chat/long', { after: 254, limit: 4 }), [255, 256, 257, 258])
    const texts: unknown[] = []
    for (const topic of topics) texts.push((await log.read(topic, ALL)).map(({ event }) => event.text))
    t.strictSame(
      texts,
      topics.map((topic) => [topic, topic]),
    )
  })

  t.test(`LOG-5 ${engine}: a topic nobody wrote to is empty`, async (t) => {
    const log = open(t)
    await log.commit([batch('chat/a', 0, 1)])
    t.equal(await log.last('chat/unborn'), 0)
    t.strictSame(await log.read('chat/unborn', ALL), [])
    t.equal(await log.getSnapshot('chat/unborn'), undefined)
    t.equal(await log.getSnapshot('chat/a'), undefined)
  })

  t.test(`LOG-6 ${engine}: a commit behind the wrong place is a conflict, and writes nothing`, async (t) => {
    const log = open(t)
    await log.commit([{ ...batch('chat/a', 0, 3), snapshot: encodeLine({ seq: 3, state: 'first' }) }])
    for (const after of [0, 2, 4, 99]) {
      const late = {
        ...batch('chat/a', after, after + 2, 'late'),
        snapshot: encodeLine({ seq: after + 2, state: 'late' }),
      }
      t.strictSame(await log.commit([late]), [{ conflict: { actual: 3 } }], `after ${after}`)
    }
    t.strictSame(await log.read('chat/a', ALL), records(1, 3))
    t.strictSame(await log.getSnapshot('chat/a'), { seq: 3, state: 'first' })
    t.strictSame(await log.commit([batch('chat/a', 3, 4)]), [{ last: 4 }], 'and the right place is still free')
  })

  t.test(`LOG-7 ${engine}: a conflict on an unborn topic leaves it unborn`, async (t) => {
    const log = open(t)
    t.strictSame(await log.commit([batch('chat/a', 5, 6)]), [{ conflict: { actual: 0 } }])
    t.equal(await log.last('chat/a'), 0)
    t.strictSame(await log.read('chat/a', ALL), [])
    t.strictSame(await log.commit([batch('chat/a', 0, 1)]), [{ last: 1 }])
  })

  t.test(`LOG-8 ${engine}: the other topics of a commit with a conflict go through`, async (t) => {
    const log = open(t)
    await log.commit([batch('chat/b', 0, 2)])
    const results = await log.commit([batch('chat/a', 0, 1), batch('chat/b', 0, 1, 'late'), batch('chat/c', 0, 4)])
    t.strictSame(results, [{ last: 1 }, { conflict: { actual: 2 } }, { last: 4 }])
    t.strictSame(await log.read('chat/a', ALL), records(1, 1))
    t.strictSame(await log.read('chat/b', ALL), records(1, 2))
    t.strictSame(await log.read('chat/c', ALL), records(1, 4))
  })

  t.test(`LOG-9 ${engine}: of two commits for the same place at the same time one wins`, async (t) => {
    const log = open(t)
    const rivals = ['ann', 'bob', 'cy', 'dee']
    const results = (await Promise.all(rivals.map((who) => log.commit([batch('chat/a', 0, 2, who)])))).flat()
    const winner = results.findIndex((result) => 'last' in result)
    t.strictSame(results[winner], { last: 2 })
    for (const [i, result] of results.entries()) if (i !== winner) t.strictSame(result, { conflict: { actual: 2 } })
    t.strictSame(await log.read('chat/a', ALL), records(1, 2, rivals[winner]))
  })

  t.test(`LOG-10 ${engine}: a commit may go on where one that is still under way will end`, async (t) => {
    const log = open(t)
    const commits = Array.from({ length: 20 }, (_, i) => log.commit([batch('chat/a', 2 * i, 2 * i + 2)]))
    const results = (await Promise.all(commits)).flat()
    t.strictSame(
      results,
      Array.from({ length: 20 }, (_, i) => ({ last: 2 * i + 2 })),
    )
    t.strictSame(await log.read('chat/a', ALL), records(1, 40))
  })

  t.test(`LOG-11 ${engine}: a topic may come twice in one commit, in order`, async (t) => {
    const log = open(t)
    const results = await log.commit([batch('chat/a', 0, 1), batch('chat/a', 1, 3), batch('chat/a', 1, 2, 'late')])
    t.strictSame(results, [{ last: 1 }, { last: 3 }, { conflict: { actual: 3 } }])
    t.strictSame(await log.read('chat/a', ALL), records(1, 3))
  })

  t.test(`LOG-12 ${engine}: the newest snapshot replaces the one before it`, async (t) => {
    const log = open(t)
    const first: LogSnapshot = { seq: 2, state: { text: 'premier état\nà deux lignes', keys: [['ann', 'k', 1, 2]] } }
    await log.commit([{ ...batch('chat/a', 0, 2), snapshot: encodeLine(first) }, batch('chat/b', 0, 2)])
    t.strictSame(await log.getSnapshot('chat/a'), first)
    t.equal(await log.getSnapshot('chat/b'), undefined)
    await log.commit([batch('chat/a', 2, 3)])
    t.strictSame(await log.getSnapshot('chat/a'), first, 'a commit without one leaves it')
    await log.commit([{ ...batch('chat/a', 3, 5), snapshot: encodeLine({ seq: 5, state: null }) }])
    t.strictSame(await log.getSnapshot('chat/a'), { seq: 5, state: null })
    t.strictSame(await seqs(log, 'chat/a'), [1, 2, 3, 4, 5], 'the records are still all there')
  })

  t.test(`LOG-13 ${engine}: a snapshot can come without records`, async (t) => {
    const log = open(t)
    await log.commit([batch('chat/a', 0, 2)])
    t.strictSame(
      await log.commit([{ topic: 'chat/a', after: 2, lines: [], snapshot: encodeLine({ seq: 2, state: [2] }) }]),
      [{ last: 2 }],
    )
    t.strictSame(await log.getSnapshot('chat/a'), { seq: 2, state: [2] })
    t.strictSame(await seqs(log, 'chat/a'), [1, 2])
  })

  t.test(`LOG-14 ${engine}: records come back as they were, whatever they hold`, async (t) => {
    const log = open(t)
    const odd: LogRecord[] = [
      { ...record(1, 'Žluťoučký kůň — naïve, 日本語, العربية'), from: null },
      { ...record(2, 'emoji 👩‍👩‍👧‍👦 🏳️‍🌈 and a lone half \ud83d'), key: 'clé "é"\n' },
      { ...record(3, 'line\nfeeds\r\nand\u2028separators\u0000and nothing') },
      { ...record(4, '00000000 {"seq":9}\n00000000 {}') },
      {
        ...record(5),
        event: {
          type: 'numbers',
          floats: [0.1 + 0.2, 1e21, 5e-324, -1.5, Number.MAX_SAFE_INTEGER, 123456789.123456],
          nested: { a: [{ b: [[], {}, [null, true, '']] }], '': { '~/': 1 } },
        },
        ops: [
          { op: 'replace', path: '', value: null },
          { op: 'remove', path: '/a~1b' },
        ],
      },
    ]
    await log.commit([{ topic: 'chat/odd', after: 0, lines: odd.map(encodeLine) }])
    t.strictSame(await log.read('chat/odd', ALL), odd)
  })

  t.test(`LOG-15 ${engine}: what is read is a copy that nobody shares`, async (t) => {
    const log = open(t)
    const given = records(1, 2)
    await log.commit([
      {
        topic: 'chat/a',
        after: 0,
        lines: given.map(encodeLine),
        snapshot: encodeLine({ seq: 2, state: { list: [1] } }),
      },
    ])
    for (const { event } of [...given, ...(await log.read('chat/a', ALL))]) Object.assign(event, { text: 'tampered' })
    const held = (await log.getSnapshot('chat/a'))?.state as { list: number[] }
    held.list.push(2)
    t.strictSame(await log.read('chat/a', ALL), records(1, 2))
    t.strictSame(await log.getSnapshot('chat/a'), { seq: 2, state: { list: [1] } })
  })

  t.test(`LOG-16 ${engine}: topics with similar names do not mix`, async (t) => {
    const log = open(t)
    const names = [
      ...['chat/a', 'chat/A', 'chat/aa', 'chat/a.', 'chat/a:', 'chat/a-', 'chat', 'chat/', 'chat/a/b', 'hat/a'],
      ...['counter/1', 'counter/01', 'counter/10', 'counter/1.0', 'inbox/ann', 'inbox/ann@x', '1', '01'],
      ...['chat/é', 'chat/e\u0301', `chat/${'k'.repeat(128)}`, `chat/${'k'.repeat(127)}`],
    ]
    await log.commit(
      names.map((name, i) => ({ ...batch(name, 0, i + 1, name), snapshot: encodeLine({ seq: i + 1, state: name }) })),
    )
    for (const [i, name] of names.entries()) {
      t.equal(await log.last(name), i + 1)
      t.strictSame(await log.read(name, ALL), records(1, i + 1, name))
      t.strictSame(await log.getSnapshot(name), { seq: i + 1, state: name })
    }
  })

  t.test(`LOG-17 ${engine}: the epoch of a topic stays what it is`, async (t) => {
    const log = open(t)
    const before = await log.epoch('chat/a')
    t.match(before, /^\S+$/)
    await log.commit([batch('chat/a', 0, 3)])
    t.equal(await log.epoch('chat/a'), before)
  })

  t.test(`LOG-18 ${engine}: those who ask for the epoch of a new log at the same time are told the same`, async (t) => {
    const log = open(t)
    const told = await Promise.all(Array.from({ length: 5 }, () => log.epoch('chat/a')))
    t.strictSame([...new Set(told)], [await log.epoch('chat/a')])
  })

  t.test(`LOG-20 ${engine}: any commits, read back in any ranges, are what a plain list would hold`, async (t) => {
    const log = open(t)
    let run = 0
    const part = fc.record({
      topic: fc.constantFrom('a', 'b', 'a/b'),
      skew: fc.oneof(
        { weight: 4, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: -2, max: 2 }) },
      ),
      count: fc.integer({ min: 1, max: 4 }),
      text: fc.string({ unit: 'binary', maxLength: 8 }),
      withSnapshot: fc.boolean(),
    })
    const range = fc.record({ after: fc.nat(20), limit: fc.integer({ min: 1, max: 20 }) })
    const property = fc.asyncProperty(
      fc.array(fc.array(part, { maxLength: 4 }), { maxLength: 6 }),
      range,
      async (commits, range) => {
        const prefix = `run${run++}/`
        const lists = new Map<string, { records: LogRecord[]; snapshot?: LogSnapshot }>()
        for (const parts of commits) {
          const batches: Batch[] = []
          const wanted: CommitResult[] = []
          for (const { topic, skew, count, text, withSnapshot } of parts) {
            const list = lists.get(topic) ?? { records: [] }
            lists.set(topic, list)
            const actual = list.records.length
            const after = Math.max(0, actual + skew)
            const snapshot = { seq: after + count, state: text }
            batches.push({
              ...batch(prefix + topic, after, after + count, text),
              ...(withSnapshot && { snapshot: encodeLine(snapshot) }),
            })
            wanted.push(after === actual ? { last: after + count } : { conflict: { actual } })
            if (after !== actual) continue
            list.records.push(...records(after + 1, after + count, text))
            if (withSnapshot) list.snapshot = snapshot
          }
          assert.deepEqual(await log.commit(batches), wanted)
        }
        for (const [topic, list] of lists) {
          const wanted = list.records.slice(range.after, range.after + range.limit)
          assert.deepEqual(await log.read(prefix + topic, range), wanted)
          assert.equal(await log.last(prefix + topic), list.records.length)
          assert.deepEqual(await log.getSnapshot(prefix + topic), list.snapshot)
        }
      },
    )
    const result = await fc.check(property, { numRuns: 100 })
    t.equal(fc.defaultReportMessage(result), undefined)
  })

  t.test(
    `LOG-32 ${engine}: a trim forgets whole commits up to a place, and reading begins with the first that is held`,
    async (t) => {
      const log = open(t)
      for (const [after, last] of [
        [0, 3],
        [3, 5],
        [5, 9],
        [9, 12],
      ] as const)
        await log.commit([batch('chat/a', after, last), batch('chat/b', after, last)])
      t.strictSame(await log.commit([{ topic: 'chat/a', after: 12, lines: [], trim: 7 }]), [{ last: 12 }])
      t.strictSame(await log.read('chat/a', ALL), records(6, 12), 'the commit of 6 to 9 is whole')
      for (const [after, limit, first, last] of [
        [0, 3, 6, 8],
        [4, 2, 6, 7],
        [5, 2, 6, 7],
        [6, 9, 7, 12],
        [11, 9, 12, 12],
      ] as const) {
        t.strictSame(await seqs(log, 'chat/a', { after, limit }), counted(first, last), `${limit} after ${after}`)
      }
      t.strictSame(await log.read('chat/b', ALL), records(1, 12), 'the other topic is as it was')
    },
  )

  t.test(`LOG-33 ${engine}: a trim never takes the last commit, not even the one that it came with`, async (t) => {
    const log = open(t)
    await log.commit([batch('chat/a', 0, 3)])
    await log.commit([{ topic: 'chat/a', after: 3, lines: [], trim: 3 }])
    t.strictSame(await seqs(log, 'chat/a'), [1, 2, 3])
    await log.commit([{ ...batch('chat/a', 3, 5), trim: 99 }])
    t.strictSame(await seqs(log, 'chat/a'), [4, 5])
    t.equal(await log.last('chat/a'), 5)
  })

  t.test(`LOG-34 ${engine}: what was trimmed is still taken, and a conflict forgets nothing`, async (t) => {
    const log = open(t)
    await log.commit([batch('chat/a', 0, 3)])
    await log.commit([{ ...batch('chat/a', 3, 6), trim: 3 }])
    for (const after of [0, 3, 5, 7]) {
      const late = {
        ...batch('chat/a', after, after + 3, 'late'),
        snapshot: encodeLine({ seq: after, state: 'late' }),
        trim: 6,
      }
      t.strictSame(await log.commit([late]), [{ conflict: { actual: 6 } }], `after ${after}`)
    }
    t.strictSame(await log.read('chat/a', ALL), records(4, 6))
    t.equal(await log.getSnapshot('chat/a'), undefined)
    t.strictSame(await log.commit([batch('chat/a', 6, 7)]), [{ last: 7 }])
  })

  t.test(
    `LOG-35 ${engine}: a snapshot and the records behind it are whole, whatever was trimmed before it`,
    async (t) => {
      const log = open(t)
      for (let after = 0; after < 100; after += 5) {
        const snapshot = (after + 5) % 20 === 0 && {
          snapshot: encodeLine({ seq: after + 5, state: after + 5 }),
          trim: after,
        }
        await log.commit([{ ...batch('chat/a', after, after + 5), ...snapshot }])
        const seq = (await log.getSnapshot('chat/a'))?.seq ?? 0
        t.strictSame(await seqs(log, 'chat/a', { after: seq, limit: 1000 }), counted(seq + 1, after + 5))
      }
      t.strictSame(await seqs(log, 'chat/a'), counted(96, 100))
    },
  )

  t.test(`LOG-36 ${engine}: any commits and trims leave what a plain list of commits would`, async (t) => {
    const log = open(t)
    let run = 0
    const step = fc.record({ count: fc.integer({ min: 0, max: 4 }), trim: fc.option(fc.nat(30), { nil: undefined }) })
    const range = fc.record({ after: fc.nat(30), limit: fc.integer({ min: 1, max: 30 }) })
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 12 }),
      range,
      async (steps, { after, limit }) => {
        const topic = `run/${run++}`
        let last = 0
        let ends: number[] = []
        let trimmed = 0
        for (const { count, trim } of steps) {
          await log.commit([{ ...batch(topic, last, last + count), ...(trim !== undefined && { trim }) }])
          last += count
          if (count > 0) ends.push(last)
          const gone = ends.slice(0, -1).filter((end) => trim !== undefined && end <= trim)
          trimmed = gone.at(-1) ?? trimmed
          ends = ends.slice(gone.length)
        }
        const wanted = counted(Math.max(after, trimmed) + 1, last).slice(0, limit)
        assert.deepEqual(await seqs(log, topic, { after, limit }), wanted)
        assert.equal(await log.last(topic), last)
      },
    )
    const result = await fc.check(property, { numRuns: 150 })
    t.equal(fc.defaultReportMessage(result), undefined)
  })

  t.test(
    `LOG-37 ${engine}: the topics that begin with a prefix are named, those that were written to and no others`,
    async (t) => {
      const log = open(t)
      const names = ['chat/a', 'chat/b', 'chat/é', 'chat', 'chatter/a', 'counter/a', '$inbox/ann', 'a']
      await log.commit(names.map((name) => batch(name, 0, 1)))
      await log.commit([batch('chat/unborn', 5, 6)])
      t.strictSame(await log.topics(''), [...names].sort())
      t.strictSame(await log.topics('chat/'), ['chat/a', 'chat/b', 'chat/é'])
      t.strictSame(await log.topics('chat'), ['chat', 'chat/a', 'chat/b', 'chat/é', 'chatter/a'])
      t.strictSame(await log.topics('$inbox/'), ['$inbox/ann'])
      t.strictSame(await log.topics('zoo'), [])
    },
  )

  t.test(`LOG-51 ${engine}: the topics are named a page at a time, in the order of their bytes`, async (t) => {
    const log = open(t)
    const behind = ['chat/\ufffd', 'chat/\u{1f600}']
    const names = ['chat/a', 'chat/a-', 'chat/a.b', 'chat/aa', 'chat/b', 'chat/z', ...behind]
    await log.commit(['chatter/a', ...names.toReversed(), 'cha'].map((name) => batch(name, 0, 1)))
    t.strictSame(await log.topics('chat/'), names)
    const pages: string[][] = []
    for (let i = 0; i < 4; i++) pages.push(await log.topics('chat/', { after: pages.at(-1)?.at(-1) ?? '', limit: 3 }))
    t.strictSame(pages, [names.slice(0, 3), names.slice(3, 6), behind, []])
    t.strictSame(await log.topics('chat/', { after: 'chat/c', limit: 1 }), ['chat/z'], 'behind a name that is none')
    t.strictSame(await log.topics('chat/', { after: 'chat/z', limit: 9 }), behind)
  })

  t.test(`LOG-52 ${engine}: a read ends with the commit that has its bytes full`, async (t) => {
    const log = open(t)
    const text = 'x'.repeat(1000)
    for (let after = 0; after < 12; after += 2) await log.commit([batch('chat/a', after, after + 2, text)])
    t.strictSame(await seqs(log, 'chat/a', { after: 0, limit: 12, bytes: 1 }), [1, 2], 'one commit at least')
    t.strictSame(await seqs(log, 'chat/a', { after: 1, limit: 12, bytes: 5000 }), counted(2, 4))
    t.strictSame(await seqs(log, 'chat/a', { after: 4, limit: 3, bytes: 100_000 }), [5, 6, 7])
  })

  t.test(
    `LOG-38 ${engine}: a topic in quarantine is neither read nor added to, and the others of a commit go through`,
    async (t) => {
      const log = open(t)
      await log.commit([batch('chat/a', 0, 3), batch('chat/b', 0, 3)])
      log.quarantine('chat/a', 'a segment is spoiled')
      const refused = { name: 'DamagedLog', message: /chat\/a.*a segment is spoiled/ }
      await t.rejects(log.read('chat/a', ALL), refused)
      await t.rejects(log.last('chat/a'), refused)
      await t.rejects(log.getSnapshot('chat/a'), refused)
      await t.rejects(log.keyframes('chat/a'), refused)
      const results = await log.commit([batch('chat/b', 3, 4), batch('chat/a', 3, 4), batch('chat/c', 0, 1)])
      t.match(results, [{ last: 4 }, { damaged: /chat\/a.*a segment is spoiled/ }, { last: 1 }])
      t.strictSame(await seqs(log, 'chat/b'), [1, 2, 3, 4])
      t.strictSame(await seqs(log, 'chat/c'), [1])
      t.strictSame(await log.topics('chat/'), ['chat/a', 'chat/b', 'chat/c'])
    },
  )

  t.test(
    `LOG-45 ${engine}: who wants to be looked at is listed by the instant, until another commit says otherwise`,
    async (t) => {
      const log = open(t)
      const between = (from: number, to: number, limit = 9) => log.wakes({ from, to, limit })
      await log.commit([
        { ...batch('chat/a', 0, 1), wake: 2_000_000_000_000 },
        { ...batch('chat/b', 0, 1), wake: 0 },
        { ...batch('chat/c', 0, 1), wake: 1_900_000_000_000 },
        batch('chat/d', 0, 1),
      ])
      t.strictSame(await between(0, 0), [{ topic: 'chat/b', at: 0 }])
      t.strictSame(await between(1, 2_000_000_000_000), [
        { topic: 'chat/c', at: 1_900_000_000_000 },
        { topic: 'chat/a', at: 2_000_000_000_000 },
      ])
      t.strictSame(await between(1, 3_000_000_000_000, 1), [{ topic: 'chat/c', at: 1_900_000_000_000 }])
      await log.commit([
        { ...batch('chat/c', 1, 2), wake: null },
        batch('chat/a', 1, 2),
        { ...batch('chat/b', 1, 2), wake: 7 },
      ])
      t.strictSame(await between(0, 3_000_000_000_000), [
        { topic: 'chat/b', at: 7 },
        { topic: 'chat/a', at: 2_000_000_000_000 },
      ])
    },
  )

  t.test(`LOG-46 ${engine}: a snapshot that is kept is there when newer ones have come`, async (t) => {
    const log = open(t)
    const at = (topic: string, after: number, last: number): Batch => ({
      ...batch(topic, after, last),
      snapshot: encodeLine({ seq: last, state: `${topic} at ${last}` }),
    })
    for (const topic of ['chat/a', 'chat/b']) {
      await log.commit([{ ...at(topic, 0, 300), keep: true }])
      await log.commit([at(topic, 300, 310)])
      await log.commit([{ ...at(topic, 310, 320), keep: true }])
    }
    t.strictSame(await log.getSnapshot('chat/a', 320), { seq: 320, state: 'chat/a at 320' }, 'the newest')
    await log.commit([at('chat/a', 320, 330), { ...batch('chat/c', 0, 1), keep: true }])
    t.strictSame(await log.getSnapshot('chat/a'), { seq: 330, state: 'chat/a at 330' })
    for (const topic of ['chat/a', 'chat/b']) {
      t.strictSame(await log.keyframes(topic), [300, 320])
      for (const [place, seq] of [
        [319, 300],
        [300, 300],
        [320, 320],
      ] as const)
        t.strictSame(await log.getSnapshot(topic, place), { seq, state: `${topic} at ${seq}` }, `at or before ${place}`)
      t.equal(await log.getSnapshot(topic, 299), undefined)
      t.equal(await log.getSnapshot(topic, 0), undefined)
    }
    t.strictSame(await log.keyframes('chat/c'), [], 'without a snapshot there is none to keep')
    t.strictSame(await log.keyframes('chat/unborn'), [])
    t.equal(await log.getSnapshot('chat/unborn', 9), undefined)
  })

  t.test(
    `LOG-47 ${engine}: what is kept goes with the records before it, and the one that they end at stays`,
    async (t) => {
      const log = open(t)
      for (let after = 0; after < 50; after += 10) {
        const snapshot = encodeLine({ seq: after + 10, state: after })
        for (const topic of ['chat/a', 'chat/b'])
          await log.commit([{ ...batch(topic, after, after + 10), snapshot, keep: true }])
      }
      await log.commit([{ topic: 'chat/a', after: 50, lines: [], trim: 30 }])
      t.strictSame(await log.keyframes('chat/a'), [30, 40, 50])
      t.strictSame(await seqs(log, 'chat/a'), counted(31, 50), 'exactly behind it')
      t.strictSame(await log.getSnapshot('chat/a', 35), { seq: 30, state: 20 })
      t.equal(await log.getSnapshot('chat/a', 29), undefined)
      const late = {
        ...batch('chat/a', 20, 60),
        snapshot: encodeLine({ seq: 60, state: 'late' }),
        keep: true,
        trim: 40,
      } as const
      t.strictSame(await log.commit([late]), [{ conflict: { actual: 50 } }])
      t.strictSame(await log.keyframes('chat/a'), [30, 40, 50], 'a conflict neither keeps nor forgets')
      t.strictSame(await log.keyframes('chat/b'), [10, 20, 30, 40, 50], 'the other topic is as it was')
    },
  )

  t.test(`LOG-48 ${engine}: any snapshots, kept or not, and trims leave what a plain list would`, async (t) => {
    const log = open(t)
    let run = 0
    const step = fc.record({
      count: fc.integer({ min: 1, max: 4 }),
      how: fc.constantFrom('none', 'newest', 'keyframe'),
      trim: fc.option(fc.nat(30), { nil: undefined }),
    })
    const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const topic = `run/${run++}`
      let [last, newest] = [0, 0]
      let kept: number[] = []
      for (const { count, how, trim } of steps) {
        const [after, seq] = [last, last + count]
        const snapshot = how !== 'none' && { snapshot: encodeLine({ seq, state: `${topic} ${seq}` }) }
        const more = { ...(how === 'keyframe' && { keep: true as const }), ...(trim !== undefined && { trim }) }
        await log.commit([{ ...batch(topic, after, seq), ...snapshot, ...more }])
        last = seq
        if (how !== 'none') newest = seq
        if (how === 'keyframe') kept.push(seq)
        const [first = 1] = await seqs(log, topic)
        kept = kept.filter((seq) => seq >= first - 1)
        assert.deepEqual(await log.keyframes(topic), kept)
      }
      for (let place = 0; place <= last + 1; place++) {
        const seq = newest > 0 && newest <= place ? newest : newest > 0 && kept.findLast((seq) => seq <= place)
        const wanted = seq ? { seq, state: `${topic} ${seq}` } : undefined
        assert.deepEqual(await log.getSnapshot(topic, place), wanted)
      }
    })
    const result = await fc.check(property, { numRuns: 100 })
    t.equal(fc.defaultReportMessage(result), undefined)
  })

  t.test(`LOG-51 ${engine}: what is read while a commit trims it is whole, before and after`, async (t) => {
    const log = open(t)
    for (let seq = 1; seq <= 20; seq++) await log.commit([batch('chat/a', seq - 1, seq)])
    const snapshot = encodeLine({ seq: 21, state: null })
    const commit = log.commit([{ ...batch('chat/a', 20, 21), snapshot, trim: 15 }])
    let isUnderWay = true
    void commit.then(() => {
      isUnderWay = false
    })
    while (isUnderWay) {
      const found = await seqs(log, 'chat/a')
      const [first = 0] = found
      assert(first === 1 || first === 16)
      assert.deepEqual(found, counted(first, found.at(-1) ?? 0))
      await setImmediate()
    }
    await commit
    t.strictSame(await seqs(log, 'chat/a'), counted(16, 21))
  })

  t.test(`LOG-39 ${engine}: a probe changes nothing`, async (t) => {
    const log = open(t)
    await log.commit([batch('chat/a', 0, 3)])
    const epoch = await log.epoch('chat/a')
    t.equal(await log.probe(), undefined)
    t.strictSame([await log.topics(''), await log.epoch('chat/a')], [['chat/a'], epoch])
    t.strictSame(await log.commit([batch('chat/a', 3, 4)]), [{ last: 4 }])
  })
}

t.test('LOG-21 a log that is opened again has everything', async (t) => {
  const folder = temporaryFolder(t)
  const first = openLmdbLog(folder)
  await first.commit([
    batch('chat/a', 0, 3),
    { ...batch('chat/b', 0, 2), snapshot: encodeLine({ seq: 2, state: { count: 2 } }) },
  ])
  await first.commit([batch('chat/a', 3, 300)])
  const epoch = await first.epoch('chat/a')
  await first.close()

  const again = openIn(t, folder)
  t.equal(await again.last('chat/a'), 300)
  t.equal(await again.last('chat/b'), 2)
  t.strictSame(await again.read('chat/a', ALL), records(1, 300))
  t.strictSame(await again.getSnapshot('chat/b'), { seq: 2, state: { count: 2 } })
  t.equal(await again.getSnapshot('chat/a'), undefined)
  t.equal(await again.epoch('chat/a'), epoch)
})

t.test('LOG-22 a log that is opened again goes on where it stopped, with every topic its own', async (t) => {
  const folder = temporaryFolder(t)
  const topics = Array.from({ length: 12 }, (_, i) => `counter/${i}`)
  for (const [i, topic] of topics.entries()) {
    const log = openLmdbLog(folder)
    t.strictSame(await log.commit([batch(topic, 0, i + 1, topic)]), [{ last: i + 1 }])
    await log.close()
  }
  const log = openIn(t, folder)
  for (const [i, topic] of topics.entries()) {
    t.strictSame(await log.commit([batch(topic, i, i + 1)]), [{ conflict: { actual: i + 1 } }])
    t.strictSame(await log.commit([batch(topic, i + 1, i + 3, topic)]), [{ last: i + 3 }])
    t.strictSame(await log.read(topic, ALL), records(1, i + 3, topic))
  }
})

t.test('LOG-23 a new folder is another life of the log', async (t) => {
  const here = openIn(t, join(temporaryFolder(t), 'made', 'on', 'the', 'way'))
  const there = openIn(t, temporaryFolder(t))
  t.not(await here.epoch('chat/a'), await there.epoch('chat/a'))
})

t.test('L2 what was acknowledged before kill -9 is there, once, at its seq', async (t) => {
  const folder = temporaryFolder(t)
  for (const acks of [1, 12, 150, 31, 400]) {
    const acked = await writeUntilKilled(folder, acks)
    const log = openLmdbLog(folder)
    for (const [topic, seq] of acked) {
      const last = await log.last(topic)
      t.ok(last >= seq, `${topic} was acknowledged up to ${seq}, the log has ${last}`)
      t.equal(last % 3, 0, 'no commit is there by half')
      const wanted = counted(1, last).map((seq) => ({ seq, text: `${topic} at ${seq}` }))
      const found = (await log.read(topic, ALL)).map(({ seq, event }) => ({ seq, text: event.text }))
      t.strictSame(found, wanted)
      t.strictSame(await log.getSnapshot(topic), { seq: last, state: { topic } })
    }
    await log.close()
  }
})

/** Lets another process commit until it has acknowledged `acks` commits, and kills it. @returns the last seq of each topic. */
async function writeUntilKilled(folder: string, acks: number): Promise<Map<string, number>> {
  const script = join(ROOT, 'test/fixtures/log-writer.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', script, folder], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
    if (said.split('\n').length > acks) child.kill('SIGKILL')
  })
  const [, signal] = await once(child, 'close')
  assert.equal(signal, 'SIGKILL', 'the writer ended of itself')
  const lines = said.slice(0, said.lastIndexOf('\n')).split('\n')
  return new Map(lines.map((line) => [line.split(' ')[0] as string, Number(line.split(' ')[1])]))
}

t.test('LOG-24 a bit that flipped in the file is refused, not returned', async (t) => {
  for (const needle of ['the text of a record', 'the state of a snapshot']) {
    const folder = temporaryFolder(t)
    const first = openLmdbLog(folder)
    const snapshot = { seq: 3, state: 'the state of a snapshot' }
    await first.commit([
      { ...batch('chat/a', 0, 3, 'the text of a record'), snapshot: encodeLine(snapshot) },
      batch('chat/b', 0, 3),
    ])
    await first.close()
    flip(join(folder, 'log.mdb'), needle)

    const log = openIn(t, folder)
    const damaged: Promise<unknown> = needle === snapshot.state ? log.getSnapshot('chat/a') : log.read('chat/a', ALL)
    await t.rejects(damaged, DamagedLog)
    t.strictSame(await log.read('chat/b', ALL), records(1, 3), 'the other topic is well')
  }
})

/** What `read` makes of something damaged: an error's name, or what it took for good. */
function outcome(read: () => unknown): unknown {
  try {
    return read()
  } catch (error) {
    return (error as Error).name
  }
}

/** Records whose lines begin, between them, with every kind of digit that a checksum can have. */
const written = counted(1, 40).map((seq) => record(seq, `příliš 👩‍👧 "${seq}"`))

t.test('LOG-25 a line gives back what it was made of', async (t) => {
  for (const value of [...written, null, 0.1, 'a\nb', [], { a: { b: ['\u2028'] } }]) {
    const line = encodeLine(value)
    t.match(line, /^[0-9a-f]{8} /)
    t.notMatch(line, /\n/)
    t.strictSame(decodeLine(line), value)
  }
})

/** The digits of a line's checksum. */
const CHECKSUM = 8

t.test('LOG-26 every change of a single character of a line is caught', async (t) => {
  const taken: string[] = []
  for (const [i, line] of written.map(encodeLine).entries()) {
    for (const [at, unit] of line
      .slice(0, i < 4 ? line.length : CHECKSUM)
      .split('')
      .entries()) {
      const code = unit.charCodeAt(0)
      const others = [
        ' ',
        '0',
        'x',
        '-',
        '+',
        '\n',
        'é',
        String.fromCharCode(code ^ 1),
        String.fromCharCode(code ^ 0x20),
      ]
      for (const other of others.filter((other) => other !== unit)) {
        const damaged = line.slice(0, at) + other + line.slice(at + 1)
        if (outcome(() => decodeLine(damaged)) !== 'DamagedLog') taken.push(`${damaged.slice(0, 20)}...`)
      }
    }
  }
  t.strictSame(taken, [])
})

t.test('LOG-27 a line that lost, gained or swapped a character is caught', async (t) => {
  const line = encodeLine(record(1))
  const taken: string[] = []
  for (let at = 0; at < line.length; at++) {
    const damages = {
      'cut off': line.slice(0, at),
      lost: line.slice(0, at) + line.slice(at + 1),
      doubled: line.slice(0, at) + line[at] + line.slice(at),
      swapped: line.slice(0, at) + (line[at + 1] ?? '!') + line[at] + line.slice(at + 2),
    }
    for (const [damage, damaged] of Object.entries(damages)) {
      if (damaged !== line && outcome(() => decodeLine(damaged)) !== 'DamagedLog') taken.push(`${damage} at ${at}`)
    }
  }
  t.strictSame(taken, [])
  t.equal(
    outcome(() => decodeLine(`${line} `)),
    'DamagedLog',
  )
})

t.test('LOG-28 no flipped bit of a segment gives anything but the records that were written', async (t) => {
  const intact = written.slice(0, 3)
  const segment = encodeSegment(intact.map(encodeLine))
  const taken: string[] = []
  t.strictSame(decodeSegment(segment, 0), intact)
  for (let bit = 0; bit < segment.length * 8; bit++) {
    const damaged = Buffer.from(segment)
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const read = outcome(() => decodeSegment(damaged, 0))
    if (read !== 'DamagedLog' && !isDeepStrictEqual(read, intact)) taken.push(`bit ${bit & 7} of byte ${bit >> 3}`)
  }
  t.strictSame(taken, [])
})

t.test('LOG-29 a segment gives the records above a place, from wherever its bytes lie', async (t) => {
  const segment = encodeSegment(written.map(encodeLine))
  for (const after of [0, 1, 20, 39, 40, 99]) t.strictSame(decodeSegment(segment, after), written.slice(after))
  const within = Buffer.concat([Buffer.from('something else '), segment, Buffer.from(' and more')])
  t.strictSame(decodeSegment(within.subarray(15, 15 + segment.length), 0), written)
  t.strictSame(decodeSegment(Uint8Array.from(segment), 39), written.slice(39))
})

t.test('LOG-30 a segment that is empty, cut off or torn is caught', async (t) => {
  const segment = encodeSegment(written.map(encodeLine).slice(0, 3))
  const taken: number[] = []
  const ends = [...segment.toString('latin1').matchAll(/\n/g)].map(({ index }) => index)
  t.equal(ends.length, 2)
  for (let length = 0; length < segment.length; length++) {
    if (ends.includes(length)) continue
    if (outcome(() => decodeSegment(segment.subarray(0, length), 0)) !== 'DamagedLog') taken.push(length)
  }
  t.strictSame(taken, [], 'so many bytes of it')
  const zeros = Buffer.from(segment).fill(0, 100)
  t.equal(
    outcome(() => decodeSegment(zeros, 0)),
    'DamagedLog',
  )
})

t.test('LOG-31 a hole in the seqs is caught, and so is a record that comes twice or too early', async (t) => {
  const [one, two, three] = records(1, 3) as [LogRecord, LogRecord, LogRecord]
  t.strictSame(withoutHole([], 7), [])
  t.strictSame(withoutHole([one, two, three], 0), [one, two, three])
  t.strictSame(withoutHole([two, three], 1), [two, three])
  t.strictSame(withoutHole([two, three], 1, 2), [two, three], 'what is trimmed may be there')
  t.throws(() => withoutHole([one, three], 0, 2), DamagedLog, 'but then without a hole')
  t.throws(() => withoutHole([three], 0, 1), DamagedLog)
  for (const [found, after] of [
    [[one, three], 0],
    [[two, three], 0],
    [[one, one, two], 0],
    [[one, three, two], 0],
    [[one, two], 1],
    [[three], 1],
  ] as const) {
    t.throws(() => withoutHole([...found], after), DamagedLog, `${found.map(({ seq }) => seq)} after ${after}`)
  }
  t.throws(() => withoutHole([one, three], 0), { message: 'record 2 is missing, 3 is there' })
})

t.test('LOG-40 a log that is opened again knows what was trimmed, and trims on', async (t) => {
  const folder = temporaryFolder(t)
  for (let after = 0; after < 40; after += 10) {
    const log = openLmdbLog(folder)
    await log.commit([batch('chat/a', after, after + 5)])
    await log.commit([{ ...batch('chat/a', after + 5, after + 10), trim: after + 5 }])
    await log.close()
    const again = openLmdbLog(folder)
    t.strictSame(await seqs(again, 'chat/a'), counted(after + 6, after + 10))
    t.strictSame(await again.commit([batch('chat/a', 0, 1)]), [{ conflict: { actual: after + 10 } }])
    await again.close()
  }
})

/** Lets two keys of a table have each other's values. */
function swap<K extends string | Buffer>(table: Database<Buffer, K>, one: K, other: K): void {
  const values = [table.get(one), table.get(other)] as const
  assert(values[0] && values[1], 'both are there')
  table.putSync(one, Buffer.from(values[1]))
  table.putSync(other, Buffer.from(values[0]))
}

/** A log with the topics `chat/a` and `chat/b`, numbered 1 and 2, of two commits each, the same texts in both. */
async function twoTopics(t: Test): Promise<string> {
  const folder = temporaryFolder(t)
  const log = openLmdbLog(folder)
  for (const topic of ['chat/a', 'chat/b']) {
    await log.commit([{ ...batch(topic, 0, 3), snapshot: encodeLine({ seq: 3, state: 'a state' }) }])
    await log.commit([batch(topic, 3, 6)])
  }
  await log.close()
  return folder
}

t.test('LOG-49 a log that is opened again has its keyframes, and forgets them in their turn', async (t) => {
  const folder = temporaryFolder(t)
  for (let after = 0; after < 40; after += 10) {
    const log = openLmdbLog(folder)
    t.strictSame(await log.keyframes('chat/a'), after > 0 ? [...(after > 10 ? [after - 10] : []), after] : [])
    const snapshot = encodeLine({ seq: after + 10, state: after + 10 })
    await log.commit([{ ...batch('chat/a', after, after + 10), snapshot, keep: true, trim: after }])
    if (after > 0) t.strictSame(await log.getSnapshot('chat/a', after + 9), { seq: after, state: after })
    await log.close()
  }
})

t.test('LOG-41 a whole and sound value in the place of another is refused', async (t) => {
  const swaps: Record<string, (store: Store) => void> = {
    'a commit of another topic': ({ segments }) => swap(segments, segmentKey(1, 3), segmentKey(2, 3)),
    'another commit of the topic': ({ segments }) => swap(segments, segmentKey(1, 3), segmentKey(1, 6)),
    'the entry of another topic': ({ topics }) => swap(topics, 'chat/a', 'chat/b'),
  }
  for (const [what, change] of Object.entries(swaps)) {
    const folder = await twoTopics(t)
    await tamper(folder, change)
    await t.rejects(openIn(t, folder).read('chat/a', ALL), DamagedLog, what)
  }
  const folder = await twoTopics(t)
  await tamper(folder, ({ snapshots }) => swap(snapshots, topicKey(1), topicKey(2)))
  const log = openIn(t, folder)
  await t.rejects(log.getSnapshot('chat/a'), DamagedLog, 'the snapshot of another topic')
  t.strictSame(await log.read('chat/a', ALL), records(1, 6), 'the records are well')
})

t.test('LOG-42 a log of another format, or whose own marks are damaged, is not opened', async (t) => {
  const folder = await twoTopics(t)
  await tamper(folder, ({ meta }) => meta.putSync('format', sealMeta('format', '1')))
  t.throws(() => openLmdbLog(folder), { message: 'the log has the format 1, this version reads 3' })
  const other = await twoTopics(t)
  await tamper(other, ({ meta }) => swap(meta, 'format', 'epoch'))
  t.throws(() => openLmdbLog(other), DamagedLog)
  t.throws(() => openLmdbLogToRead(temporaryFolder(t)), { message: /holds no log$/ })
})

t.test('LOG-43 looking at everything finds each damage, by its topic where it is one topic’s', async (t) => {
  const gone = (seal: Buffer) => Buffer.concat([seal.subarray(0, 4), Buffer.from('nonsense')])
  const damages: [string, (store: Store) => void, (string | null)[], RegExp][] = [
    ['nothing', () => {}, [], /^$/],
    ['a commit is missing', ({ segments }) => segments.removeSync(segmentKey(2, 3)), ['chat/b'], /record 1 is missing/],
    [
      'a commit is spoiled',
      ({ segments }) => segments.putSync(segmentKey(1, 6), gone(segments.get(segmentKey(1, 6)) as Buffer)),
      ['chat/a'],
      /CRC32/,
    ],
    [
      'commits are swapped',
      ({ segments }) => swap(segments, segmentKey(1, 3), segmentKey(2, 3)),
      ['chat/a', 'chat/b'],
      /its place/,
    ],
    [
      'a snapshot is ahead of the records',
      ({ snapshots }) => snapshots.putSync(topicKey(2), sealedSnapshot('chat/b', 2, 7)),
      ['chat/b'],
      /its snapshot is at 7, its records go from 1 to 6/,
    ],
    [
      'a commit of no topic',
      ({ segments }) => segments.putSync(segmentKey(9, 1), Buffer.from('lost')),
      [null],
      /belongs to no topic \(number 9\)/,
    ],
    [
      'a snapshot of no topic',
      ({ snapshots }) => snapshots.putSync(topicKey(9), Buffer.from('lost')),
      [null],
      /belongs to no topic/,
    ],
    [
      'two topics of one number',
      ({ topics }) => topics.putSync('chat/c', sealEntry('chat/c', { id: 2, trimmed: 0, wake: null })),
      ['chat/c'],
      /its number is that of chat\/b as well/,
    ],
    [
      'a keyframe in the place of another',
      ({ snapshots }) => snapshots.putSync(segmentKey(2, 3), sealedSnapshot('chat/b', 2, 4, segmentKey(2, 3))),
      ['chat/b'],
      /its keyframe of 3 is at 4/,
    ],
    [
      'a keyframe of no topic',
      ({ snapshots }) => snapshots.putSync(segmentKey(9, 3), Buffer.from('lost')),
      [null],
      /belongs to no topic/,
    ],
    ['no epoch', ({ meta }) => meta.removeSync('epoch'), [null], /epoch is missing/],
  ]
  for (const [what, change, topics, why] of damages) {
    const folder = await twoTopics(t)
    await tamper(folder, change)
    const store = openStore(folder, { readOnly: true })
    const found = [...verify(store)].filter((damage) => damage !== undefined)
    t.strictSame([...new Set(found.map(({ topic }) => topic))], topics, what)
    for (const damage of found) t.match(damage.why, why, what)
    await store.root.close()
  }
})

t.test('LOG-50 damage of a keyframe is told as one of the past alone, and what stands elsewhere is not', async (t) => {
  const folder = temporaryFolder(t)
  const log = openLmdbLog(folder)
  for (let after = 0; after < 30; after += 10) {
    const snapshot = encodeLine({ seq: after + 10, state: `state ${after + 10}` })
    await log.commit([{ ...batch('chat/a', after, after + 10), snapshot, keep: true }])
  }
  await log.close()
  flip(join(folder, 'log.mdb'), 'state 20')
  const store = openStore(folder, { readOnly: true })
  const found = [...verify(store)].filter((damage) => damage !== undefined)
  t.match(found, [{ topic: 'chat/a', isPast: true, why: /CRC32/ }])
  t.equal(found.length, 1)
  await store.root.close()
  const again = openIn(t, folder)
  await t.rejects(again.getSnapshot('chat/a', 25), DamagedLog)
  t.strictSame(await again.getSnapshot('chat/a'), { seq: 30, state: 'state 30' })
  t.strictSame(await again.getSnapshot('chat/a', 19), { seq: 10, state: 'state 10' })
  t.strictSame(await again.keyframes('chat/a'), [10, 20, 30])
  t.strictSame(await again.commit([batch('chat/a', 30, 31)]), [{ last: 31 }])
})

function sealedSnapshot(topic: string, id: number, seq: number, key = topicKey(id)): Buffer {
  return seal(place(topic, key), Buffer.from(encodeLine({ seq, state: null })))
}

t.test('LOG-44 a reader that was killed does not let the file grow for ever', async (t) => {
  const folder = temporaryFolder(t)
  const log = openIn(t, folder)
  let last = 0
  /** Bytes by which 100 commits, each of which trims what one wrote before, let the file grow. */
  const growth = async (): Promise<number> => {
    const before = statSync(join(folder, 'log.mdb')).size
    for (let i = 0; i < 100; i++, last += 10) {
      await log.commit([{ ...batch('chat/a', last, last + 10), trim: Math.max(0, last - 100) }])
    }
    return statSync(join(folder, 'log.mdb')).size - before
  }
  await growth()
  t.equal(await growth(), 0, 'without a reader it does not grow')
  await killReader(folder)
  const growths: number[] = []
  while (growths.at(-1) !== 0 && growths.length < 60) growths.push(await growth())
  t.equal(growths.at(-1), 0, `and not for good: ${growths}`)
})

/** Lets another process read, and kills it. */
async function killReader(folder: string): Promise<void> {
  const args = ['--import', 'tsx', join(ROOT, 'test/fixtures/log-reader.ts'), folder]
  const reader = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  await once(reader.stdout, 'data')
  reader.kill('SIGKILL')
  await once(reader, 'exit')
}
