/**
 * The conversation in two unions, client frames and server frames, and its codec (docs/protocol.md).
 *
 * Always true: what `decode` returns is a frame of the union or one `Failure`; it never throws. Refused here: what
 * is no JSON object, is nested too deeply, has a field of the wrong shape, or a key that could reach a prototype.
 */
import { z } from 'zod'
import { type ErrorCode, type Failure, failure, isFailure } from './errors.ts'
import { nestsDeeper, pointer, prototypeKey, written } from './json.ts'
import type { Operation } from './patch.ts'

/** JSON may be nested this deep, no deeper (rule E5). */
const MAX_DEPTH = 32

/** Most clients count: the number is looked for first. */
const correlation = z.union([z.int(), z.string().max(128)])
const base = z.object({ id: correlation.optional() })
const room = z.string().max(256)
const seq = z.int().min(0)
const seqs = z.union([z.int().min(1), z.array(z.int().min(1)).min(1).max(1000)])
const key = z.string().min(1).max(128)
/** Characters of a user's name. */
export const MAX_USER = 128
/** No half of a surrogate pair: the log's names are UTF-8, in which all of those are one and the same character. */
const user = z
  .string()
  .min(1)
  .max(MAX_USER)
  .regex(/^\P{Surrogate}*$/u, 'Invalid string: half of a surrogate pair')
const present = z.unknown().refine((given) => given !== undefined, 'Invalid input: expected a value')

const clientFrames = {
  auth: base.extend({ type: z.literal('auth'), token: z.string(), heartbeat: z.enum(['ws', 'json']).optional() }),
  ping: base.extend({ type: z.literal('ping'), data: z.unknown().optional() }),
  pong: base.extend({ type: z.literal('pong') }),
  status: base.extend({ type: z.literal('status') }),
  join: base.extend({
    type: z.literal('join'),
    room,
    since: z.object({ epoch: z.string(), seq }).optional(),
    mode: z.enum(['state', 'events', 'both']).optional(),
  }),
  leave: base.extend({ type: z.literal('leave'), room }),
  send: base.extend({
    type: z.literal('send'),
    room,
    event: z.looseObject({ type: z.string() }),
    key: key.optional(),
    if: seq.optional(),
  }),
  get: base.extend({ type: z.literal('get'), room }),
  history: base.extend({
    type: z.literal('history'),
    room,
    since: seq.optional(),
    limit: z.int().min(1).max(1000).optional(),
  }),
  message: base.extend({
    type: z.literal('message'),
    to: user,
    data: present,
    priority: z.enum(['normal', 'high']).optional(),
    ttl: z.int().min(1).optional(),
    key: key.optional(),
  }),
  ack: base.extend({ type: z.literal('ack'), seq: seqs }),
  nack: base.extend({ type: z.literal('nack'), seq: seqs, reason: z.string().max(256).optional() }),
}

/** The bodies that the server API takes (`as`: in whose name). */
export const bodies = {
  event: clientFrames.send.pick({ event: true, key: true, if: true }).extend({ as: user.optional() }),
  message: clientFrames.message
    .pick({ data: true, priority: true, ttl: true, key: true })
    .extend({ as: user.optional() }),
  replay: z.object({ seq: z.int().min(1) }),
}

/** Whether a user can have this name. */
export const isUser = (given: string): boolean => user.safeParse(given).success

type ClientFrames = { [T in keyof typeof clientFrames]: z.infer<(typeof clientFrames)[T]> }

/** A number or string that the client chose to find its reply by (rule R1). */
export type CorrelationId = string | number
export type ClientType = keyof ClientFrames
export type ClientFrameOf<T extends ClientType> = ClientFrames[T]
export type ClientFrame = ClientFrames[ClientType]

/** What a subscriber gets of a room: patches of its state, an `event` per record, or both. */
export type JoinMode = NonNullable<ClientFrames['join']['mode']>
/** Which of a user's messages come first. */
export type Priority = NonNullable<ClientFrames['message']['priority']>

/** What a machine receives: a `type`, and whatever else the machine understands. */
export interface RoomEvent {
  readonly type: string
  readonly [field: string]: unknown
}

/** The `state` document of a room as its clients hold it; a machine's own `view` may return something else. */
export type StateDocument = unknown

export interface ServerFrames {
  welcome: {
    type: 'welcome'
    v: 1
    connection: string
    user: string
    session: { connections: number }
    state: 'open'
    heartbeat: { interval: number; timeout: number }
    limits: { frame: number }
    expiresAt: number
    time: number
  }
  ok: {
    type: 'ok'
    room?: string
    epoch?: string
    seq?: number
    recovered?: boolean
    dup?: true
    expiresAt?: number
    /** To the API: whether the room had failed. */
    revived?: boolean
  }
  pong: { type: 'pong'; data?: unknown; time: number }
  status: {
    type: 'status'
    connection: string
    user: string | null
    state: string
    session: { connections: number } | null
    rooms: string[]
    /** `null` where the inbox cannot be read. */
    inbox: { normal: number; high: number; total: number } | null
    frames: { received: number; sent: number }
    heartbeat: { pings: number; pongs: number }
    time: number
  }
  snapshot: { type: 'snapshot'; room: string; epoch: string; seq: number; state: StateDocument }
  patch: { type: 'patch'; room: string; epoch: string; base: number; seq: number; ops: readonly Operation[] }
  event: {
    type: 'event'
    room: string
    epoch: string
    seq: number
    event: RoomEvent
    from: string | null
    time: number
  }
  history: {
    type: 'history'
    room: string
    epoch: string
    events: { seq: number; event: RoomEvent; from: string | null; time: number }[]
    more: boolean
    /** The first seq that is still held, where what was asked for was trimmed. */
    first?: number
  }
  message: {
    type: 'message'
    seq: number
    from: string
    data: unknown
    priority: Priority
    time: number
    attempt: number
  }
  ping: { type: 'ping'; time: number }
  'auth.expiring': { type: 'auth.expiring'; expiresAt: number }
  error: Failure
  closing: { type: 'closing'; code: number; reason: string; reconnect: boolean; retryAfter?: number }
}

