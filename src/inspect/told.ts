/** What the feed tells (docs/inspector.md): the shapes that server and page share, and nothing that runs. */
import type { Operation } from '../patch.ts'
import type { Chart } from './shapes.ts'

export type Kind = Chart['kind']

export interface Actor {
  /** `room:chat/lobby`, `connection:c_7Qx`, `session:ann`. */
  readonly actor: string
  readonly kind: Kind
  readonly machine: string
  readonly name: string
  /** In words: `open`, `open.bidding`, `a | b`; empty where it is not known yet. */
  readonly state: string
  readonly user?: string
  readonly seq?: number
  /** Why. */
  readonly failed?: string
  readonly asleep?: boolean
  /** Subscribers of a room, connections of a session. */
  readonly present?: number
}

export interface Actors {
  readonly actors: readonly Actor[]
  /** Of all that fit. */
  readonly total: number
  readonly more: boolean
}

/** How many rooms a machine has: those that neither sleep nor have failed are in memory. */
export interface Tally {
  readonly machine: string
  readonly rooms: number
  readonly asleep: number
  readonly failed: number
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
  /** Unix epoch milliseconds; 0 where the record is held no longer. */
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
  readonly epoch?: string
  /** The earliest seq whose state can be shown. */
  readonly first?: number
  readonly last: number
}

/** An event of a room, a connection or a session. */
export interface ActorEvent {
  readonly type: string
  readonly [property: string]: unknown
}

export interface Step {
  readonly actor: string
  readonly seq: number
  readonly event: ActorEvent
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

export interface History {
  readonly steps: readonly Step[]
  /** The earliest that is held, and the latest. */
  readonly first: number
  readonly last: number
  readonly more: boolean
}

/** One event of a fork, and where it would lead: nothing of it is stored. */
export interface IdeaStep {
  readonly event: ActorEvent
  readonly accepted: boolean
  /** Why it was not. */
  readonly why?: string
  /** When it would happen: now, or when the delay is due. */
  readonly time: number
  readonly value: unknown
  readonly context: unknown
  readonly edges: readonly string[]
  readonly status: string
  readonly timers: readonly Timer[]
}

export interface Overview extends Tally {
  /** Of how many rooms it is known where they are. */
  readonly read: number
  /** By the node's id. */
  readonly states: Readonly<Record<string, number>>
  /** By the edge's id, a minute. */
  readonly edges: Readonly<Record<string, number>>
}

/** Each request's type, and what its reply carries. */
export interface Replies {
  actors: Actors
  machines: { readonly machines: readonly Tally[] }
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
  | { readonly type: 'error'; readonly actor: string; readonly message: string }

/** The first frame. */
export interface Welcome {
  readonly type: 'welcome'
  readonly v: 1
  readonly maySend: boolean
  readonly time: number
}
