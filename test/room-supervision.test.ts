/** What becomes of a room whose machine throws: dead letters, failure, revival, and code that holds up the server. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { Failures, intensities } from '../src/intensity.ts'
import { Rooms } from '../src/room/rooms.ts'
import { around, holdNextCommit, serverHere } from './fixtures/here.ts'
import { ROOT, type ServerProcess, startServer } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

const env = { CHARTROOM_MACHINES: `${ROOT}/test/fixtures/machines` }

const send = (room: string, type: string, fields: object = {}): Frame => ({
  type: 'send',
  room: `unruly/${room}`,
  event: { type, ...fields },
})

/** What the API says of one room. */
class Operator {
  readonly #service: Service
  readonly #path: string

  constructor(service: Service, room: string) {
    this.#service = service
    this.#path = `/v1/rooms/unruly/${room}`
  }

  async letters(query = ''): Promise<Frame> {
    return this.#service.get(`${this.#path}/dead-letters${query}`) as Promise<Frame>
  }

  async numbers(): Promise<number[]> {
    return (await this.letters()).letters.map(({ seq }: { seq: number }) => seq)
  }

  letter(seq: number): Promise<Frame> {
    return this.#service.get(`${this.#path}/dead-letters/${seq}`)
  }

  replay(seq: number): Promise<Frame> {
    return this.#service.post(`${this.#path}/dead-letters`, { seq })
  }

  delete(seq: number): Promise<Frame> {
    return this.#service.delete(`${this.#path}/dead-letters/${seq}`)
  }

  revive(): Promise<Frame> {
    return this.#service.post(`${this.#path}/revive`, {})
  }

  send(type: string): Promise<Frame> {
    return this.#service.post(`${this.#path}/events`, { event: { type } })
  }
}

async function here(server: ServerProcess, room: string): Promise<[ann: Tab, bob: Tab, operator: Operator]> {
  const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
  return [ann, bob, new Operator(await Service.of(server), room)]
}

/** Lets the machine of a room throw so many times, one after the other. */
async function fail(tab: Tab, room: string, times: number): Promise<Frame[]> {
  const answers: Frame[] = []
  for (let i = 0; i < times; i++) answers.push(await tab.ask(send(room, 'count')))
  return answers
}

const codes = (frames: Frame[]): string[] => frames.map(({ code, type }) => code ?? type)

