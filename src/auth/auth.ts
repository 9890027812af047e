/**
 * Token → principal (RFC 7519, RFC 8725), and the only importer of jose.
 *
 * Always true: a principal's token had a good signature by a key of ours, an algorithm on that key's list, an expiry,
 * and a subject, and can be read in one way only. Refused before any crypto: what is longer than 8 KB or has not three
 * base64url parts. A token's text is in no message that leaves here.
 */
import { createPublicKey } from 'node:crypto'
import {
  type CryptoKey,
  createRemoteJWKSet,
  errors,
  importJWK,
  type JWK,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
  SignJWT,
} from 'jose'
import type { Config } from '../config.ts'
import { type Failure, failure } from '../errors.ts'

/** Who sends, as a machine's rules see them. */
export interface Principal {
  readonly user: string
  readonly scopes: readonly string[]
  readonly claims: Readonly<Record<string, unknown>>
}

/** A principal and the life of the token that proved it; instants are Unix epoch milliseconds. */
export interface Credential {
  readonly principal: Principal
  /** `jti`, by which the token can be revoked. */
  readonly tokenId: string | undefined
  readonly issuedAt: number | undefined
  readonly expiresAt: number
}

/** Resolves with what the token proves, or with the failure that refuses it; never rejects for a bad token. */
export type Verify = (token: string) => Promise<Credential | Failure>

const MAX_TOKEN = 8192
/** The last instant that a Date can hold, in seconds. */
const MAX_INSTANT = 8.64e12
/** Milliseconds after which the endpoint is asked again for keys that are known. */
const JWKS_MAX_AGE = 600_000
/** Milliseconds in which it is asked but once for keys that are not. */
const JWKS_COOLDOWN = 1000
/** Milliseconds that it may take to answer. */
const JWKS_TIMEOUT = 3000

type Keys = Pick<Config, 'jwtSecret' | 'jwtPublicKey' | 'jwksUrl'>
type Rules = Pick<Config, 'jwtIssuer' | 'jwtAudience' | 'clockTolerance'>

/** @throws when a key is configured that cannot be read. */
export async function createVerifier(config: Keys & Rules): Promise<Verify> {
  const { key, algorithms } = await verificationKey(config)
  const options: JWTVerifyOptions = {
    algorithms,
    clockTolerance: config.clockTolerance / 1000,
    requiredClaims: ['exp', 'sub'],
    ...(config.jwtIssuer && { issuer: config.jwtIssuer }),
    ...(config.jwtAudience && { audience: config.jwtAudience }),
  }
  return async (token) => {
    if (token.length > MAX_TOKEN) return failure('unauthorized', `a token has at most ${MAX_TOKEN} characters`)
    if (!isCompact(token)) return failure('unauthorized', 'a token has three base64url parts, divided by dots')
    try {
      const { payload, protectedHeader } = await jwtVerify(token, key, options)
      if (isAmbiguous(token, protectedHeader)) return failure('unauthorized', 'the token can be read in two ways')
      return toCredential(payload, config.clockTolerance)
    } catch (error) {
      return toFailure(error)
    }
  }
}

async function verificationKey(config: Keys): Promise<{ key: JWTVerifyGetKey; algorithms: string[] }> {
  if (config.jwksUrl) {
    return { key: remoteKeys(config.jwksUrl), algorithms: Object.values(ALGORITHMS).flat() }
  }
  if (config.jwtPublicKey) return publicKey(config.jwtPublicKey)
  const secret = await secretKey(Buffer.from(config.jwtSecret ?? ''))
  return { key: async () => secret, algorithms: ['HS256'] }
}

/** Imported here, once: bytes would be imported for each token. */
const secretKey = (bytes: Buffer): Promise<CryptoKey> =>
  crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])

/** The keys behind a URL. What is known of them goes on while the endpoint is slow or down. */
function remoteKeys(url: string): JWTVerifyGetKey {
  const keys = createRemoteJWKSet(new URL(url), {
    cacheMaxAge: Number.POSITIVE_INFINITY,
    cooldownDuration: JWKS_COOLDOWN,
    timeoutDuration: JWKS_TIMEOUT,
  })
  let staleAt = Date.now() + JWKS_MAX_AGE
  const refreshed = () => {
    staleAt = Date.now() + JWKS_MAX_AGE
  }
  return (header, token) => {
    if (Date.now() > staleAt) {
      staleAt = Date.now() + JWKS_COOLDOWN
      keys.reload().then(refreshed, () => {
        // The keys that are known stay, and the endpoint is asked again.
      })
    }
    return keys(header, token)
  }
}

/** The algorithms that a public key may be used with, by its type or curve (RFC 7518, RFC 8037). */
const ALGORITHMS: Readonly<Record<string, string[]>> = {
  RSA: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
  Ed25519: ['EdDSA', 'Ed25519'],
}

