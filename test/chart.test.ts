/** The chart of a machine as JSON and as Mermaid, and which of its edges a step took, held against what XState says. */
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import {
  type AnyStateMachine,
  and,
  assign,
  cancel,
  emit,
  enqueueActions,
  fromPromise,
  log,
  not,
  or,
  raise,
  sendTo,
  setup,
  spawnChild,
  stateIn,
  stopChild,
} from 'xstate'
import { loadMachineFiles } from '../src/check/load.ts'
import { chartOf } from '../src/inspect/chart.ts'
import { ChartIndex, stateName } from '../src/inspect/configuration.ts'
import { mermaid } from '../src/inspect/mermaid.ts'
import { serverCharts } from '../src/inspect/own-charts.ts'
import type { ChartNode } from '../src/inspect/shapes.ts'
import { taken } from '../src/inspect/taken.ts'
import type { RoomState } from '../src/machine/document.ts'
import { Run } from '../src/machine/fold-run.ts'
import { Machine } from '../src/machine/machine.ts'
import { around } from './fixtures/here.ts'
import { ROOT } from './fixtures/server.ts'

const COMMAND = ['--import', 'tsx', 'src/main.ts', 'chart']

const machine = setup({
  guards: { isHost: () => true, isFull: () => true },
  actions: { note: () => {}, count: assign({}) },
  delays: { patience: () => 5 },
  actors: { loadMap: fromPromise(async () => 1) },
}).createMachine({
  id: 'all',
  initial: 'lobby',
  states: {
    lobby: {
      description: 'Everybody waits.',
      tags: ['calm'],
      entry: [
        'note',
        { type: 'count' },
        () => {},
        function greet() {},
        assign({}),
        raise({ type: 'begin' }),
        raise({ type: 'late' }, { delay: 1500, id: 'late' }),
        raise(() => ({ type: 'computed' })),
        sendTo('loadMap', { type: 'poke' }),
        enqueueActions(() => {}),
        log('hello'),
        emit({ type: 'noise' } as never),
        spawnChild('loadMap'),
      ],
      exit: [stopChild('loadMap'), cancel('late')],
      invoke: [
        { src: 'loadMap', onDone: 'game', onError: { target: 'over', reenter: true }, onSnapshot: { actions: 'note' } },
        { src: 'loadMap', id: 'again', onDone: { actions: 'note' } },
        { src: fromPromise(async () => 2) },
      ],
      always: { guard: and([not('isHost'), or(['isFull', 'isHost']), () => true]), target: 'game' },
      on: {
        start: [
          { guard: 'isHost', target: 'game' },
          { guard: () => true, actions: ['note', assign({})] },
        ],
        both: { guard: stateIn({ lobby: {} } as never), target: ['#all.game.clock.ticking', '#all.game.board.shown'] },
        'chat.*': { actions: 'note' },
        '*': 'over',
        hidden: undefined,
      },
      after: { 30000: 'over', 90000: 'over', patience: { guard: 'isFull', target: 'game' }, 250: { actions: 'note' } },
    },
    game: {
      type: 'parallel',
      onDone: 'over',
      states: {
        clock: { initial: 'ticking', states: { ticking: {}, past: { type: 'history', history: 'deep' } } },
        board: { initial: 'shown', states: { shown: {}, last: { type: 'history' }, full: { type: 'final' } } },
      },
    },
    over: { type: 'final' },
  },
} as never) as unknown as AnyStateMachine

const chart = chartOf(machine, { machine: 'all', kind: 'room', version: '3' })
const index = new ChartIndex(chart)
const node = (id: string): ChartNode => index.nodes.get(id) as ChartNode

t.test('a chart has every state, with its kind', async (t) => {
  t.match(chart, {
    machine: 'all',
    kind: 'room',
    version: '3',
    root: { id: 'all', type: 'compound', initial: 'all.lobby' },
  })
  t.same(
    [...index.nodes.values()].map(({ id, type, history }) => [id, history ?? type]),
    [
      ['all', 'compound'],
      ['all.lobby', 'atomic'],
      ['all.game', 'parallel'],
      ['all.game.clock', 'compound'],
      ['all.game.clock.ticking', 'atomic'],
      ['all.game.clock.past', 'deep'],
      ['all.game.board', 'compound'],
      ['all.game.board.shown', 'atomic'],
      ['all.game.board.last', 'shallow'],
      ['all.game.board.full', 'final'],
      ['all.over', 'final'],
    ],
  )
  t.match(node('all.lobby'), { key: 'lobby', description: 'Everybody waits.', tags: ['calm'] })
  t.notOk('initial' in node('all.game'), 'regions begin all at once')
})