t.test('rooms whose machine throws', async (t) => {
  const server = await startServer(t, { env })

  t.test(
    'ROOM-1 L5 a dead letter holds the event, who sent it, what was thrown, and the state before it',
    async (t) => {
      const [ann, bob, operator] = await here(server, 'letter')
      await ann.ask(send('letter', 'count'))
      await ann.ask(send('letter', 'break'))
      t.match(await bob.ask({ ...send('letter', 'count', { note: 7 }), key: 'k' }), { code: 'event_failed' })
      const { state, ...shown } = await operator.letter(1)
      const error = { name: 'Error', message: /the guard is broken/ }
      const letter = { seq: 1, base: 3, event: { type: 'count', note: 7 }, from: 'bob', key: 'k', error, time: Number }
      t.match(shown, { type: 'dead-letter', room: 'unruly/letter', ...letter })
      t.match(state, {
        value: 'idle',
        context: { isBroken: true, count: 1, by: ['ann'] },
        status: 'active',
        version: '1',
      })
      const listed = await operator.letters()
      t.match(listed, { type: 'dead-letters', room: 'unruly/letter', letters: [letter], more: false })
      t.notOk('state' in listed.letters[0], 'the list has no states')
      t.match(await ann.ask({ type: 'get', room: 'unruly/letter' }), { seq: 3 }, 'it took no seq')
    },
  )

  t.test('ROOM-1 an event that throws in an unborn room has a letter without a state', async (t) => {
    const [, bob, operator] = await here(server, 'unborn')
    t.match(await bob.ask(send('unborn', 'fill', { size: -1 })), { code: 'event_failed' })
    t.match(await operator.letter(1), { base: 0, state: null, from: 'bob' })
  })

  t.test('ROOM-1 what is thrown need not be an error, nor have words', async (t) => {
    const [ann, , operator] = await here(server, 'strange')
    t.match(await ann.ask(send('strange', 'strange')), { code: 'event_failed' })
    t.match(await operator.letter(1), { error: { name: 'object', message: /no words/ } })
  })

  t.test('ROOM-1 a state of more than 256 KB is left out of its letter', async (t) => {
    const [ann, , operator] = await here(server, 'large')
    await ann.ask(send('large', 'fill', { size: 300_000 }))
    await ann.ask(send('large', 'break'))
    t.match(await ann.ask(send('large', 'count')), { code: 'event_failed' })
    const letter = await operator.letter(1)
    t.match(letter, { seq: 1, base: 3 })
    t.notOk('state' in letter)
  })

  t.test('ROOM-1 letters come in pages, and are removed for good', async (t) => {
    const [ann, , operator] = await here(server, 'pages')
    await ann.ask(send('pages', 'break'))
    await fail(ann, 'pages', 3)
    t.match(await operator.letters('?limit=2'), { letters: [{ seq: 1 }, { seq: 2 }], more: true })
    t.match(await operator.letters('?since=2&limit=2'), { letters: [{ seq: 3 }], more: false })
    t.same(await operator.delete(2), { type: 'ok' })
    t.match(await operator.delete(2), { code: 'unknown_seq' })
    t.match(await operator.letter(2), { code: 'unknown_seq' })
    t.same(await operator.numbers(), [1, 3])
  })

  t.test('ROOM-2 a letter that is replayed while the machine still throws stays the only one', async (t) => {
    const [ann, bob, operator] = await here(server, 'again')
    await ann.ask(send('again', 'break'))
    await fail(bob, 'again', 1)
    t.match(await operator.replay(1), { code: 'event_failed' })
    t.same(await operator.numbers(), [1])
    await ann.ask(send('again', 'mend'))
    const [first, second] = await Promise.all([operator.replay(1), operator.replay(1)])
    t.same([first, second].map(({ type }) => type).sort(), ['error', 'ok'], 'it is replayed once')
    t.match(await ann.ask({ type: 'get', room: 'unruly/again' }), { state: { context: { by: ['bob'] } } })
    t.match(await operator.replay(9), { code: 'unknown_seq' })
  })

  t.test('ROOM-3 four failures leave a room as it is, the fifth makes it failed, told to its tabs', async (t) => {
    const [ann, bob, operator] = await here(server, 'five')
    await bob.join('unruly/five')
    await ann.ask(send('five', 'break'))
    t.same(codes(await fail(ann, 'five', 4)), Array(4).fill('event_failed'))
    t.match(await ann.ask(send('five', 'mend')), { type: 'ok' }, 'four are none too many')
    await ann.ask(send('five', 'break'))
    t.same(codes(await fail(ann, 'five', 1)), ['event_failed'])
    t.match(await bob.next('error'), { code: 'room_failed', room: 'unruly/five', retry: true })
    t.match(await bob.ask({ type: 'status' }), { rooms: [] }, 'nobody is in it')
    for (const frame of [
      send('five', 'mend'),
      ...['join', 'get', 'history'].map((type) => ({ type, room: 'unruly/five' })),
    ])
      t.match(await bob.ask(frame), { code: 'room_failed', message: /5 times within 30 s/ }, frame.type)
    t.match(await operator.send('mend'), { code: 'room_failed' })
    t.match(await operator.replay(1), { code: 'room_failed' })
    t.same(await operator.numbers(), [1, 2, 3, 4, 5], 'its letters can be read')
    t.equal(await server.metric('chartroom_rooms_failed'), 1)
    const lines = server.stderr.split('\n').filter((line) => line.includes('a room failed'))
    t.match(
      lines.map((line) => JSON.parse(line)),
      [{ level: 50, room: 'unruly/five', file: /unruly\.ts$/ }],
    )

    t.match(await ann.ask(send('neighbour', 'count')), { type: 'ok' }, 'another room of the machine goes on')
    t.match(await ann.post('hello', 'chat/neighbour'), { type: 'error' }, 'no such machine here')

    t.same(await operator.revive(), { type: 'ok', room: 'unruly/five', revived: true })
    t.match(await operator.revive(), { type: 'ok', revived: false }, 'once')
    t.match(await bob.ask(send('five', 'mend')), { type: 'ok' })
    t.match(await operator.replay(5), { type: 'ok' })
    t.match(await bob.ask({ type: 'get', room: 'unruly/five' }), { state: { context: { by: ['ann'] } } })
    t.equal(await server.metric('chartroom_rooms_failed'), 0)
    await ann.ask(send('five', 'break'))
    t.same(codes(await fail(ann, 'five', 4)), Array(4).fill('event_failed'), 'it begins to count anew')
  })

  t.test('ROOM-3 in one burst the fifth failure is the last that is decided; all are answered, in order', async (t) => {
    const [ann] = await here(server, 'burst')
    await ann.ask(send('burst', 'break'))
    ann.burst(Array.from({ length: 9 }, (_, id) => ({ ...send('burst', 'count'), id })))
    await ann.next(({ id }) => id === 8)
    const answers = ann.frames.filter(({ id }) => typeof id === 'number')
    t.same(
      answers.map(({ id }) => id),
      [0, 1, 2, 3, 4, 5, 6, 7, 8],
    )
    t.same(codes(answers), [...Array(5).fill('event_failed'), ...Array(4).fill('room_failed')])
  })

  t.test('ROOM-4 L5 what effects throw counts too; their records and their ok stand', async (t) => {
    const [ann, , operator] = await here(server, 'effects')
    await ann.ask(send('effects', 'break'))
    await fail(ann, 'effects', 2)
    for (const type of ['effect', 'later']) t.match(await ann.ask(send('effects', type)), { type: 'ok' }, type)
    t.match(await ann.ask(send('effects', 'effect')), { type: 'ok', seq: 5 }, 'the fifth is told ok as well')
    await ann.until(async () => (await ann.ask({ type: 'get', room: 'unruly/effects' })).code === 'room_failed')
    await operator.revive()
    t.match(await ann.ask({ type: 'get', room: 'unruly/effects' }), { seq: 5 })
    t.same(await operator.numbers(), [1, 2], 'an effect has no letter')
  })

  t.test('ROOM-5 the work of a room that fails stops, and begins again when it is revived', async (t) => {
    const [ann, , operator] = await here(server, 'work')
    await ann.ask(send('work', 'break'))
    await ann.ask(send('work', 'work'))
    t.ok(await server.said(/work began/))
    t.notMatch(server.stderr, /work stopped/)
    await fail(ann, 'work', 5)
    t.ok(await server.said(/work stopped/))
    await operator.revive()
    t.ok(await server.said(/work began[\s\S]*work began/))
  })

  t.test('ROOM-6 S8 whoever was in it when it failed has left once it is revived', async (t) => {
    const [ann, bob, operator] = await here(server, 'presence')
    await bob.join('unruly/presence')
    await ann.ask(send('presence', 'break'))
    await fail(ann, 'presence', 5)
    await bob.next('error')
    await operator.revive()
    await ann.until(async () => {
      const { events } = await ann.ask({ type: 'history', room: 'unruly/presence' })
      return events.at(-1).event.type === 'room.left' && events.at(-1).event.user === 'bob'
    })
    t.match(await bob.join('unruly/presence'), { recovered: false })
  })

  t.test('ROOM-7 a synchronous block over 1 s is told to the operator, with the file of the machine', async (t) => {
    const [ann] = await here(server, 'block')
    const told = async (doing: string) => {
      const pattern = new RegExp(`"doing":"${doing}"[^\n]*held up`)
      const line = (await server.said(pattern)).split('\n').find((line) => pattern.test(line)) as string
      const { ms, ...rest } = JSON.parse(line)
      t.match(rest, { level: 40, room: 'unruly/block', file: /unruly\.ts$/ }, doing)
      t.ok(ms >= 1000, `${ms} ms`)
    }
    t.match(await ann.ask(send('block', 'block', { ms: 10 })), { type: 'ok' })
    t.notMatch(server.stderr, /held up/, 'a short one is nobody’s business')
    t.match(await ann.ask(send('block', 'block', { ms: 1010 })), { type: 'ok' })
    await told('deciding')
    t.match(await ann.ask(send('block', 'block.effect', { ms: 1010 })), { type: 'ok' })
    await told('acting')
  })
})

