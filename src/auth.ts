/**
 * Token → principal (RFC 7519, RFC 8725), and the only importer of jose.
 *
 * Always true: a principal's token had a good signature by a key of ours, an algorithm on that key's list, an expiry,
 * and a subject. Refused before any crypto: what is longer than 8 KB or has not three parts. A token's text is in no
 * message that leaves here.
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
import type { Config } from './config.ts'
import { type Failure, failure } from './errors.ts'

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
/** Three non-empty base64url parts (RFC 7515 7.1); five would be an encrypted token. */
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/
/** The last instant that a Date can hold, in seconds. */
const MAX_INSTANT = 8.64e12

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
    if (!COMPACT_JWS.test(token)) return failure('unauthorized', 'a token has three base64url parts, divided by dots')
    try {
      return toCredential((await jwtVerify(token, key, options)).payload, config.clockTolerance)
    } catch (error) {
      return toFailure(error)
    }
  }
}

async function verificationKey(config: Keys): Promise<{ key: JWTVerifyGetKey; algorithms: string[] }> {
  if (config.jwksUrl) {
    return { key: createRemoteJWKSet(new URL(config.jwksUrl)), algorithms: Object.values(ALGORITHMS).flat() }
  }
  if (config.jwtPublicKey) return publicKey(config.jwtPublicKey)
  const secret = await importJWK({ kty: 'oct', k: Buffer.from(config.jwtSecret ?? '').toString('base64url') }, 'HS256')
  return { key: async () => secret, algorithms: ['HS256'] }
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

function toCredential(payload: JWTPayload, clockTolerance: number): Credential | Failure {
  const { sub, exp, iat, jti, scope } = payload
  if (typeof sub !== 'string' || sub.length < 1 || sub.length > 128) {
    return failure('unauthorized', '"sub" is a string of 1 to 128 characters')
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
    issuedAt: iat === undefined ? undefined : iat * 1000,
    expiresAt: exp * 1000,
  }
}

function toFailure(error: unknown): Failure {
  if (error instanceof errors.JWTExpired) return failure('token_expired', 'the token has expired')
  if (error instanceof errors.JWTClaimValidationFailed) return failure('unauthorized', `the token's ${error.message}`)
  return failure('unauthorized', error instanceof errors.JOSEError ? (REASONS[error.code] ?? REFUSED) : REFUSED)
}

const REFUSED = 'the token was refused'
const REASONS: Readonly<Record<string, string>> = {
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "the token's signature is not by a key of this server",
  ERR_JOSE_ALG_NOT_ALLOWED: "the token's algorithm is not one that this server's key is for",
  ERR_JWKS_NO_MATCHING_KEY: 'the token names a key that this server does not know',
}

/** Signs a token with the server's own secret, for development and tests. @param life in seconds. */
export function signToken(
  secret: string,
  user: string,
  options: { life?: number; scope?: string } = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT(options.scope ? { scope: options.scope } : {})
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(user)
    .setIssuedAt(now)
    .setExpirationTime(now + (options.life ?? 3600))
    .sign(new TextEncoder().encode(secret))
}
