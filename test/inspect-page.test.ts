/** The parts of the inspector's page that think: addresses, events as people write them, which states a value names. */
import fc from 'fast-check'
import t from 'tap'
import { createActor, createMachine } from 'xstate'
import { assets } from '../src/inspect/assets.ts'
import { chartOf } from '../src/inspect/chart.ts'
import { ChartIndex, standsIn } from '../src/inspect/configuration.ts'
import type { Box } from '../src/inspect/layout.ts'
import { serverCharts } from '../src/inspect/own-charts.ts'
import { fitting, reading, sees, zoomed } from '../src/inspect/page/camera.ts'
import { doubtful } from '../src/inspect/page/edges.ts'
import { endingOf, remediesOf } from '../src/inspect/page/endings.ts'
import type { Feed } from '../src/inspect/page/feed-client.ts'
import { Listing, NO_QUERY, wantedOf } from '../src/inspect/page/listing.ts'
import { payloadOf, span, titleOf } from '../src/inspect/page/phrases.ts'
import { hashOf, type Place, placeOf } from '../src/inspect/page/places.ts'
import { briefState, namesOf, statesOf } from '../src/inspect/page/states.ts'
import { Watching } from '../src/inspect/page/watching.ts'
import { readEvent, readEvents } from '../src/inspect/page/written-event.ts'
import type { Chart, ChartNode, Edge } from '../src/inspect/shapes.ts'

t.test('an address leads back to its place, also for a user with an @', async (t) => {
  t.same(placeOf('#room:chat/lobby@17'), { kind: 'actor', actor: 'room:chat/lobby', seq: 17 })
  t.same(placeOf('#session:ann@example.org'), { kind: 'actor', actor: 'session:ann@example.org' })
  t.same(placeOf('#machine:chat'), { kind: 'machine', machine: 'chat' })
  t.same(placeOf(''), { kind: 'nowhere' })
  t.same(placeOf('#%'), { kind: 'nowhere' })
  t.same(placeOf('#room:chat/a%40b@17'), { kind: 'actor', actor: 'room:chat/a@b', seq: 17 })
  t.equal(hashOf({ kind: 'actor', actor: 'session:ann@17' }), '#session:ann%4017')
  const key = fc.stringMatching(/^[A-Za-z0-9_.:%@-]{1,40}(@\d{1,3})?$/)
  fc.assert(
    fc.property(key, fc.option(fc.nat(), { nil: undefined }), (key, seq) => {
      const place: Place = { kind: 'actor', actor: `room:chat/${key}`, ...(seq === undefined ? {} : { seq }) }
      t.same(placeOf(hashOf(place)), place)
    }),
    { numRuns: 100 },
  )
})

t.test('an event is written as a type, a type with properties, or a whole object', async (t) => {
  t.same(readEvent('FULL'), { type: 'FULL' })
  t.same(readEvent(' bid {"amount": 5} '), { type: 'bid', amount: 5 })
  t.same(readEvent('bid{"amount":5}'), { type: 'bid', amount: 5 })
  t.same(readEvent('{"type":"bid"}'), { type: 'bid' })
  t.same(readEvents('FULL\n\nbid {"amount": 5}\n'), [{ type: 'FULL' }, { type: 'bid', amount: 5 }])
  t.throws(() => readEvents('FULL\n\noops {'), { message: /^line 3: (?!.*(position|column))/ })
  for (const text of ['', '{}', 'bid 5', 'bid [1]', 'bid {', '{"type":1}']) t.throws(() => readEvent(text), SyntaxError)
})

t.test('a value names the same states as XState finds active', async (t) => {
  const leaf = {}
  const machine = createMachine({
    id: 'm',
    type: 'parallel',
    states: {
      a: { initial: 'x', states: { x: { initial: 'y', states: { y: leaf } }, z: leaf } },
      b: leaf,
      c: { initial: 'd', states: { d: leaf, e: leaf } },
    },
  })
  const nodeOf = ({ id, key, type, states }: typeof machine.root): ChartNode => {
    const nothing = { entry: [], exit: [], invoke: [], edges: [] }
    return {
      id,
      key,
      type,
      ...nothing,
      states: Object.values(states).map((node) => nodeOf(node as typeof machine.root)),
    }
  }
  const chart = { machine: 'm', kind: 'room' as const, version: '1', root: nodeOf(machine.root) }
  const { value } = createActor(machine).start().getSnapshot()
  t.same(new ChartIndex(chart).activeOf(value), ['m', 'm.a', 'm.a.x', 'm.a.x.y', 'm.b', 'm.c', 'm.c.d'])
  t.same(new ChartIndex(chart).activeOf({}), ['m'])
})

