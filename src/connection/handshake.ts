/**
 * The opening handshake (RFC 6455 4.2.1): whether a request may become a WebSocket, and the token that it carries.
 *
 * Always true: what passes here is a version 13 upgrade from an origin on the list. uWebSockets.js looks at nothing
 * but the length of the key, so everything else is looked at here, before the upgrade.
 */
import { isLoopback } from '../config.ts'
import type { Failure } from '../errors.ts'
import { SUBPROTOCOL } from '../subprotocol.ts'
import { type HttpAnswer, type RequestHead, textAnswer as refusal } from '../transport/transport.ts'

export interface HandshakeRules {
  /** Browser origins that may connect, `*` for any; none for those of the same host. */
  readonly origins: readonly string[]
  /** Whether `?access_token=` counts as a token. */
  readonly queryToken: boolean
}

/** @returns the answer that refuses the request, or `undefined` when it may be upgraded. */
export function refuseHandshake(request: RequestHead, rules: HandshakeRules): HttpAnswer | undefined {
  if (request.method !== 'GET') return refusal(405, 'a WebSocket begins with GET', { Allow: 'GET' })
  if (!tokens(request.header('upgrade')).includes('websocket')) {
    return refusal(426, 'this is a WebSocket: ask for an upgrade', { Upgrade: 'websocket', Connection: 'Upgrade' })
  }
  if (!tokens(request.header('connection')).includes('upgrade')) return refusal(400, '"Connection" must hold "Upgrade"')
  if (request.header('sec-websocket-version') !== '13') {
    return refusal(426, 'the WebSocket version must be 13', {
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Version': '13',
    })
  }
  if (!isKey(request.header('sec-websocket-key'))) return refusal(400, '"Sec-WebSocket-Key" must be 16 bytes in base64')
  if (!AUTHORITY.test(request.header('host'))) return refusal(400, '"Host" must be one host, and a port perhaps')
  if (!isAllowedOrigin(request, rules.origins)) return refusal(403, 'this origin may not connect')
  return undefined
}

/** The token of a request, by the first way of rule C1 that it takes; `undefined` where it takes none. */
export function tokenOf(request: RequestHead, rules: HandshakeRules): string | undefined {
  const bearer = bearerOf(request)
  if (bearer !== undefined) return bearer
  const offered = offeredSubprotocols(request).find((name) => name.startsWith(BEARER))
  if (offered !== undefined) return offered.slice(BEARER.length)
  return rules.queryToken ? (new URLSearchParams(request.query).get('access_token') ?? undefined) : undefined
}

/** The token of an `Authorization: Bearer` header (RFC 6750 2.1); empty where it names none. */
export function bearerOf(request: RequestHead): string | undefined {
  const [isBearer, token] = /^bearer(?: +(.*))?$/i.exec(request.header('authorization')) ?? []
  return isBearer === undefined ? undefined : (token ?? '').trim()
}

/** The one subprotocol that is echoed: ours, where it was offered. */
export function subprotocolOf(request: RequestHead, ours: string = SUBPROTOCOL): string | undefined {
  return offeredSubprotocols(request).includes(ours) ? ours : undefined
}

/** Rule C2: a refused token is answered over HTTP, in the words of RFC 6750 3. */
export function unauthorized(failure: Failure): HttpAnswer {
  return {
    status: 401,
    headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"', 'Content-Type': 'application/json' },
    body: JSON.stringify(failure),
  }
}

/** A request that the server cannot wait to answer otherwise. @param retryAfter milliseconds, told as seconds (RFC 9110 10.2.3). */
export function unavailable(message: string, retryAfter = 0): HttpAnswer {
  return refusal(503, message, { 'Retry-After': `${Math.ceil(retryAfter / 1000)}` })
}

const BEARER = 'bearer.'

function offeredSubprotocols(request: RequestHead): string[] {
  return request
    .header('sec-websocket-protocol')
    .split(',')
    .map((name) => name.trim())
}

const tokens = (header: string): string[] => header.split(',').map((token) => token.trim().toLowerCase())

/** 16 bytes in base64 are 22 digits, the last of which has four bits to spare, and two "=" (RFC 6455 4.1). */
const isKey = (key: string): boolean => /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key)

/** RFC 6455 10.2. No origin: not a browser, and nothing that an origin could protect. */
function isAllowedOrigin(request: RequestHead, origins: readonly string[]): boolean {
  const origin = request.header('origin')
  if (origin === '') return true
  if (origin === 'null') return false
  if (origins.length > 0) return origins.includes('*') || origins.includes(origin)
  return sameHost(origin, request.header('host'))
}

/** What may stand in `Host` (RFC 9112 3.2): nothing of a path, a user, or a second host. */
const AUTHORITY = /^[^\s,/?#@\\]+$/
/** A serialized origin (RFC 6454 6.2). */
const ORIGIN = /^https?:\/\/[^\s,/?#@\\]+$/i

/** Whether an origin is the very host that is asked, port and all. */
export function sameHost(origin: string, host: string): boolean {
  if (!ORIGIN.test(origin) || !URL.canParse(origin)) return false
  const { protocol, host: originHost } = new URL(origin)
  return URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === originHost
}

/** Whether the `Host` is this machine's own name: a page that came by another one (DNS rebinding) asks under that. */
export const asksThisMachine = (request: RequestHead): boolean =>
  isLoopback(
    request
      .header('host')
      .replace(/:\d+$/, '')
      .replace(/^\[(.*)\]$/, '$1'),
  )