t.test('ROOM-2 a letter survives kill -9; replayed, it is from who sent it, and its key is theirs', async (t) => {
  const server = await startServer(t, { env })
  const [ann, bob] = await here(server, 'kill')
  await ann.ask(send('kill', 'break'))
  t.match(await bob.ask({ ...send('kill', 'count'), key: 'k' }), { code: 'event_failed' })
  await server.crashAndRestart()
  const [again, bobAgain, operator] = await here(server, 'kill')
  t.same(await operator.numbers(), [1])
  await again.ask(send('kill', 'mend'))
  t.same(await operator.replay(1), { type: 'ok', room: 'unruly/kill', seq: 4 })
  await server.crashAndRestart()
  const [last, bobLast, operatorLast] = await here(server, 'kill')
  t.same(await operatorLast.numbers(), [], 'what is done with does not come back')
  t.match(await last.ask({ type: 'get', room: 'unruly/kill' }), { seq: 4, state: { context: { by: ['bob'] } } })
  t.match(await bobLast.ask({ ...send('kill', 'count'), key: 'k' }), { type: 'ok', seq: 4, dup: true })
  t.ok(bobAgain.closed)
})

t.test('ROOM-5 S6 a delay that throws stands as a record, has a letter, and can be replayed', async (t) => {
  const server = await startServer(t, { env })
  const [ann, , operator] = await here(server, 'delay')
  await ann.ask(send('delay', 'break'))
  await ann.ask(send('delay', 'arm', { ms: 30 }))
  await ann.until(async () => (await operator.numbers()).length === 1)
  t.match(await operator.letter(1), {
    from: null,
    base: 3,
    event: { type: /^xstate\.after/ },
    state: { value: 'armed' },
  })
  t.match(await ann.ask({ type: 'get', room: 'unruly/delay' }), { seq: 4, state: { value: 'armed', timers: [] } })
  await ann.ask(send('delay', 'mend'))
  t.match(await operator.replay(1), { type: 'ok', seq: 6 })
  t.match(await ann.ask({ type: 'get', room: 'unruly/delay' }), {
    seq: 6,
    state: { value: 'idle', context: { fired: 1 } },
  })
  t.same(await operator.numbers(), [])
})