async function publicKey(pem: string): Promise<{ key: JWTVerifyGetKey; algorithms: string[] }> {
  const jwk = createPublicKey(pem.replaceAll('\\n', '\n')).export({ format: 'jwk' }) as JWK
  const algorithms = ALGORITHMS[jwk.crv ?? jwk.kty ?? '']
  if (!algorithms) throw new Error(`jwtPublicKey: a key of type ${jwk.crv ?? jwk.kty} signs no tokens`)
  const keys = new Map<string, CryptoKey | Uint8Array>()
  for (const algorithm of algorithms) keys.set(algorithm, await importJWK(jwk, algorithm))
  return { key: async ({ alg }) => keys.get(alg) as CryptoKey, algorithms }
}

/** Three base64url parts (RFC 7515 7.1), as an encoder writes them; five would be an encrypted token. */
function isCompact(token: string): boolean {
  const parts = token.split('.')
  return parts.length === 3 && parts.every((part) => part !== '' && encode(decode(part)) === part)
}

const decode = (part: string): Buffer => Buffer.from(part, 'base64url')
const encode = (bytes: Buffer): string => bytes.toString('base64url')

/** Whether another reader could take it for another token: one that knows `b64` (RFC 7797 7), or the first of two names. */
function isAmbiguous(token: string, { b64 }: { b64?: unknown }): boolean {
  const [header = '', payload = ''] = token.split('.')
  return b64 === false || [header, payload].some((part) => namesTwice(decode(part).toString()))
}

/** Whether an object in a JSON text names a member twice (RFC 7519 4, RFC 7515 4). */
function namesTwice(json: string): boolean {
  const objects: Set<string>[] = []
  for (const [mark, colon] of json.matchAll(/"(?:[^"\\]|\\.)*"(?=\s*(:)?)|[{}]/g)) {
    if (mark === '{') objects.push(new Set())
    else if (mark === '}') objects.pop()
    else if (colon) {
      const name = JSON.parse(mark)
      if (objects.at(-1)?.has(name)) return true
      objects.at(-1)?.add(name)
    }
  }
  return false
}

function toCredential(payload: JWTPayload, clockTolerance: number): Credential | Failure {
  const { sub, exp, iat, jti, scope } = payload
  if (typeof sub !== 'string' || sub.length < 1 || sub.length > 128 || /\p{Surrogate}/u.test(sub)) {
    return failure('unauthorized', '"sub" is a string of 1 to 128 characters, none of them half of a surrogate pair')
  }
  if (typeof exp !== 'number' || !(exp <= MAX_INSTANT)) return failure('unauthorized', '"exp" is no instant')
  if (jti !== undefined && typeof jti !== 'string') return failure('unauthorized', '"jti" is no string')
  if (iat !== undefined && iat * 1000 > Date.now() + clockTolerance)
    return failure('unauthorized', '"iat" lies in the future')
  return {
    principal: {
      user: sub,
      scopes: typeof scope === 'string' ? scope.split(' ').filter(Boolean) : [],
      claims: payload,
    },
    tokenId: jti,
    issuedAt: iat === undefined ? undefined : Math.floor(iat * 1000),
    expiresAt: Math.floor(exp * 1000),
  }
}

function toFailure(error: unknown): Failure {
  if (error instanceof errors.JWTExpired) return failure('token_expired', 'the token has expired')
  if (error instanceof errors.JWTClaimValidationFailed) return failure('unauthorized', `the token's ${error.message}`)
  const code = error instanceof errors.JOSEError ? error.code : (error as Error).name
  return failure('unauthorized', REASONS[code] ?? 'the token was refused')
}

const UNKNOWN = 'the keys cannot be fetched now, and none that is known fits the token'
const REASONS: Readonly<Record<string, string>> = {
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "the token's signature is not by a key of this server",
  ERR_JOSE_ALG_NOT_ALLOWED: "the token's algorithm is not one that this server's key is for",
  ERR_JWKS_NO_MATCHING_KEY: 'the token names a key that this server does not know',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'the token names no key, and several would fit',
  ERR_JWKS_TIMEOUT: UNKNOWN,
  ERR_JWKS_INVALID: UNKNOWN,
  // What is fetched is no key set, or nothing is: jose and fetch say no more.
  ERR_JOSE_GENERIC: UNKNOWN,
  TypeError: UNKNOWN,
}

export interface TokenOptions {
  /** In seconds; an hour. */
  readonly life?: number
  /** Divided by spaces. */
  readonly scope?: string
  /** Whatever else it says of the user. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** Signs a token with the server's own secret, for development and tests. */
export function signToken(secret: string, user: string, options: TokenOptions = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ ...options.claims, ...(options.scope && { scope: options.scope }) })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(user)
    .setIssuedAt(now)
    .setExpirationTime(now + (options.life ?? 3600))
    .sign(new TextEncoder().encode(secret))
}