t.test('a chart names what is done on entry and exit, and what is invoked', async (t) => {
  t.same(node('all.lobby').entry, [
    'note',
    'count',
    '(inline)',
    'greet',
    'assign',
    'raise begin',
    'raise late after 1500 ms',
    'raise (inline)',
    'send poke to loadMap',
    'enqueueActions',
    'log',
    'emit noise',
    'spawn loadMap',
  ])
  t.same(node('all.lobby').exit, ['stop loadMap', 'cancel late'])
  t.same(node('all.lobby').invoke, [
    { id: '0.all.lobby', src: 'loadMap' },
    { id: 'again', src: 'loadMap' },
    { id: '2.all.lobby', src: '(inline)' },
  ])
})

t.test('a chart has every edge in the order in which XState asks, with its guard, actions and targets', async (t) => {
  const edges = node('all.lobby').edges.map(({ id, kind, label, guard = '', actions, targets, reenter, delay = '' }) =>
    [id, kind, label, delay, guard, actions.join(), targets.join(), reenter ? 'again' : ''].join(' | '),
  )
  t.same(edges, [
    'all.lobby:0 | event | start |  | isHost |  | all.game | ',
    'all.lobby:1 | event | start |  | (inline) | note,assign |  | ',
    'all.lobby:2 | event | both |  | stateIn({"lobby":{}}) |  | all.game.clock.ticking,all.game.board.shown | ',
    'all.lobby:3 | event | chat.* |  |  | note |  | ',
    'all.lobby:4 | event | * |  |  |  | all.over | ',
    'all.lobby:5 | event | hidden |  |  |  |  | ',
    'all.lobby:6 | done | done loadMap |  |  |  | all.game | ',
    'all.lobby:7 | error | error loadMap |  |  |  | all.over | again',
    'all.lobby:8 | snapshot | snapshot loadMap |  |  | note |  | ',
    'all.lobby:9 | done | done again |  |  | note |  | ',
    'all.lobby:10 | after | after 250 ms | 250 |  | note |  | ',
    'all.lobby:11 | after | after 30 s | 30000 |  |  | all.over | ',
    'all.lobby:12 | after | after 90 s | 90000 |  |  | all.over | ',
    'all.lobby:13 | after | after patience | patience | isFull |  | all.game | ',
    'all.lobby:14 | always | always |  | and(not(isHost), or(isFull, isHost), (inline)) |  | all.game | ',
  ])
  t.match(node('all.game').edges, [{ kind: 'done', label: 'done', event: 'xstate.done.state.all.game' }])
})

t.test('S4 what can be sent is known from the chart alone, as XState knows it from a snapshot', async (t) => {
  const files = await loadMachineFiles(join(ROOT, 'machines/rooms'))
  for (const [name, file] of files) {
    const hosted = new Machine(name, file)
    const { state } = hosted
      .host(() => {}, { total: 0, until: 0 })
      .initial({ room: `${name}/a`, key: 'a' }, { now: 0, seq: 1 })
    const known = new ChartIndex(chartOf(file.default, { machine: name, kind: 'room', version: '1' }))
    const active = known.activeOf(state.document.value)
    t.same(known.canOf(active), hosted.can(state.snapshot), name)
    t.same(
      active,
      state.snapshot._nodes.map(({ id }) => id).sort((a, b) => active.indexOf(a) - active.indexOf(b)),
      name,
    )
  }
  t.same(index.canOf(['all', 'all.lobby']), ['*', 'both', 'chat.*', 'start'], 'one that is hidden is not offered')
})

t.test('a state in words', async (t) => {
  t.same([stateName('open'), stateName({}), stateName({ open: 'bidding' })], ['open', '', 'open.bidding'])
  t.equal(stateName({ game: { clock: 'ticking', board: 'shown' } }), 'game.clock.ticking | board.shown')
})

