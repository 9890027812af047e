/** Tokens of the load's users, signed by the generator itself: HS256 by a shared secret, ES256 by a private key. */
import { createHmac, sign } from 'node:crypto'

/** Makes a user's token. */
export type Signer = (user: string) => string

/** How tokens are signed: an HMAC secret, or a P-256 private key as PEM. */
export interface TokenKey {
  readonly alg: 'HS256' | 'ES256'
  readonly key: string
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** @param claims beside who it is for and until when */
export function signerOf({ alg, key }: TokenKey, claims: object = {}): Signer {
  const header = part({ alg, typ: 'JWT' })
  const iat = Math.floor(Date.now() / 1000)
  return (user) => {
    const content = `${header}.${part({ ...claims, sub: user, iat, exp: iat + 86_400 })}`
    return `${content}.${alg === 'HS256' ? mac(key, content) : signature(key, content)}`
  }
}

const mac = (key: string, content: string): string => createHmac('sha256', key).update(content).digest('base64url')

/** As a JWS has it: r and s in 32 bytes each (RFC 7518 3.4). */
const signature = (key: string, content: string): string =>
  sign('sha256', Buffer.from(content), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')
