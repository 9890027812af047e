/**
 * Who may look: in development whoever sits at this machine, and everything is allowed; otherwise who brings a token with
 * the scope `inspect`, and to send, `inspect:send` (rule C1).
 *
 * Always true: a web page of another site gets in by no door. Its `Origin` is another host's, and where a request has none,
 * as that of an `<img>`, the browser says by `Sec-Fetch-Site` whose it is; where it comes through a name of its own (DNS
 * rebinding), the `Host` is another; and what a proxy passes on comes from elsewhere.
 */
import { BlockList, isIP } from 'node:net'
import type { Credential, Principal, Verify } from '../auth/auth.ts'
import { asksThisMachine, bearerOf, sameHost } from '../connection/handshake.ts'
import { type Failure, failure, isFailure } from '../errors.ts'
import { isPassedOn } from '../transport/forwarded.ts'
import type { RequestHead } from '../transport/transport.ts'

/** One who looks. */
export interface Visitor {
  readonly principal: Principal
  readonly maySend: boolean
  /** Missing where no token was needed. */
  readonly credential?: Credential
}

const SCOPES = ['inspect', 'inspect:send']

/** Who needs no token. */
const AT_HOME: Visitor = { principal: { user: 'inspector', scopes: SCOPES, claims: {} }, maySend: true }

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Whether an address, of the socket's own, is this machine's; an IPv4 one may be written as IPv6. */
export function isOurs(address: string): boolean {
  const family = isIP(address)
  return family !== 0 && loopback.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

/** @returns the visitor who needs no token; `undefined` where one is needed. */
export function atHome(request: RequestHead, production: boolean): Visitor | undefined {
  if (production || !isOurs(request.peerAddress)) return undefined
  if (isPassedOn(request) || isForeign(request)) return undefined
  if (!asksThisMachine(request)) return undefined
  const origin = request.header('origin')
  return origin === '' || sameHost(origin, request.header('host')) ? AT_HOME : undefined
}

/** Whether a browser says that another site's page asks (Fetch Metadata); a `none` is its own user. */
const isForeign = (request: RequestHead): boolean =>
  !['', 'same-origin', 'none'].includes(request.header('sec-fetch-site'))

/** The visitor that a token proves. */
export async function visitorBy(token: string, verify: Verify): Promise<Visitor | Failure> {
  const credential = await verify(token)
  if (isFailure(credential)) return credential
  const { principal } = credential
  if (!principal.scopes.includes('inspect')) return failure('forbidden', 'this needs a token with the scope "inspect"')
  return { principal, maySend: principal.scopes.includes('inspect:send'), credential }
}

/** Who asks over HTTP. */
export async function visitorOf(request: RequestHead, production: boolean, verify: Verify): Promise<Visitor | Failure> {
  const visitor = atHome(request, production)
  if (visitor) return visitor
  const token = bearerOf(request)
  if (token === undefined) return failure('unauthorized', 'no token came; send it as "Authorization: Bearer <token>"')
  return visitorBy(token, verify)
}
