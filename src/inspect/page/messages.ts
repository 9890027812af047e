/** What the feed says, as far as the page reads it. */
import type { Operation } from '../../patch.ts'
import type { Chart } from '../shapes.ts'

export interface Actor {
  /** "room:chat/lobby", "connection:c_7Qx", "session:ann". */
  readonly actor: string
  readonly kind: Chart['kind']
  readonly machine: string
  readonly name: string
  readonly state: string
  readonly user?: string
  readonly seq?: number
  readonly failed?: string
  readonly asleep?: boolean
  readonly present?: number
}

export interface Timer {
  readonly event: string
  readonly dueAt: number
  readonly delay?: number
}

export interface State {
  readonly actor: string
  readonly machine: string
  readonly seq: number
  readonly time: number
  readonly value: unknown
  readonly active: readonly string[]
  readonly context: unknown
  readonly status: string
  readonly can: readonly string[]
  readonly timers: readonly Timer[]
  readonly children?: unknown
  readonly present?: readonly string[]
  readonly failed?: string
  readonly first?: number
  readonly last: number
}

export interface SentEvent {
  readonly type: string
  readonly [property: string]: unknown
}

export interface Step {
  readonly actor: string
  readonly seq: number
  readonly event: SentEvent
  readonly from: string | null
  readonly time: number
  readonly ops: readonly Operation[]
  readonly edges: readonly string[]
  readonly value: unknown
  readonly active: readonly string[]
  readonly ms?: number
  readonly cause?: string
  /** Live steps only. */
  readonly can?: readonly string[]
  readonly timers?: readonly Timer[]
}

export interface Actors {
  readonly actors: readonly Actor[]
  readonly total: number
  readonly more: boolean
}

export interface History {
  readonly steps: readonly Step[]
  readonly first: number
  readonly last: number
  readonly more: boolean
}

/** What would have happened: nothing of it is stored. */
export interface IdeaStep {
  readonly event: SentEvent
  readonly accepted: boolean
  /** Why it was not. */
  readonly why?: string
  readonly value: unknown
  readonly context: unknown
  readonly edges: readonly string[]
  readonly status: string
  readonly timers: readonly Timer[]
}

export interface Overview {
  readonly machine: string
  readonly rooms: number
  readonly states: Readonly<Record<string, number>>
  /** A minute. */
  readonly edges: Readonly<Record<string, number>>
}

/** Each request's type, and what its reply carries. */
export interface Replies {
  actors: Actors
  chart: { readonly chart: Chart }
  watch: State
  unwatch: object
  history: History
  moment: State
  send: { readonly seq: number }
  fork: { readonly steps: readonly IdeaStep[] }
  overview: Overview
}

/** Frames that nobody asked for. */
export type News =
  | ({ readonly type: 'step' } & Step)
  | ({ readonly type: 'state' } & State)
  | { readonly type: 'skipped'; readonly actor: string; readonly steps: number }