t.test('a view fits a chart, reads a part of it, and zooms around a point', async (t) => {
  const view = { width: 800, height: 600 }
  const whole = { x: 0, y: 0, width: 1600, height: 2400 }
  t.ok(sees(fitting(whole, view), whole, view))
  t.equal(fitting({ width: 100, height: 50 }, view).scale, 1.25)
  const part = { x: 1500, y: 2300, width: 80, height: 40 }
  t.ok(sees(reading(part, whole, view), part, view))
  const at = { x: 300, y: 200 }
  const [before, after] = [fitting(whole, view), zoomed(fitting(whole, view), 2, at)]
  t.equal(after.scale, before.scale * 2)
  t.equal((at.x - after.x) / after.scale, (at.x - before.x) / before.scale)
})

t.test('a connection that ends says why in one line, a room that failed says what its operator can ask', async (t) => {
  const bad = { reason: 'bad_request', message: 'too many frames had to be refused' }
  const told = (value: string, ending: object | null, cause?: string): string | undefined =>
    endingOf({ actor: 'connection:c_1', value, context: { ending } }, cause === undefined ? undefined : { cause })
  t.equal(told('closed', bad, '4000'), 'closed 4000 bad_request: too many frames had to be refused')
  t.equal(told('closed', null, '1006'), 'closed 1006: the peer vanished without a close frame')
  t.equal(told('closed', null, '4999'), 'closed 4999: the peer closed it')
  t.equal(told('closing', bad, 'bad_request'), 'closing bad_request: too many frames had to be refused')
  t.equal(told('closed', null), 'closed')
  t.equal(told('open', null), undefined)
  t.equal(endingOf({ actor: 'room:poll/a', value: 'closed', context: {} }, undefined), undefined)
  t.same(remediesOf('room:poll/a'), ['GET /v1/rooms/poll/a/dead-letters', 'POST /v1/rooms/poll/a/revive'])
})

t.test(
  'every machine is listed, whatever others have, and its rooms stand in the order of their numbers',
  async (t) => {
    const rooms = [...Array(300).keys()].map((n) => `poll/p${n}`).concat('turns/a', 'breaker/x')
    const all = rooms.sort().map((name) => {
      return { actor: `room:${name}`, kind: 'room', machine: name.split('/')[0] as string, name, state: '' }
    })
    const machines = [...['breaker', 'poll', 'turns'], 'unused'].map((machine) => {
      const { length } = all.filter((one) => one.machine === machine)
      return { machine, rooms: length, asleep: length, failed: 0 }
    })
    const asked: { machine?: string }[] = []
    const actors = async (wish: { kind: string; machine?: string; search?: string; limit?: number }) => {
      asked.push(wish)
      const { kind, machine, search = '', limit = 200 } = wish
      const fit = all.filter((one) => one.kind === kind && (!machine || one.machine === machine))
      const found = fit.filter(({ name }) => name.includes(search))
      return { actors: found.slice(0, limit), total: found.length, more: found.length > limit }
    }
    const ask = (type: string, wish: never) => (type === 'actors' ? actors(wish) : Promise.resolve({ machines }))
    const listing = new Listing(ask as unknown as ConstructorParameters<typeof Listing>[0])
    const listed = async (query: object) => (await listing.read({ ...NO_QUERY, ...query })).groups
    const counts = (groups: Awaited<ReturnType<typeof listed>>) =>
      groups.map(({ machine, total, actors }) => [machine, total, actors.length])
    const groups = await listed({ listed: { turns: 0 } })
    t.same(counts(groups), [
      ['breaker', 1, 1],
      ['poll', 300, 300],
      ['turns', 1, 0],
      ['unused', 0, 0],
    ])
    t.match(groups[1]?.tally, { asleep: 300, failed: 0 })
    const names = groups[1]?.actors.map(({ name }) => name) ?? []
    t.same([names[1], names[2], names[10]], ['poll/p1', 'poll/p2', 'poll/p10'])
    t.notOk(
      asked.some(({ machine }) => machine === 'turns'),
      'of a folded machine nothing more is asked',
    )
    t.same(counts(await listed({ search: 'turns' })), [['turns', 1, 1]])
    const found = await listed({ search: 'p', listed: { poll: 0 } })
    t.same(counts(found), [['poll', 300, 1]], 'of a folded machine only how many fit')
    t.notOk(found.some(({ tally }) => tally))
  },
)

t.test('a machine may be called as something of every object is', async (t) => {
  t.equal(wantedOf(NO_QUERY, 'constructor'), wantedOf(NO_QUERY, 'poll'))
  t.equal(wantedOf({ ...NO_QUERY, listed: { constructor: 7 } as unknown as Record<string, number> }, 'constructor'), 7)
})

