/**
 * Statecharts that nobody wrote: nested, parallel, final and history states, guards on the context, delays, raised
 * events, invoked work, and an `assign` for each way in which a context may change.
 *
 * Always true: a chart is plain JSON, so that one that has shown a mistake can be kept; none of them goes round for ever.
 */
import fc from 'fast-check'
import { type AnyStateMachine, fromPromise, raise, setup } from 'xstate'
import type { MachineFile } from '../../src/machine/machine-file.ts'
import { type Context, EDITS, type Edit, edit, type Given } from './edits.ts'
import { SIGHTS, type Sight, viewOf } from './sights.ts'

export interface Chart {
  readonly root: Node
  readonly sight: Sight
  /** Whoever has the scope `out` may not be in. */
  readonly isGuarded: boolean
}

interface Node {
  readonly kind: 'atomic' | 'compound' | 'parallel' | 'final' | 'history'
  readonly children: readonly Node[]
  readonly on: readonly Edge[]
  readonly entry: readonly Edit[]
  readonly after: { readonly ms: number; readonly edge: Edge } | null
  readonly always: Edge | null
  readonly invokes: boolean
}

interface Edge {
  readonly event: number
  /** The place of a state in document order, or none. */
  readonly target: number | null
  readonly reenter: boolean
  /** The guard: `n` modulo this is not 0. */
  readonly unless: number | null
  readonly edits: readonly Edit[]
  readonly raises: boolean
}

export const EVENTS = ['e0', 'e1', 'e2', 'e3'] as const
const KINDS = ['atomic', 'compound', 'parallel', 'final', 'history'] as const

const edits = fc.array(fc.constantFrom(...EDITS), { maxLength: 3 })
const edge: fc.Arbitrary<Edge> = fc.record({
  event: fc.nat(EVENTS.length - 1),
  target: fc.option(fc.nat(20), { freq: 2 }),
  reenter: fc.boolean(),
  unless: fc.option(fc.constantFrom(2, 3), { freq: 1 }),
  edits: fc.array(fc.constantFrom(...EDITS), { minLength: 1, maxLength: 3 }),
  raises: fc.boolean(),
})

const node = (depth: number): fc.Arbitrary<Node> =>
  fc.record({
    kind: depth === 0 ? fc.constantFrom('atomic', 'atomic', 'final', 'history') : fc.constantFrom(...KINDS, 'compound'),
    children: depth === 0 ? fc.constant([]) : fc.array(node(depth - 1), { minLength: 1, maxLength: 3 }),
    on: fc.array(edge, { maxLength: 3 }),
    entry: edits,
    after: fc.option(fc.record({ ms: fc.constantFrom(100, 700, 5000), edge }), { freq: 1 }),
    always: fc.option(edge, { freq: 1 }),
    invokes: fc.nat(6).map((n) => n === 0),
  }) as fc.Arbitrary<Node>

export const charts: fc.Arbitrary<Chart> = fc.record({
  root: fc
    .tuple(node(2), fc.constantFrom('compound', 'compound', 'parallel'), fc.array(edge, { minLength: 3, maxLength: 6 }))
    .map(([root, kind, on]) => ({ ...root, kind, on }) as Node)
    .filter(({ children }) => children.some(({ kind }) => kind !== 'history' && kind !== 'final')),
  sight: fc.constantFrom(...SIGHTS),
  isGuarded: fc.boolean(),
})

/** The chart as a machine file. */
export function fileOf(chart: Chart): MachineFile {
  return {
    default: machineOf(chart.root),
    ...(chart.isGuarded && { access: { join: (who) => !who.scopes.includes('out') } }),
    ...viewOf(chart.sight),
  }
}

type Actor = { context: Context; event: Given }

const implementations = {
  types: { context: {} as Context, events: {} as Given },
  actors: { work: fromPromise(async () => ({ done: true })) },
}

/** States that can be gone to, by their place. */
type Places = string[]

function machineOf(root: Node): AnyStateMachine {
  const places: Places = []
  const states = configOf(root, 's', false, places)
  // A target is known by its place once all are placed.
  const config = { id: 's', context: () => structuredClone(EMPTY), ...states(places) }
  return setup(implementations).createMachine(config as never) as unknown as AnyStateMachine
}

const EMPTY: Context = { fuel: 0, n: 0, list: [], tree: {}, alias: null, secrets: {} }

type Config = Record<string, unknown>

/** What a node is within its parent: a parallel state has regions only, and a first state is one that can be entered. */
function configOf(node: Node, id: string, isRegion: boolean, places: Places): (places: Places) => Config {
  const isRoot = places.length === 0
  places.push(id)
  if (!isRegion && !isRoot && node.kind === 'final') return () => ({ id, type: 'final', entry: node.entry.map(edit) })
  if (!isRegion && !isRoot && node.kind === 'history')
    return () => ({ id, type: 'history', history: node.invokes ? 'deep' : 'shallow' })
  const isParallel = node.kind === 'parallel'
  const isOpen = node.children.some(({ kind }) => isParallel || (kind !== 'history' && kind !== 'final'))
  const inner =
    (node.kind === 'compound' || isParallel) && isOpen
      ? node.children.map((child, i) => [`s${i}`, configOf(child, `${id}-${i}`, isParallel, places)] as const)
      : []
  const first = node.children.findIndex(({ kind }) => kind !== 'history' && kind !== 'final')
  return (all) => ({
    id,
    ...(inner.length > 0 && { states: Object.fromEntries(inner.map(([name, make]) => [name, make(all)])) }),
    ...(inner.length > 0 && (isParallel ? { type: 'parallel' } : { initial: `s${first}` })),
    on: transitions(node.on, all),
    entry: node.entry.map(edit),
    ...(node.after && { after: { [node.after.ms]: transition(node.after.edge, all) } }),
    ...(node.always && { always: burning(node.always, all) }),
    ...(node.invokes && { invoke: { src: 'work', onDone: { actions: edit('inc') } } }),
  })
}

function transitions(edges: readonly Edge[], places: Places): Config {
  const on: Record<string, object[]> = {}
  for (const edge of edges) {
    const type = EVENTS[edge.event] as string
    on[type] = [...(on[type] ?? []), transition(edge, places)]
  }
  on.echo = [{ actions: edit('inc') }]
  return on
}

function transition({ target, reenter, unless, edits, raises }: Edge, places: Places): Config {
  const to = target === null ? undefined : places[1 + (target % Math.max(1, places.length - 1))]
  return {
    ...(to !== undefined && { target: `#${to}`, reenter }),
    ...(unless !== null && { guard: ({ context }: Actor) => context.n % unless !== 0 }),
    actions: [edit('refuel'), ...edits.map(edit), ...(raises ? [raise({ type: 'echo' } as never)] : [])],
  }
}

/** An eventless transition burns fuel, of which each event brings a little. */
function burning(edge: Edge, places: Places): Config {
  const { actions, ...rest } = transition(edge, places)
  const [, ...others] = actions as unknown[]
  return { ...rest, guard: ({ context }: Actor) => context.fuel > 0, actions: [edit('burn'), ...others] }
}