t.test('Mermaid: states within states, regions side by side, edges behind them', async (t) => {
  const text = mermaid(chart)
  t.match(text, /^stateDiagram-v2\n {2}state "all" as all \{\n {4}\[\*\] --> all_lobby\n/)
  t.match(text, /state "clock" as all_game_clock \{[^}]*\}\n {6}--\n {6}state "board" as all_game_board \{/)
  t.match(text, '  all_lobby --> all_game : always [and(not(isHost), or(isFull, isHost), (inline))]')
  t.match(text, '  all_lobby --> all_game_board_shown : both [stateIn(#123;#34;lobby#34;:#123;#125;#125;)]')
  t.match(text, /^ +all_over --> \[\*\]$/m)
  const declared = [...text.matchAll(/state ".*" as (\w+)/g)].map(([, id]) => id)
  t.equal(new Set(declared).size, index.nodes.size, 'each once')
})

t.test('the command: a machine by name, by file, and the server’s own', async (t) => {
  const run = (...args: string[]): string =>
    execFileSync(process.execPath, [...COMMAND, ...args], { cwd: ROOT, encoding: 'utf8' })
  t.match(JSON.parse(run('auction', '--json')), { machine: 'auction', kind: 'room', root: { id: 'auction' } })
  t.match(JSON.parse(run('machines/rooms/poll.ts', '--json')), { machine: 'poll', kind: 'room', root: { id: 'poll' } })
  t.same(JSON.parse(run('connection', '--json')), serverCharts[0])
  t.match(run('session', '--mermaid'), 'session_lingering --> session_ended : after linger')
  const complaint = (...args: string[]): string =>
    spawnSync(process.execPath, [...COMMAND, ...args], { cwd: ROOT, encoding: 'utf8' }).stderr
  t.match(complaint('nothing', '--json'), /neither a file nor a machine of .* is called nothing/)
  t.equal(run('auction'), run('auction', '--mermaid'), 'Mermaid, where nothing else is asked for')
  t.match(complaint('auction', '--svg', '--json'), /print it one way/)
})

// What was taken, as XState itself says it.

interface Turn {
  readonly type: string
  readonly from?: string
  readonly [field: string]: unknown
}

/** An event, or the delay that is due first; then the edges that would have led to the same states as those taken. */
type Play = readonly (readonly [Turn | 'due', ...string[]])[]

const move = (from: string, cell: number): Turn => ({ type: 'move', cell, from })

const PLAYS: Readonly<Record<string, Play>> = {
  auction: [
    [{ type: 'offer', lot: 'a', price: 1, lasts: 100, grace: 10, from: 'ann' }],
    [{ type: 'bid', amount: 5, from: 'bob' }],
    ['due'],
  ],
  poll: [
    [{ type: 'ask', question: 'which?', options: ['a', 'b'], lasts: 100, from: 'ann' }],
    [{ type: 'vote', option: 1, from: 'bob' }],
    [{ type: 'close', from: 'ann' }],
  ],
  counter: [[{ type: 'increment', by: 2, from: 'ann' }], [{ type: 'reset', from: 'ann' }]],
  turns: [
    [{ type: 'room.joined', user: 'ann' }],
    [{ type: 'sit', turnTime: 100, from: 'ann' }],
    [{ type: 'sit', turnTime: 100, from: 'bob' }],
    [move('ann', 0)],
    [move('bob', 3)],
    [move('ann', 1)],
    [move('bob', 4)],
    // A guard said that it was won, and not that the board is full: from outside it looks alike.
    [move('ann', 2), 'turns.playing:3'],
    [{ type: 'again', from: 'bob' }],
    ['due'],
  ],
  workflow: [
    [{ type: 'submit', task: 'a', backoff: 1, from: 'ann' }],
    [{ type: 'approve', from: 'bob' }],
    [{ type: 'xstate.error.actor.carryOut', error: new Error('no'), actorId: 'carryOut' }],
    ['due'],
    [{ type: 'xstate.error.actor.carryOut', error: new Error('no'), actorId: 'carryOut' }],
    ['due'],
    [{ type: 'xstate.error.actor.carryOut', error: new Error('no'), actorId: 'carryOut' }],
    ['due'],
    [{ type: 'xstate.error.actor.carryOut', error: new Error('no'), actorId: 'carryOut' }],
    [{ type: 'retry', from: 'bob' }],
    [{ type: 'xstate.done.actor.carryOut', output: 'done', actorId: 'carryOut' }],
  ],
  wild: [[{ type: 'chat.said' }], [{ type: 'chat' }], [{ type: 'hidden' }], [{ type: 'anything' }], [{ type: 'end' }]],
}

const wild = setup({}).createMachine({
  id: 'wild',
  initial: 'begin',
  on: { hidden: '.over' },
  states: {
    begin: { always: 'open' },
    open: {
      initial: 'here',
      onDone: 'over',
      on: { 'chat.*': { actions: assign({}) }, '*': { actions: assign({}) }, hidden: undefined },
      states: { here: { on: { end: 'gone' } }, gone: { type: 'final' } },
    },
    over: { type: 'final' },
  },
}) as unknown as AnyStateMachine

interface Transition {
  readonly source: AnyStateMachine['root']
  readonly eventType: string
}

/** The id of an edge, which counts as XState keeps them. */
function edgeId(transition: Transition): string {
  const { source } = transition
  const all: unknown[] = [...[...source.transitions.values()].flat(), ...(source.always ?? [])]
  return `${source.id}:${all.indexOf(transition)}`
}

t.test('which edges fit a step: those that XState took, and no other but where a guard alone decides', async (t) => {
  const said: string[] = []
  around(t, Run.prototype, 'observe', (_, [inspection], whole) => {
    const { type, _transitions: transitions = [] } = inspection as { type: string; _transitions?: unknown[] }
    if (type === '@xstate.microstep') said.push(...(transitions as Transition[]).map(edgeId))
    return whole()
  })
  const shipped = await loadMachineFiles(join(ROOT, 'machines/rooms'))
  for (const [name, play] of Object.entries(PLAYS)) {
    const file = shipped.get(name) ?? { default: wild, path: '' }
    const known = new ChartIndex(chartOf(file.default, { machine: name, kind: 'room', version: '1' }))
    const hosted = new Machine(name, file).host(() => {}, { total: 0, until: 0 })
    const now = 1_000_000
    let { state } = hosted.initial({ room: `${name}/a`, key: 'a' }, { now, seq: 1 })
    const first = known.activeOf(state.document.value)
    t.same(taken(known, { before: [], after: first, type: 'room.created' }), said.splice(0), `${name} begins`)
    for (const [turn, ...alike] of play) {
      const [due] = state.delays
      const event = turn === 'due' ? (due?.event as Turn) : turn
      const prepared: RoomState = turn === 'due' && due ? hosted.without(state, due) : state
      const step = hosted.transition(prepared, { time: now, ...event }, { now, seq: 2 })
      const after = step?.state ?? state
      const fits = taken(known, {
        before: known.activeOf(state.document.value),
        after: known.activeOf(after.document.value),
        type: event.type,
      })
      t.same(fits.toSorted(), [...new Set([...said.splice(0), ...alike])].toSorted(), `${name}: ${event.type}`)
      state = after
    }
  }
})

t.test('which edges fit: targets in several regions, history, and what is raised by name', async (t) => {
  const made = setup({}).createMachine({
    id: 'm',
    initial: 'a',
    states: {
      a: { on: { go: 'p', deep: ['#m.p.x.2', '#m.p.y.2'] } },
      p: {
        type: 'parallel',
        on: { leave: 'a', back: 'a' },
        states: {
          x: {
            initial: '1',
            states: { 1: { on: { next: { target: '2', actions: raise({ type: 'follow' }) } } }, 2: {} },
          },
          y: { initial: '1', states: { 1: { on: { follow: '2', next: {} } }, 2: {} } },
        },
      },
    },
  } as never) as unknown as AnyStateMachine
  const known = new ChartIndex(chartOf(made, { machine: 'm', kind: 'room', version: '1' }))
  const at = (value: unknown): string[] => known.activeOf(value)
  const fits = (before: unknown, after: unknown, type: string): string[] =>
    taken(known, { before: at(before), after: at(after), type })
  t.same(fits('a', { p: { x: '1', y: '1' } }, 'go'), ['m.a:0'])
  t.same(fits('a', { p: { x: '2', y: '2' } }, 'deep'), ['m.a:1'])
  t.same(fits('a', 'a', 'deep'), [], 'what did not happen does not fit')
  t.same(fits({ p: { x: '1', y: '1' } }, { p: { x: '2', y: '2' } }, 'next'), ['m.p.x.1:0', 'm.p.y.1:0'])
  t.same(fits({ p: { x: '2', y: '1' } }, 'a', 'leave'), ['m.p:0'])
  t.same(fits('a', 'a', 'unknown'), [])
})
