/** What happens to a room in a history: what its users send, how their connections come and go, what goes wrong. */
import fc from 'fast-check'
import type { JoinMode, RoomEvent } from '../../src/protocol.ts'
import { type Chart, charts, EVENTS } from './chart.ts'

/** Connections; the first two are one user's. */
export const TABS = 5

export type Step =
  | {
      readonly do: 'send'
      readonly tab: number
      readonly event: RoomEvent
      readonly key?: string
      readonly if?: number
    }
  /** `back`: how many of the states that it has held it goes back, to resume from there. */
  | { readonly do: 'join'; readonly tab: number; readonly mode: JoinMode; readonly back: number | null }
  | { readonly do: 'leave' | 'lose' | 'drain'; readonly tab: number }
  | { readonly do: 'stall'; readonly tab: number; readonly how: 'queued' | 'dropped' | 'full' }
  | { readonly do: 'become'; readonly tab: number; readonly scopes: readonly string[] }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'restart' }
  | { readonly do: 'fail'; readonly how: 'before' | 'after' }

export interface History {
  readonly machine: string
  readonly chart?: Chart
  readonly policy: { readonly snapshotEvery: number; readonly history: number }
  /** What is in one list happens in one turn of the event loop. */
  readonly turns: readonly (readonly Step[])[]
}

const tab = fc.nat(TABS - 1)
const small = fc.integer({ min: -3, max: 12 })
const keys = fc.constantFrom('a', 'b', 'a/b', '~', '~1', '', '0', '-', 'é', 'length', 'toString')
const value = fc.oneof(
  fc.constantFrom(null, 0, 1, 'x', true, {}, [], { a: [1, { b: 2 }] }, [[1], [2]], { 'a/b': { '~': null } }),
  fc.dictionary(keys, fc.constantFrom<unknown>(1, [1, 2], { a: 1 }), { maxKeys: 3 }),
)
const type = <T extends string>(name: T) => fc.constant(name)
const pointer = fc
  .array(fc.constantFrom('a', 'b', 'a~1b', '0', '1', '-', '~0', ''), { maxLength: 3 })
  .map((steps) => steps.map((step) => `/${step}`).join(''))
const operation = fc.oneof(
  fc.record({ op: type('add'), path: pointer, value }),
  fc.record({ op: type('add'), path: fc.constantFrom('/a', '/b', '/a~1b'), value }),
  fc.record({ op: fc.constantFrom('replace', 'test'), path: pointer, value }),
  fc.record({ op: type('remove'), path: pointer }),
  fc.record({ op: fc.constantFrom('move', 'copy'), from: pointer, path: pointer }),
)
const lasts = fc.constantFrom(undefined, 100, 2000)

/** What the users of each machine say; now and then what it does not take. */
const EVENTS_OF: Readonly<Record<string, fc.Arbitrary<RoomEvent>>> = {
  counter: fc.oneof(
    fc.record({ type: fc.constantFrom('increment', 'decrement'), by: small }),
    fc.record({ type: fc.constantFrom('increment', 'reset') }),
  ),
  chat: fc.record({ type: type('message.post'), text: fc.constantFrom('', 'hi', 'é/~"', 'x'.repeat(300)) }),
  document: fc.record({ type: type('document.patch'), ops: fc.array(operation, { minLength: 1, maxLength: 3 }) }),
  auction: fc.oneof(
    fc.record({ type: type('offer'), lot: type('clock'), price: fc.constantFrom(1, 5), lasts, grace: lasts }),
    fc.record({ type: type('bid'), amount: fc.integer({ min: -1, max: 60 }) }),
    fc.record({ type: type('bid'), amount: fc.integer({ min: 1, max: 1000 }) }),
  ),
  poll: fc.oneof(
    {
      weight: 1,
      arbitrary: fc.record({
        type: type('ask'),
        question: type('?'),
        options: fc.constantFrom(['a'], ['a', 'b'], ['a', 'b', 'c', 'd']),
        lasts,
      }),
    },
    { weight: 4, arbitrary: fc.record({ type: type('vote'), option: fc.nat(4) }) },
    { weight: 1, arbitrary: fc.record({ type: type('close') }) },
  ),
  turns: fc.oneof(
    { weight: 1, arbitrary: fc.record({ type: type('sit'), turnTime: lasts }) },
    { weight: 4, arbitrary: fc.record({ type: type('move'), cell: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ type: type('again') }) },
  ),
  workflow: fc.oneof(
    fc.record({ type: type('submit'), task: fc.constantFrom('', 'mow'), backoff: lasts }),
    fc.record({ type: fc.constantFrom('approve', 'retry') }),
    fc.record({ type: type('reject'), why: type('no') }),
  ),
  chart: fc.record({ type: fc.constantFrom(...EVENTS), k: keys, i: fc.nat(9), v: value }),
}

export const MACHINES = Object.keys(EVENTS_OF)

const given = (event: RoomEvent): RoomEvent => JSON.parse(JSON.stringify(event))

function stepsOf(machine: string): fc.Arbitrary<Step> {
  const known = EVENTS_OF[machine] as fc.Arbitrary<RoomEvent>
  const stranger = fc.record({ type: fc.constantFrom('nothing', 'room.left', 'xstate.stop'), user: type('ann') })
  const event = fc.oneof({ weight: 30, arbitrary: known }, { weight: 1, arbitrary: stranger }).map(given)
  const mode = fc.constantFrom<JoinMode>('state', 'state', 'state', 'events', 'both')
  const send = fc.record({ do: type('send'), tab, event })
  return fc.oneof(
    { weight: 24, arbitrary: send },
    { weight: 2, arbitrary: fc.record({ do: type('send'), tab, event, key: fc.constantFrom('k1', 'k2') }) },
    { weight: 1, arbitrary: fc.record({ do: type('send'), tab, event, if: fc.nat(12) }) },
    { weight: 5, arbitrary: fc.record({ do: type('join'), tab, mode, back: fc.option(fc.nat(6), { freq: 2 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('leave', 'lose'), tab }) },
    { weight: 2, arbitrary: fc.record({ do: type('stall'), tab, how: fc.constantFrom('queued', 'dropped', 'full') }) },
    { weight: 2, arbitrary: fc.record({ do: type('drain'), tab }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: type('become'), tab, scopes: fc.constantFrom([], ['see'], ['see', 'more'], ['out']) }),
    },
    { weight: 2, arbitrary: fc.record({ do: type('wait'), ms: fc.constantFrom(1, 120, 800, 6000) }) },
    { weight: 1, arbitrary: fc.record({ do: type('restart') }) },
    { weight: 1, arbitrary: fc.record({ do: type('fail'), how: fc.constantFrom('before', 'after') }) },
  ) as fc.Arbitrary<Step>
}

/** A history begins with somebody who watches, lest nobody does. */
export function historiesOf(machine: string): fc.Arbitrary<History> {
  const join = (tab: number) => ({ do: 'join', tab, mode: 'state', back: null }) as const
  const turns = fc.array(fc.array(stepsOf(machine), { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 14 })
  const policy = fc.record({ snapshotEvery: fc.constantFrom(1, 2, 5, 100), history: fc.constantFrom(0, 2, 8, 10_000) })
  return fc.record({
    machine: fc.constant(machine),
    policy,
    turns: turns.map((turns) => [[join(0), join(2)], ...turns]),
    ...(machine === 'chart' && { chart: charts }),
  }) as fc.Arbitrary<History>
}