t.test('ROOM-5 S9 a failed room sleeps and wakes as a failed one, and its delay waits for the revival', async (t) => {
  const server = await startServer(t, { env })
  const [ann, , operator] = await here(server, 'asleep')
  await ann.ask(send('asleep', 'arm', { ms: 300 }))
  await ann.ask(send('asleep', 'break'))
  await fail(ann, 'asleep', 5)
  await ann.ask(send('other', 'arm', { ms: 600 }))
  await ann.until(async () => (await ann.ask({ type: 'get', room: 'unruly/other' })).state.context.fired === 1)
  for (let nights = 0; nights < 2; nights++) {
    await ann.until(async () => (await server.metric('chartroom_rooms')) === 0)
    t.equal(await server.metric('chartroom_rooms_failed'), 1)
    t.match(await ann.ask({ type: 'get', room: 'unruly/asleep' }), { code: 'room_failed', message: /5 times within/ })
    t.same(await operator.numbers(), [1, 2, 3, 4, 5])
  }
  t.match(await operator.revive(), { type: 'ok', revived: true })
  await ann.ask(send('asleep', 'mend'))
  await ann.until(async () => (await ann.ask({ type: 'get', room: 'unruly/asleep' })).seq >= 5)
  const { events } = await ann.ask({ type: 'history', room: 'unruly/asleep' })
  t.match(events.map(({ event }: Frame) => event.type).sort(), [
    'arm',
    'break',
    'mend',
    'room.created',
    /^xstate\.after/,
  ])
})

