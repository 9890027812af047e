/** The judge of the tortures: it blames each of these bad histories in the right words, and never an honest server. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { FATES, HonestInbox, HonestRoom } from './fixtures/honest.ts'
import { check } from './torture/history.ts'
import type { Observation, Place } from './torture/observation.ts'

const ROOM = 'room chat/a'
const INBOX = 'inbox ann'

/** Two senders, a kill, a send that is repeated, a reader that was there from the start: all as promised. */
function goodRoom(): Observation[] {
  const room = new HonestRoom([], ROOM)
  room.read('cat')
  room.send('ann', 'answered')
  room.send('bob', 'answered')
  room.send('ann', 'lost after')
  room.restart()
  room.read('cat')
  room.send('bob', 'answered')
  room.read('cat')
  room.readBack()
  return room.history
}

/** Three messages for an absent user, who takes two, loses the connection, and takes the third. */
function goodInbox(): Observation[] {
  const inbox = new HonestInbox([], INBOX)
  for (const priority of ['normal', 'normal', 'high'] as const) inbox.send('bob', 'answered', priority)
  inbox.dial()
  inbox.ack(0, true)
  inbox.restart()
  inbox.dial()
  inbox.ack(0, true)
  inbox.ack(0, true)
  inbox.readBack()
  return inbox.history
}

type Change = (observation: Observation, at: number) => Observation | Observation[]

/** A history with each observation as `change` leaves it: itself, another, several or none. */
const planted = (history: Observation[], change: Change): Observation[] => history.flatMap(change)

/** Changes what is read back in the end. */
type Records = Extract<Observation, { type: 'read back' }>['records']
const stored = (change: (records: Records) => Records): Observation[] =>
  planted(goodRoom(), (seen) => (seen.type === 'read back' ? { ...seen, records: change(seen.records) } : seen))

/** Changes the one observation of a type that fits. */
function changed<T extends Observation['type']>(
  history: Observation[],
  type: T,
  fits: Partial<Extract<Observation, { type: T }>>,
  change: object,
): Observation[] {
  const isIt = (seen: Observation): boolean =>
    seen.type === type && Object.entries(fits).every(([name, value]) => seen[name as keyof typeof seen] === value)
  assert.equal(history.filter(isIt).length, 1, `one ${type} fits ${JSON.stringify(fits)}`)
  return planted(history, (seen) => (isIt(seen) ? ({ ...seen, ...change } as Observation) : seen))
}

const without = (history: Observation[], fits: (seen: Observation) => boolean): Observation[] =>
  planted(history, (seen) => (fits(seen) ? [] : seen))

/** `seen`, and then the history's own end, the reading back. */
const beforeTheEnd = (history: Observation[], ...seen: Observation[]): Observation[] => [
  ...history.slice(0, -1),
  ...seen,
  ...history.slice(-1),
]

const delivered = (reader: string, seq: number, id: string, from: string): Observation => ({
  type: 'delivered',
  reader,
  place: ROOM,
  seq,
  id,
  from,
})