export type ServerFrame = ServerFrames[keyof ServerFrames]

/** The frame types that the server understands, for `allowed` in an error. */
export const clientTypes = Object.keys(clientFrames) as ClientType[]

/** A byte order mark stays in the text, where JSON has no place for one (RFC 8259 8.1). */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Reads what came from the wire: one text frame of at most `limit` bytes.
 * @returns the frame, or the `error` that answers it: `too_large`, `unsupported_data`, or what `decode` says.
 */
export function read(bytes: ArrayBuffer, isBinary: boolean, limit: number): ClientFrame | Failure {
  if (bytes.byteLength > limit) {
    return failure('too_large', `a frame has at most ${limit} bytes, this one has ${bytes.byteLength}`)
  }
  if (isBinary) return failure('unsupported_data', 'frames are text, this one is binary')
  return decode(utf8.decode(bytes))
}

/**
 * Reads the text of one frame.
 * @returns the frame, or the `error` that answers it (`bad_json`, `bad_frame` with `path`, `unknown_type` with
 * `allowed`), which carries the frame's `id` wherever one could be read.
 */
export function decode(text: string): ClientFrame | Failure {
  const value = parseObject(text)
  return isFailure(value) ? value : decodeObject(value)
}

/**
 * Reads a JSON object that came from outside.
 * @returns the object, or `bad_json` or `bad_frame`: what is no object, nested too deeply, or has a key that could reach a
 * prototype; with the `id` that stands in it.
 */
export function parseObject(text: string): Record<string, unknown> | Failure {
  if (nestsDeeper(text, MAX_DEPTH))
    return failure('bad_frame', `JSON may be nested ${MAX_DEPTH} levels deep, no deeper`, { path: '' })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return failure('bad_json', `the frame is not JSON: ${whatIsWrong(text, error as Error)}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return failure('bad_frame', `a frame is a JSON object, got ${kindOf(value)}`, { path: '' })
  }
  const object = value as Record<string, unknown>
  const forbidden = prototypeKey(text, object)
  return forbidden ? refuse(object, 'bad_frame', `the key at ${forbidden} is not allowed`, { path: forbidden }) : object
}

/** The failure that answers a frame, with its `id` where that is one. */
function refuse(
  { id }: Record<string, unknown>,
  code: ErrorCode,
  message: string,
  details: Record<string, unknown>,
): Failure {
  const known = correlationOf(id)
  return failure(code, message, known === undefined ? details : { id: known, ...details })
}

function decodeObject(value: Record<string, unknown>): ClientFrame | Failure {
  if (typeof value.type !== 'string') {
    return refuse(value, 'bad_frame', `"type" is expected to be a string, got ${kindOf(value.type)}`, { path: '/type' })
  }
  if (!Object.hasOwn(clientFrames, value.type)) {
    return refuse(value, 'unknown_type', `no frame has the type ${JSON.stringify(value.type)}`, {
      allowed: clientTypes,
    })
  }
  return fit<ClientFrame>(clientFrames[value.type as ClientType] as z.ZodType<ClientFrame>, value, value.type)
}

/** `value` as `schema` reads it, or `bad_frame` with the path of the first thing that is wrong with it. */
export function fit<T>(schema: z.ZodType<T>, value: Record<string, unknown>, what: string): T | Failure {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const path = pointer(issue?.path ?? [])
  return refuse(value, 'bad_frame', `${what}${path}: ${issue?.message ?? 'not understood'}`, { path })
}

/** The `id` of a frame, where it is one that a reply can carry (rule R1). */
export function correlationOf(id: unknown): CorrelationId | undefined {
  return correlation.safeParse(id).data
}

/**
 * One frame as text; `id` is the correlation id of the request that it answers. A reply is written field by field, as
 * most of its fields are a word or a number: about half of what `JSON.stringify` takes for the whole.
 */
export function encode(frame: ServerFrame, id?: CorrelationId): string {
  if (id === undefined) return JSON.stringify(frame)
  let text = `{"type":"${frame.type}","id":${written(id)}`
  const fields: Readonly<Record<string, unknown>> = frame
  for (const name in fields) {
    const value = name === 'type' || name === 'id' ? undefined : written(fields[name])
    if (value !== undefined) text += `,"${name}":${value}`
  }
  return `${text}}`
}

/** In words of ours: the parser's own quote the text, which may be anybody's. */
function whatIsWrong(text: string, { message }: Error): string {
  if (text.trim() === '') return 'it is empty'
  if (message.startsWith('Unexpected end')) return 'it ends too early'
  const [, position] = / at position (\d+)( \(.*\))?$/.exec(message) ?? []
  return position === undefined ? 'there is something in it that JSON does not know' : `look at position ${position}`
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`
}
