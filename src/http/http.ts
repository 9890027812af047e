/**
 * HTTP beside the WebSocket, on the same port: health, readiness, metrics, the playground, pages of one's own, and the
 * client for them.
 *
 * Always true: every answer has a status that says what happened; nothing here changes a room.
 */
import { readFileSync } from 'node:fs'
import { asksThisMachine, refuseHandshake } from '../connection/handshake.ts'
import { isPassedOn } from '../transport/forwarded.ts'
import { type HttpAnswer, type HttpRequest, jsonAnswer as json, textAnswer as text } from '../transport/transport.ts'
import { answerWith, bundled, once } from './asset.ts'
import { pageOf } from './pages.ts'

/** What the routes need of the server. */
export interface Site {
  readonly origins: readonly string[]
  readonly queryToken: boolean
  /** A folder of the operator's own pages. */
  readonly public?: string | undefined
  isReady(): boolean
  metrics(): Promise<{ contentType: string; body: string }>
  /** Makes a token for anybody who asks; only in development, where only this machine can ask. */
  readonly issueToken: ((user: string) => Promise<string>) | undefined
}

type Route = (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>

/** Answers any request that is not an upgrade. */
export function createSite(site: Site): Route {
  const routes: Readonly<Record<string, Route>> = {
    '/ws': (request) => refuseHandshake(request, site) ?? text(400, 'this upgrade was not understood'),
    '/health': () => json(200, { status: 'alive' }),
    '/ready': () => (site.isReady() ? json(200, { status: 'ready' }) : json(503, { status: 'not ready' })),
    '/metrics': async () => {
      const { contentType, body } = await site.metrics()
      return { status: 200, headers: { 'Content-Type': contentType }, body }
    },
    '/dev/token': (request) => developmentToken(site, request),
    ...playground(site.public === undefined ? '/' : '/playground'),
  }
  const page: Route = async (request) => {
    const own = site.public !== undefined && (await pageOf(site.public, request.path))
    return own || (request.path === '/client.js' ? clientFor(request) : text(404, 'nothing is here'))
  }
  return (request) => {
    const route = Object.hasOwn(routes, request.path) ? (routes[request.path] as Route) : page
    const isRead = request.method === 'GET' || request.method === 'HEAD' || request.path === '/ws'
    return isRead ? route(request) : text(405, 'read only', { Allow: 'GET, HEAD' })
  }
}

/** `chartroom/client` as one module. */
const client = once(() => bundled(new URL('../client/client', import.meta.url)))

const clientFor = async (request: HttpRequest): Promise<HttpAnswer> => answerWith(await client(), request)

/** Not for a foreign page that asks through a name of its own (DNS rebinding), nor for whom a proxy asks. */
async function developmentToken({ issueToken }: Site, request: HttpRequest): Promise<HttpAnswer> {
  if (!issueToken || !asksThisMachine(request) || isPassedOn(request))
    return text(404, 'tokens are made here only in development, on this machine')
  const user = new URLSearchParams(request.query).get('user') ?? ''
  if (!/^[A-Za-z0-9_.:@-]{1,128}$/.test(user)) return text(400, 'a user is 1 to 128 letters, digits or _ . : @ -')
  return json(200, { user, token: await issueToken(user) })
}

/** The playground at `path`, read once at start. */
function playground(path: string): Record<string, Route> {
  const page = (file: string, type: string): Route => {
    const body = readFileSync(new URL(`../playground/${file}`, import.meta.url))
    return () => ({ status: 200, headers: { 'Content-Type': type, ...PAGE_HEADERS }, body })
  }
  return {
    [path]: page('index.html', 'text/html; charset=utf-8'),
    '/playground.js': page('playground.js', 'text/javascript; charset=utf-8'),
    '/playground.css': page('playground.css', 'text/css; charset=utf-8'),
  }
}

const PAGE_HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-cache',
}
