/**
 * The feed's conversation: what may be asked (docs/inspector.md), and how it is read and written. One JSON object per text
 * frame, told apart by `type`; the `id` of a request comes back in its one reply.
 */
import { z } from 'zod'
import { type Failure, failure, isFailure } from '../errors.ts'
import { type CorrelationId, correlationOf, fit, parseObject } from '../protocol.ts'

export const SUBPROTOCOL = 'chartroom.inspect.v1'

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
  machines: z.object({ type: z.literal('machines'), id }),
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