const BAD_ROOMS: [planted: string, history: Observation[], violations: string[]][] = [
  [
    'an acknowledged record is lost',
    without(
      stored((records) => records.slice(0, 3)),
      (seen) => seen.type === 'delivered' && seen.seq === 4,
    ),
    ['bob-2 was acknowledged at 4, and is lost'],
  ],
  [
    'a record stands twice',
    stored((records) => [...records, { seq: 5, id: 'ann-1', from: 'ann' }]),
    ['ann-1 stands at 1 and at 5'],
  ],
  [
    'an acknowledged record stands elsewhere',
    changed(goodRoom(), 'acknowledged', { client: 'bob', seq: 4 }, { seq: 9 }),
    ['bob-2 was acknowledged at 9, and stands at 4'],
  ],
  [
    'one seq for two records',
    changed(goodRoom(), 'acknowledged', { client: 'bob', seq: 2 }, { seq: 1 }),
    ['seq 1 was given to ann-1 and to bob-1', 'bob-1 was acknowledged at 1, and stands at 2'],
  ],
  ['a hole in the seqs', stored((records) => [...records, { seq: 6 }]), ['seq 4 is followed by 6']],
  [
    'two of one sender are stored the other way round',
    without(
      changed(
        changed(
          stored((records) =>
            records.map((record) =>
              record.seq % 2 === 1 ? { ...record, id: `ann-${record.seq === 1 ? 2 : 1}` } : record,
            ),
          ),
          'acknowledged',
          { client: 'ann', seq: 1 },
          { seq: 3 },
        ),
        'acknowledged',
        { client: 'ann', dup: true },
        { seq: 1 },
      ),
      ({ type }) => type === 'delivered',
    ),
    ['ann sent ann-1 before ann-2, but they are at 3 and 1'],
  ],
  [
    'two readers see another order',
    beforeTheEnd(goodRoom(), delivered('dan', 2, 'ann-2', 'ann')),
    ['at 2 cat saw bob-1, and dan saw ann-2', 'dan saw ann-2 at 2, where the log has bob-1'],
  ],
  [
    'something is delivered that is not stored',
    beforeTheEnd(goodRoom(), delivered('cat', 5, 'bob-3', 'bob')),
    ['cat saw bob-3 at 5, where the log has nothing of it'],
  ],
  [
    'a reader misses a record',
    without(goodRoom(), (seen) => seen.type === 'delivered' && seen.seq === 2),
    ['cat was owed seq 2, and was given 3 (ann-2)'],
  ],
  [
    'a reader is given a record twice',
    beforeTheEnd(goodRoom(), delivered('cat', 4, 'bob-2', 'bob')),
    ['cat was owed seq 5, and was given 4 (bob-2)'],
  ],
  [
    'a record that nobody sent',
    stored((records) => [...records, { seq: 5, id: 'eve-1', from: 'eve' }]),
    ['eve-1 stands at 5, and nobody sent it'],
  ],
  [
    'a record in another’s name',
    stored((records) => records.map((record) => (record.seq === 4 ? { ...record, from: 'ann' } : record))),
    ['bob-2 at 4 is from bob, but is told as from ann', 'cat saw bob-2 at 4 from bob, where the log says ann'],
  ],
  [
    'a record that was refused',
    beforeTheEnd(
      stored((records) => [...records, { seq: 5, id: 'ann-3', from: 'ann' }]),
      { type: 'invoked', place: ROOM, client: 'ann', key: 'k3', n: 3, id: 'ann-3' },
      { type: 'refused', place: ROOM, client: 'ann', key: 'k3', code: 'forbidden' },
    ),
    ['ann-3 stands at 5, though it was refused'],
  ],
  [
    'a dup that is answered with another seq',
    beforeTheEnd(goodRoom(), { type: 'acknowledged', place: ROOM, client: 'ann', key: 'k1', seq: 4, dup: true }),
    ['ann-1 was answered with seq 1, then with seq 4 (in lives 1 and 2 of the server)'],
  ],
  [
    'a repetition that is no dup',
    beforeTheEnd(goodRoom(), { type: 'acknowledged', place: ROOM, client: 'bob', key: 'k2', seq: 4 }),
    ['bob-2 was answered again, and not as dup'],
  ],
  [
    'an answer that nobody asked for',
    beforeTheEnd(goodRoom(), { type: 'acknowledged', place: ROOM, client: 'bob', key: 'k9', seq: 5 }),
    ['bob has key k9 acknowledged, which it never sent'],
  ],
  [
    'another epoch after a restart',
    beforeTheEnd(goodRoom(), { type: 'epoch', place: ROOM, epoch: 'e2' }),
    ['the epoch was e1 in life 1, and is e2 in life 2'],
  ],
  ['a room that was never read back', goodRoom().slice(0, -1), ['was never read back']],
]

const again = (change: object): Observation =>
  ({
    type: 'message',
    reader: 'owner',
    place: INBOX,
    seq: 1,
    id: 'bob-1',
    from: 'bob',
    priority: 'normal',
    attempt: 3,
    ...change,
  }) as Observation

const dialled: Observation = { type: 'dialled', reader: 'owner', place: INBOX }

