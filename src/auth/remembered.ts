/**
 * Tokens that were found good before: tabs come back with the one that they had, after a network's hiccup all at once.
 *
 * Always true: what is remembered holds only while time can have changed nothing, from when it was verified until it
 * expires; whether a token was revoked is asked behind this, each time. Kept is a digest, not the token.
 */
import { hash } from 'node:crypto'
import { isFailure } from '../errors.ts'
import type { Credential, Verify } from './auth.ts'

/** Tokens that are remembered; the oldest is forgotten first. */
const MOST = 10_000

interface Remembered {
  readonly credential: Credential
  /** Unix epoch milliseconds: before, it may not have been in force yet. */
  readonly since: number
}

/** @param verify by keys that stay: nothing is asked of them a second time. */
export function remembering(verify: Verify): Verify {
  const remembered = new Map<string, Remembered>()
  return async (token) => {
    const since = Date.now()
    const digest = hash('sha256', token, 'base64')
    const known = remembered.get(digest)
    if (known && isInForce(known, since)) return known.credential
    const verdict = await verify(token)
    if (isFailure(verdict)) return verdict
    remembered.set(digest, { credential: verdict, since })
    if (remembered.size > MOST) forgetOldest(remembered)
    return verdict
  }
}

const isInForce = ({ credential, since }: Remembered, now: number): boolean =>
  since <= now && now < credential.expiresAt

function forgetOldest(remembered: Map<string, unknown>): void {
  const [oldest] = remembered.keys()
  if (oldest !== undefined) remembered.delete(oldest)
}