t.test('states have the names by which rooms stand in them, whatever their ids are', async (t) => {
  const live = { initial: 'turn', states: { turn: { id: 'my turn' } } }
  const machine = createMachine({
    initial: 'playing',
    states: { playing: { type: 'parallel', states: { chat: {}, rounds: { initial: 'live', states: { live } } } } },
  })
  const chart = chartOf(machine, { machine: 'match', kind: 'room', version: '1' })
  const { value } = createActor(machine).start().getSnapshot()
  const names = ['playing', 'playing.chat', 'playing.rounds', 'playing.rounds.live', 'playing.rounds.live.turn']
  t.same([...namesOf(chart).values()], names)
  t.equal(namesOf(chart).get('my turn'), 'playing.rounds.live.turn')
  t.same(
    names.filter((name) => standsIn(value, name)),
    names,
  )
  for (const other of ['chat', 'rounds.live', 'playing.rounds.liv', 'playing.rounds.live.turn.x', ''])
    t.notOk(standsIn(value, other), other)
})

t.test('a list has states in few words, those of several parts at once by what is around them', async (t) => {
  const [connection] = serverCharts as readonly [Chart]
  const states = statesOf(connection)
  t.ok(['connecting', 'connecting.waiting', 'open', 'closed'].every((state) => states.includes(state)))
  t.notOk(states.some((state) => state.startsWith('open.')))
  t.equal(briefState('open.token.fresh | refresh.idle', connection), 'open')
  t.equal(briefState('connecting.waiting', connection), 'connecting.waiting')
  t.equal(briefState('a | b', undefined), 'a | b')
})

t.test(
  'of two edges of a state for one event it is in doubt which was taken, of those that follow it is not',
  async (t) => {
    const edge = (id: string, event: string): Edge => {
      return { id, event, kind: 'event', label: event, actions: [], targets: [], reenter: false }
    }
    const box = (id: string, ...edges: Edge[]): Box => {
      const node: ChartNode = { id, key: id, type: 'atomic', entry: [], exit: [], invoke: [], edges, states: [] }
      return { node, x: 0, y: 0, width: 1, height: 1, wording: { title: id, aside: 0, lines: [] } }
    }
    const boxes = [box('a', edge('a:0', 'go'), edge('a:1', 'go'), edge('a:2', 'stop')), box('b', edge('b:0', 'go'))]
    t.same([...doubtful({ boxes }, ['a:0', 'a:1', 'a:2', 'b:0'])], ['a:0', 'a:1'])
    t.same([...doubtful({ boxes }, ['a:0', 'b:0'])], [])
  },
)

t.test(
  'an actor that can be shown no longer says why, keeps its steps, and is shown again when it can be',
  async (t) => {
    const replies = {
      watch: { actor: 'room:light/a', machine: 'light', seq: 1, last: 1 },
      history: { steps: [{ seq: 1 }] },
    }
    const feed = { request: async (type: keyof typeof replies) => replies[type], chart: async () => ({}) }
    const watching = new Watching('room:light/a', undefined, feed as unknown as Feed, () => {})
    await watching.open()
    watching.hear({ type: 'error', actor: 'room:light/a', message: 'a segment is damaged' })
    t.equal(watching.notice, 'a segment is damaged')
    t.match([watching.steps.length, watching.now?.seq], [1, 1])
    watching.hear({ type: 'state', ...replies.watch } as unknown as Parameters<Watching['hear']>[0])
    t.equal(watching.notice, undefined)
  },
)

t.test('spans and events in few letters', async (t) => {
  t.same([40, 1300, 2000, 61_000, 120_000, 7_200_000].map(span), [
    '40 ms',
    '1.3 s',
    '2 s',
    '1 min 1 s',
    '2 min',
    '2.0 h',
  ])
  t.equal(titleOf('xstate.after.30000.auction.open'), 'after 30 s')
  t.equal(titleOf('xstate.done.actor.loadMap'), 'done loadMap')
  t.equal(titleOf('bid'), 'bid')
  t.equal(payloadOf({ type: 'bid', amount: 5, from: 'ann', time: 1 } as { type: string }), '{"amount":5}')
})

t.test('the page is five files that need nothing inline and no eval', async (t) => {
  const files = await assets()
  t.same([...files.keys()], ['', 'icon.svg', 'page.js', 'page.css', 'elk-worker.js'])
  t.equal(await assets(), files, 'made once')
  const text = (name: string): string => files.get(name)?.body.toString() ?? ''
  t.notMatch(text(''), /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/)
  for (const [, name = ''] of text('').matchAll(/(?:src|href)="inspect\/([^"]+)"/g)) t.ok(files.has(name), name)
  t.notMatch(text('page.js'), /\beval\(|new Function\(|https?:\/\/(?!www\.w3\.org)/)
  t.match(text('page.css'), '.state.active')
})
