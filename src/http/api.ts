/**
 * The server API for back ends, under `/v1`: a request becomes a call of one route, for who holds a token with the scope
 * `service`.
 *
 * Always true: nothing is done for a token that the WebSocket would refuse, or one without the scope; an answer is a
 * frame of the protocol without an `id`, a refusal an `error` with the HTTP status of its row.
 */
import type { z } from 'zod'
import type { Credential, Principal, Verify } from '../auth/auth.ts'
import { bearerOf, unauthorized } from '../connection/handshake.ts'
import { type Failure, failure, httpStatus, isFailure } from '../errors.ts'
import { StorageRefused } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import { fit, parseObject } from '../protocol.ts'
import { type HttpAnswer, type HttpRequest, jsonAnswer as json } from '../transport/transport.ts'

/** What a route is asked. */
export interface Call<Body = unknown> {
  /** The groups of the route's path, decoded. */
  readonly parameters: readonly string[]
  readonly query: URLSearchParams
  readonly body: Body
  readonly caller: Principal
}

export interface Route {
  readonly method: string
  readonly path: RegExp
  /** What the body must look like; none is read without it. */
  readonly body?: z.ZodType
  answer(call: Call): object | Promise<object>
}

/** A route with a body. */
export function withBody<T>(
  method: string,
  path: RegExp,
  body: z.ZodType<T>,
  answer: (call: Call<T>) => Promise<object>,
): Route {
  return { method, path, body, answer: answer as Route['answer'] }
}

/** Answers requests whose path begins with `/v1/`. @param maxBody in bytes */
export function createApi(
  verify: Verify,
  routes: readonly Route[],
  maxBody: number,
  logger: Logger,
): (request: HttpRequest) => Promise<HttpAnswer> {
  return async (request) => {
    const body = request.method === 'POST' ? request.body(maxBody) : undefined
    const caller = await authorize(verify, request)
    if (isFailure(caller)) return caller.code === 'forbidden' ? refusal(caller) : unauthorized(caller)
    const here = routes.filter(({ path }) => path.test(request.path))
    const route = here.find(({ method }) => method === request.method)
    if (!route)
      return notThere(
        request.path,
        here.map(({ method }) => method),
      )
    const call = callOf(route, request, caller.principal, await body)
    if (isFailure(call)) return refusal(call)
    try {
      const answered = await route.answer(call)
      return isFailure(answered) ? refusal(answered) : json(200, answered)
    } catch (error) {
      logger.error({ err: error, path: request.path }, 'a request to the API could not be answered')
      return refusal(outcomeUnknown(error))
    }
  }
}

/** What was asked may have been done or not; it may be asked again. */
function outcomeUnknown(error: unknown): Failure {
  if (error instanceof StorageRefused) return failure('read_only', 'the storage takes no writes now')
  return failure('internal', 'the request could not be answered')
}

async function authorize(verify: Verify, request: HttpRequest): Promise<Credential | Failure> {
  const token = bearerOf(request)
  if (token === undefined) return failure('unauthorized', 'no token came; send it as "Authorization: Bearer <token>"')
  const credential = await verify(token)
  if (isFailure(credential) || credential.principal.scopes.includes('service')) return credential
  return failure('forbidden', 'this needs a token with the scope "service"')
}

function callOf(route: Route, request: HttpRequest, caller: Principal, bytes: Buffer | undefined): Call | Failure {
  const parameters = parametersOf(route, request)
  if (!Array.isArray(parameters)) return parameters
  const body = route.body && bodyOf(route.body, bytes)
  if (body && isFailure(body)) return body
  return { parameters, query: new URLSearchParams(request.query), body, caller }
}

function bodyOf(schema: z.ZodType, bytes: Buffer | undefined): object | Failure {
  if (!bytes) return failure('too_large', 'the body is larger than a frame may be')
  const given = parseObject(bytes.toString())
  return isFailure(given) ? given : (fit(schema, given, 'the body') as object)
}

function parametersOf({ path }: Route, request: HttpRequest): string[] | Failure {
  const [, ...raw] = path.exec(request.path) ?? []
  try {
    return raw.map(decodeURIComponent)
  } catch {
    return failure('bad_frame', `the path ${request.path} is not percent-encoded UTF-8`)
  }
}

function notThere(path: string, methods: string[]): HttpAnswer {
  if (methods.length === 0) return json(404, failure('unknown_type', `the API has nothing at ${path}`))
  const allow = methods.join(', ')
  const refused = json(405, failure('unknown_type', `${path} takes ${allow}`))
  return { ...refused, headers: { ...refused.headers, Allow: allow } }
}

const refusal = (refused: Failure): HttpAnswer => json(httpStatus(refused.code), refused)