t.test('ROOM-5 a failed room that wakes begins no work; one that is revived does', async (t) => {
  const server = await startServer(t, { env })
  const [ann, , operator] = await here(server, 'works')
  await ann.ask(send('works', 'work'))
  await ann.ask(send('works', 'break'))
  await fail(ann, 'works', 5)
  await server.said(/work stopped/)
  await ann.until(async () => (await server.metric('chartroom_rooms')) === 0)
  t.match(await ann.ask(send('works', 'mend')), { code: 'room_failed' })
  await ann.until(async () => (await server.metric('chartroom_rooms')) === 0)
  t.equal(server.stderr.match(/work began/g)?.length, 1)
  t.match(await operator.revive(), { type: 'ok', revived: true })
  await server.said(/work began[\s\S]*work began/)
  t.match(await ann.ask(send('works', 'mend')), { type: 'ok' })
})

t.test('ROOM-5 the alarm wakes other rooms, and leaves alone one that failed', async (t) => {
  const woken: string[] = []
  around(t, Rooms.prototype, 'wake', (_self, [name], whole) => {
    woken.push(name as string)
    return whole()
  })
  const server = await serverHere(t, env)
  const [ann] = await here(server, 'due')
  await ann.ask(send('due', 'arm', { ms: 200 }))
  await ann.ask(send('due', 'break'))
  await fail(ann, 'due', 5)
  await ann.ask(send('sleeper', 'arm', { ms: 400 }))
  await ann.until(async () => woken.includes('unruly/sleeper'))
  await ann.until(async () => (await ann.ask({ type: 'get', room: 'unruly/sleeper' })).state.context.fired === 1)
  t.same(
    woken.filter((name) => name !== 'unruly/sleeper'),
    [],
  )
})

t.test('ROOM-4 S9 a room that nobody is in is remembered for as long as its failures count', async (t) => {
  const server = await startServer(t, { env })
  const [ann] = await here(server, 'remembered')
  await ann.ask(send('remembered', 'break'))
  await fail(ann, 'remembered', 4)
  await ann.ask(send('forgotten', 'count'))
  await ann.until(async () => (await server.metric('chartroom_rooms')) === 1)
  t.same(codes(await fail(ann, 'remembered', 2)), ['event_failed', 'room_failed'])
})

t.test('ROOM-5 a restart of the server is a revival', async (t) => {
  const server = await startServer(t, { env })
  const [ann] = await here(server, 'restart')
  await ann.ask(send('restart', 'break'))
  await fail(ann, 'restart', 5)
  t.match(await ann.ask(send('restart', 'mend')), { code: 'room_failed' })
  await server.crashAndRestart()
  const [again, , operator] = await here(server, 'restart')
  t.match(await again.ask(send('restart', 'mend')), { type: 'ok', seq: 3 })
  t.same(await operator.numbers(), [1, 2, 3, 4, 5])
})

