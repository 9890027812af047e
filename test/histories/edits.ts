/** What an `assign` may do to a context: every way in which arrays, objects and references change, and some that are refused. */
import { assign } from 'xstate'

export interface Context {
  /** How many eventless transitions may still be taken. */
  readonly fuel: number
  readonly n: number
  readonly list: readonly unknown[]
  readonly tree: Readonly<Record<string, unknown>>
  /** Now and then the same object as somewhere else in the context. */
  readonly alias: unknown
  readonly secrets: Readonly<Record<string, unknown>>
}

/** An event with something to work with; a delay or invoked work brings nothing. */
export interface Given {
  readonly type: string
  readonly k?: string
  readonly i?: number
  readonly v?: unknown
  readonly from?: string | null
}

type Change = (context: Context, given: { k: string; i: number; v: unknown; from: string }) => Partial<Context>

const { max, min } = Math
const without = (tree: Context['tree'], key: string) =>
  Object.fromEntries(Object.entries(tree).filter(([k]) => k !== key))
const inner = (value: unknown): object => (typeof value === 'object' && value !== null ? value : {})

const CHANGES = {
  inc: ({ n }) => ({ n: n + 1 }),
  refuel: () => ({ fuel: 2 }),
  burn: ({ fuel }) => ({ fuel: fuel - 1 }),
  push: ({ list }, { v }) => ({ list: [...list, v] }),
  unshift: ({ list }, { v }) => ({ list: [v, ...list] }),
  pop: ({ list }) => ({ list: list.slice(0, -1) }),
  shift: ({ list }) => ({ list: list.slice(1) }),
  slide: ({ list }, { v }) => ({ list: [...list.slice(1), v] }),
  splice: ({ list }, { i, v }) => ({
    list: list.toSpliced(i % max(1, list.length), 1 + (i % 2), ...(i % 3 ? [v, v] : [])),
  }),
  set: ({ list }, { i, v }) => ({ list: list.length === 0 ? list : list.with(i % list.length, v) }),
  reverse: ({ list }) => ({ list: list.toReversed() }),
  again: ({ list }) => ({ list: [...list, ...list.slice(0, 2)] }),
  wrap: ({ list }) => ({ list: [list.slice(0, 3)] }),
  hole: ({ list }) => ({ list: [...list, undefined] }),
  grow: ({ list }, { i, k, v }) => ({
    list: list.map((one, at) => (at % 3 === i % 3 ? { ...inner(one), [k]: v } : one)),
  }),
  put: ({ tree }, { k, v }) => ({ tree: { ...tree, [k]: v } }),
  remove: ({ tree }, { k }) => ({ tree: without(tree, k) }),
  deepen: ({ tree }, { k, v }) => ({ tree: { ...tree, [k]: { ...inner(tree[k]), [`${k}/~`]: v } } }),
  unset: ({ tree }, { k }) => ({ tree: { ...tree, [k]: undefined } }),
  rename: ({ tree }, { k }) => ({ tree: { ...without(tree, k), ...(k in tree && { a: tree[k] }) } }),
  clear: () => ({ tree: {}, list: [] }),
  move: ({ tree }, { k }) => ({ alias: tree[k] ?? null, tree: without(tree, k) }),
  share: ({ list }) => ({ alias: list }),
  shareInTree: ({ tree, list }, { k, i }) => ({ tree: { ...tree, [k]: list[i % max(1, list.length)] ?? null } }),
  restore: ({ alias }) => (Array.isArray(alias) ? { list: alias } : {}),
  retype: (_, { v }) => ({ alias: v }),
  copy: ({ list, tree }) => ({ list: structuredClone(list), tree: structuredClone(tree) }),
  keep: ({ secrets }, { v, from }) => ({ secrets: { ...secrets, [from]: v } }),
  // What must not leave a trace.
  notANumber: () => ({ n: Number.NaN }),
  date: () => ({ alias: new Date(0) }),
  constructorKey: ({ tree }) => ({ tree: { ...tree, constructor: { prototype: 1 } } }),
  inPlace: ({ list }, { v }) => {
    ;(list as unknown[]).push(v)
    return {}
  },
  fail: () => {
    throw new Error('the assign throws')
  },
} satisfies Record<string, Change>

export type Edit = keyof typeof CHANGES

/** The edits of a generated chart: those that are refused are seldom, lest nothing but refusals comes of it. */
export const EDITS = (Object.keys(CHANGES) as Edit[]).filter((name) => name !== 'refuel' && name !== 'burn')

/** A context larger than this begins anew: one that is in itself again and again would double each time. */
const MOST = 2000

export const edit = (name: Edit) =>
  assign(({ context, event }: { context: Context; event: Given }) => {
    const { k = 'a', i = 0, v = null, from } = event
    const change = (CHANGES[name] as Change)(context, { k, i: min(i, 99), v, from: from ?? 'nobody' })
    const size = (JSON.stringify(change) ?? '').length
    return (size > MOST ? { list: [], tree: {}, alias: null } : change) as never
  }) as never