/** The first round's three messages, in the order of `seqs`. */
function firstRound(seqs: number[]): Observation[] {
  const history = goodInbox()
  const from = history.findIndex(({ type }) => type === 'message')
  const round = history.slice(from, from + 3)
  const ordered = seqs.map((seq) => round.find((seen) => seen.type === 'message' && seen.seq === seq) as Observation)
  return [...history.slice(0, from), ...ordered, ...history.slice(from + 3)]
}

const BAD_INBOXES: [planted: string, history: Observation[], violations: string[]][] = [
  [
    'an acknowledged message is never delivered',
    without(goodInbox(), (seen) => 'seq' in seen && seen.seq === 3 && seen.type !== 'acknowledged'),
    ['bob-3 was acknowledged at 3, and never delivered'],
  ],
  [
    'a message is gone that nobody acked',
    without(goodInbox(), (seen) => (seen.type === 'acking' || seen.type === 'settled') && seen.seq === 3),
    ['bob-3 at 3 was never acked, and is gone'],
  ],
  [
    'a settled message is still there',
    planted(goodInbox(), (seen) =>
      seen.type === 'read back' ? { ...seen, records: [{ seq: 2, id: 'bob-2', from: 'bob' }] } : seen,
    ),
    ['bob-2 at 2 was settled, and is there in the end'],
  ],
  [
    'a settled message comes again',
    beforeTheEnd(goodInbox(), dialled, again({})),
    ['bob-1 at 1 was settled by owner, and came again to owner'],
  ],
  [
    'normal before high',
    firstRound([1, 2, 3]),
    ['owner was given the normal bob-2 before the high bob-3, which was due'],
  ],
  ['second before first', firstRound([3, 2, 1]), ['owner was given bob-2 at 2 before bob-1 at 1']],
  [
    'the attempt does not grow',
    changed(goodInbox(), 'message', { seq: 2, attempt: 2 }, { attempt: 1 }),
    ['bob-2 at 2 came again with attempt 1, after attempt 1'],
  ],
  [
    'twice in one round',
    planted(goodInbox(), (seen) =>
      seen.type === 'message' && seen.seq === 2 && seen.attempt === 2 ? [seen, seen] : seen,
    ),
    ['bob-2 at 2 was given to owner twice in one round'],
  ],
  [
    'a message that nobody sent',
    beforeTheEnd(goodInbox(), again({ seq: 4, id: 'eve-1', from: 'eve', attempt: 1 })),
    ['eve-1 was delivered at 4, and nobody sent it'],
  ],
  [
    'a message at another seq',
    beforeTheEnd(goodInbox(), dialled, again({ seq: 5 })),
    ['bob-1 has seq 1, and was delivered at 5'],
  ],
  [
    'another message at a known seq',
    beforeTheEnd(
      goodInbox(),
      { type: 'invoked', place: INBOX, client: 'bob', key: 'k4', n: 4, id: 'bob-4', priority: 'normal' },
      dialled,
      again({ seq: 3, id: 'bob-4' }),
    ),
    ['seq 3 is of bob-3, and was delivered with bob-4', 'bob-4 at 3 was settled by owner, and came again to owner'],
  ],
  [
    'a message that was refused',
    beforeTheEnd(
      goodInbox(),
      { type: 'invoked', place: INBOX, client: 'bob', key: 'k4', n: 4, id: 'bob-4', priority: 'normal' },
      { type: 'refused', place: INBOX, client: 'bob', key: 'k4', code: 'inbox_full' },
      again({ seq: 4, id: 'bob-4', attempt: 1 }),
    ),
    ['bob-4 was delivered at 4, though it was refused'],
  ],
  [
    'a message of another priority',
    changed(goodInbox(), 'message', { seq: 2, attempt: 2 }, { priority: 'high' }),
    ['bob-2 was sent as normal, and delivered as high', 'owner was given bob-3 at 3 before bob-2 at 2'],
  ],
  [
    'a repetition that is answered with another seq',
    beforeTheEnd(goodInbox(), { type: 'acknowledged', place: INBOX, client: 'bob', key: 'k1', seq: 4, dup: true }),
    ['bob-1 was answered with seq 1, then with seq 4 (in lives 1 and 2 of the server)'],
  ],
  [
    'two of one sender are numbered the other way round',
    beforeTheEnd(
      goodInbox(),
      { type: 'invoked', place: INBOX, client: 'bob', key: 'k5', n: 5, id: 'bob-5', priority: 'high' },
      { type: 'invoked', place: INBOX, client: 'bob', key: 'k4', n: 4, id: 'bob-4', priority: 'normal' },
      again({ seq: 4, id: 'bob-5', priority: 'high', attempt: 1 }),
      again({ seq: 5, id: 'bob-4', attempt: 1 }),
    ),
    ['bob sent bob-4 before bob-5, but they are at 5 and 4'],
  ],
  ['an inbox that was never read back', goodInbox().slice(0, -1), ['was never read back']],
  [
    'a message in another’s name',
    changed(goodInbox(), 'message', { seq: 2, attempt: 1 }, { from: 'eve' }),
    ['bob-2 is from bob, but was told as from eve'],
  ],
]