t.test('ROOM-1 the newest hundred letters are kept; what is stored is sound, and a backup has them', async (t) => {
  t.setTimeout(60_000)
  const server = await startServer(t, { env })
  const [ann, , operator] = await here(server, 'many')
  await ann.ask(send('many', 'break'))
  for (let round = 0; round < 21; round++) {
    await fail(ann, 'many', 5)
    await operator.revive()
  }
  t.same(
    await operator.numbers(),
    Array.from({ length: 100 }, (_, i) => i + 6),
  )
  t.match(await operator.letter(5), { code: 'unknown_seq' })
  await server.end('SIGTERM')
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-backup-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const log = async (...args: string[]) => {
    const command = ['--import', 'tsx', 'src/main.ts', 'log', ...args, '--data', server.data]
    return (await promisify(execFile)(process.execPath, command, { cwd: ROOT })).stdout
  }
  t.match(await log('verify'), /everything is sound/)
  t.match(await log('ls'), /\$dead-letters\/unruly\/many +6 to 105/)
  await log('backup', `${folder}/copy`)
  await log('restore', `${folder}/copy`)
  await server.start()
  const [, , restored] = await here(server, 'many')
  t.match(await restored.letter(105), { from: 'ann', state: { context: { isBroken: true } } })
  t.equal((await restored.numbers()).length, 100)
})

t.test('ROOM-4 failures count for a period, and no longer', async (t) => {
  const failures = new Failures({ failures: 5, period: 30_000 })
  t.equal(failures.left(0), 5)
  for (const now of [0, 1, 2, 3]) t.notOk(failures.add(now))
  t.equal(failures.left(3), 1)
  t.equal(failures.forgottenIn(10_003), 20_000)
  t.equal(failures.left(30_000), 2, 'the first lies outside')
  t.notOk(failures.add(30_001), 'as does the second')
  t.equal(failures.left(30_003), 4)
  for (const now of [30_004, 30_005, 30_006]) t.notOk(failures.add(now))
  t.ok(failures.add(30_007))
  t.same(intensities, { session: { failures: 4, period: 60_000 }, room: { failures: 5, period: 30_000 } })
})

t.test('ROOM-3 a machine with maxFailures 0 is not failed by whoever sends what it throws on', async (t) => {
  const server = await startServer(t)
  const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
  await bob.join('document/shared')
  const patch = (op: object) => ({
    type: 'send',
    room: 'document/shared',
    event: { type: 'document.patch', ops: [op] },
  })
  for (let i = 0; i < 7; i++)
    t.match(await ann.ask(patch({ op: 'remove', path: '/nowhere' })), { code: 'event_failed' })
  t.match(await ann.ask(patch({ op: 'add', path: '/title', value: 'ours' })), { type: 'ok', seq: 2 })
  await bob.reaches('document/shared', 2)
  t.match(bob.state('document/shared'), { context: { document: { title: 'ours' } } })
})

t.test('ROOM-2 L1 a room is there once while a letter is replayed, also where too many are in memory', async (t) => {
  const server = await serverHere(t, { CHARTROOM_MAX_RESIDENT_ROOMS: '1' })
  const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
  const service = await Service.of(server)
  const room = 'document/once'
  const patch = (op: string, value: string): Frame => ({
    type: 'send',
    room,
    event: { type: 'document.patch', ops: [{ op, path: '/title', value }] },
  })
  await ann.join('counter/in-use')
  t.match(await bob.ask(patch('replace', 'late')), { code: 'event_failed' })
  t.match(await bob.ask(patch('add', 'early')), { type: 'ok', seq: 2 })
  const { reached, passage } = await holdNextCommit(t)
  const replayed = service.post(`/v1/rooms/${room}/dead-letters`, { seq: 1 })
  await reached.opened
  ann.send({ type: 'join', id: 'join', room })
  await ann.ask({ type: 'ping' })
  passage.open()
  t.match(await replayed, { type: 'ok', seq: 3 })
  t.match(await ann.next(({ id }) => id === 'join'), { type: 'ok', seq: 3 })
  t.match(await bob.ask(patch('replace', 'last')), { type: 'ok', seq: 4 })
  await ann.reaches(room, 4)
  t.match(await ann.ask(patch('replace', 'of all')), { type: 'ok', seq: 5 })
})
