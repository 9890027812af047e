/**
 * The server API for back ends, under `/v1`: who holds a token with the scope `service` may end connections and tokens,
 * and ask what became of a connection.
 *
 * Always true: nothing is done for a token that the WebSocket would refuse, or one without the scope; a refusal is an
 * `error` frame without an `id`.
 */
import type { Credential, Verify } from './auth.ts'
import { type Failure, failure, httpStatus, isFailure } from './errors.ts'
import { bearerOf, unauthorized } from './handshake.ts'
import type { Story } from './journal.ts'
import type { Revocation } from './revocations.ts'
import { type HttpAnswer, type HttpRequest, jsonAnswer as json } from './transport.ts'

/** What the API needs of the server. */
export interface Service {
  readonly verify: Verify
  /** Resolves when the revocation is durable, with the number of connections that it ended. */
  revoke(revocation: Revocation, by: string): Promise<number>
  storyOf(connection: string): Story | undefined
}

interface Route {
  readonly method: string
  readonly path: RegExp
  answer(parameters: string[], by: string): Promise<HttpAnswer>
}

/** Answers requests whose path begins with `/v1/`. */
export function createApi(service: Service): (request: HttpRequest) => Promise<HttpAnswer> {
  const revoke = async (revocation: Revocation, by: string): Promise<HttpAnswer> =>
    json(200, { type: 'ok', connections: await service.revoke(revocation, by) })
  const routes: readonly Route[] = [
    {
      method: 'GET',
      path: /^\/v1\/connections\/([^/]+)$/,
      answer: async ([connection = '']) => {
        const story = service.storyOf(connection)
        return story
          ? json(200, story)
          : json(404, failure('unknown_type', `nothing is known of ${connection} any more`))
      },
    },
    {
      method: 'DELETE',
      path: /^\/v1\/users\/([^/]+)\/connections$/,
      answer: ([user = ''], by) => revoke({ user }, by),
    },
    {
      method: 'DELETE',
      path: /^\/v1\/tokens\/([^/]+)$/,
      answer: ([tokenId = ''], by) => revoke({ tokenId }, by),
    },
  ]
  return async (request) => {
    const caller = await authorize(service.verify, request)
    if (isFailure(caller)) return caller.code === 'forbidden' ? refusal(caller) : unauthorized(caller)
    const here = routes.filter(({ path }) => path.test(request.path))
    const route = here.find(({ method }) => method === request.method)
    if (!route) return notThere(here.map(({ method }) => method))
    const parameters = parametersOf(route, request)
    if (isFailure(parameters)) return refusal(parameters)
    return route.answer(parameters as string[], (caller as Credential).principal.user)
  }
}

async function authorize(verify: Verify, request: HttpRequest): Promise<Credential | Failure> {
  const credential = await verify(bearerOf(request) ?? '')
  if (isFailure(credential) || credential.principal.scopes.includes('service')) return credential
  return failure('forbidden', 'this needs a token with the scope "service"')
}

function parametersOf({ path }: Route, request: HttpRequest): string[] | Failure {
  const [, ...raw] = path.exec(request.path) ?? []
  try {
    return raw.map(decodeURIComponent)
  } catch {
    return failure('bad_frame', `the path ${request.path} is not percent-encoded UTF-8`)
  }
}

function notThere(methods: string[]): HttpAnswer {
  const refused = json(methods.length > 0 ? 405 : 404, failure('unknown_type', 'the API has nothing here'))
  return methods.length > 0 ? { ...refused, headers: { ...refused.headers, Allow: methods.join(', ') } } : refused
}

const refusal = (refused: Failure): HttpAnswer => json(httpStatus(refused.code), refused)
