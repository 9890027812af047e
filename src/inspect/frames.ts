/**
 * The feed's conversation: what may be asked (docs/inspector.md), and the shapes of what is told. One JSON object per text
 * frame, told apart by `type`; the `id` of a request comes back in its one reply.
 */
import { z } from 'zod'
import { type Failure, failure, isFailure } from '../errors.ts'
import type { Operation } from '../patch.ts'
import { type CorrelationId, correlationOf, fit, parseObject, type RoomEvent } from '../protocol.ts'
import type { Chart } from './shapes.ts'

export const SUBPROTOCOL = 'chartroom.inspect.v1'

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

export interface Step {
  readonly actor: string
  readonly seq: number
  readonly event: RoomEvent
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

const id = z.union([z.string().max(128), z.int()]).optional()
const actor = z.string().min(1).max(300)
/** The log counts in six bytes, also the place behind a seq. */
const MAX_SEQ = 2 ** 48 - 2
const seq = z.int().min(0).max(MAX_SEQ)
const limit = z.int().min(1).max(1000).default(200)
const event = z.looseObject({ type: z.string().min(1) })

const requests = {
  actors: z.object({
    type: z.literal('actors'),
    id,
    kind: z.enum(['room', 'connection', 'session']).optional(),
    machine: z.string().optional(),
    state: z.string().optional(),
    user: z.string().optional(),
    failed: z.boolean().optional(),
    search: z.string().max(300).optional(),
    limit,
  }),
  auth: z.object({ type: z.literal('auth'), id, token: z.string() }),
  chart: z.object({ type: z.literal('chart'), id, machine: z.string() }),
  fork: z.object({ type: z.literal('fork'), id, actor, seq, events: z.array(event).max(100) }),
  history: z.object({ type: z.literal('history'), id, actor, since: seq.default(0), limit }),
  moment: z.object({ type: z.literal('moment'), id, actor, seq }),
  overview: z.object({ type: z.literal('overview'), id, machine: z.string() }),
  send: z.object({ type: z.literal('send'), id, room: z.string(), event }),
  unwatch: z.object({ type: z.literal('unwatch'), id, actor }),
  watch: z.object({ type: z.literal('watch'), id, actor }),
}

export type Requests = { [T in keyof typeof requests]: z.infer<(typeof requests)[T]> }
export type Request = Requests[keyof Requests]
export type Wish = Omit<Requests['actors'], 'type' | 'id'>

/** What is told, without the `id`. */
export interface Told {
  readonly type: string
  readonly [field: string]: unknown
}

/** Reads a text frame. @returns the request, or the failure that answers it, with its `id` where it has one. */
export function read(bytes: ArrayBuffer, isBinary: boolean, most: number): Request | Failure {
  if (bytes.byteLength > most) return failure('too_large', `a frame has at most ${most} bytes here`)
  if (isBinary) return failure('unsupported_data', 'the feed takes text frames')
  const given = parseObject(Buffer.from(bytes).toString())
  if (isFailure(given)) return given
  const known = typeof given.type === 'string' && Object.hasOwn(requests, given.type)
  if (known)
    return fit<Request>(requests[given.type as keyof Requests] as unknown as z.ZodType<Request>, given, `${given.type}`)
  const asked = correlationOf(given.id)
  const what = `no request has the type ${JSON.stringify(given.type)}`
  return failure('unknown_type', what, { allowed: Object.keys(requests), ...(asked !== undefined && { id: asked }) })
}

export function write(told: Told | Failure, asked?: CorrelationId): string {
  return JSON.stringify(asked === undefined ? told : Object.assign({ type: told.type, id: asked }, told))
}