const prefixed = (place: Place, violations: string[]): string[] => violations.map((one) => `${place}: ${one}`)

t.test('L1 L2 S1 a good history of a room has no violation, and each of these bad ones its own', async (t) => {
  t.strictSame(check(goodRoom()), [])
  for (const [what, history, violations] of BAD_ROOMS) t.strictSame(check(history), prefixed(ROOM, violations), what)
})

t.test('Q1 a good history of an inbox has no violation, and each of these bad ones its own', async (t) => {
  t.strictSame(check(goodInbox()), [])
  for (const [what, history, violations] of BAD_INBOXES) t.strictSame(check(history), prefixed(INBOX, violations), what)
})

const neverBlamed = (history: Observation[]): void => assert.deepEqual(check(history), [])

const clients = fc.constantFrom('ann', 'bob', 'cat')
const readers = fc.constantFrom('dan', 'eve')
const some = fc.nat(1000)
const fates = fc.constantFrom(...FATES, 'answered' as const, 'answered' as const)

t.test('L1 L2 an honest room is never blamed, whatever its clients do', async (t) => {
  const step = fc.oneof(
    fc.tuple(clients, fates).map(
      ([client, fate]) =>
        (room: HonestRoom) =>
          room.send(client, fate),
    ),
    some.map((which) => (room: HonestRoom) => room.repeat(which)),
    readers.map((reader) => (room: HonestRoom) => room.read(reader)),
    readers.map((reader) => (room: HonestRoom) => room.forget(reader)),
    fc.constant((room: HonestRoom) => room.restart()),
  )
  const honest = fc.array(step, { maxLength: 80 }).map((steps) => {
    const room = new HonestRoom([], ROOM)
    for (const take of steps) take(room)
    room.askAgain()
    room.readBack()
    return room.history
  })
  t.doesNotThrow(() => fc.assert(fc.property(honest, neverBlamed), { numRuns: 500 }))
})

t.test('Q1 an honest inbox is never blamed, whatever its clients do', async (t) => {
  const priorities = fc.constantFrom('high' as const, 'normal' as const)
  const step = fc.oneof(
    fc.tuple(clients, fates, priorities).map(([client, fate, priority]) => (inbox: HonestInbox) => {
      inbox.send(client, fate, priority)
    }),
    some.map((which) => (inbox: HonestInbox) => inbox.repeat(which)),
    fc.tuple(some, fc.boolean()).map(
      ([which, isTold]) =>
        (inbox: HonestInbox) =>
          inbox.ack(which, isTold),
    ),
    some.map((which) => (inbox: HonestInbox) => inbox.nack(which)),
    fc.constant((inbox: HonestInbox) => inbox.dial()),
    fc.constant((inbox: HonestInbox) => inbox.restart()),
  )
  const honest = fc.array(step, { maxLength: 80 }).map((steps) => {
    const inbox = new HonestInbox([], INBOX)
    for (const take of steps) take(inbox)
    inbox.askAgain()
    inbox.readBack()
    return inbox.history
  })
  t.doesNotThrow(() => fc.assert(fc.property(honest, neverBlamed), { numRuns: 500 }))
})
