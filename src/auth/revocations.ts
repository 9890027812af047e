/**
 * Tokens that count no more (rule A4): by their id (`jti`), or all of a user's that were issued up to a moment. Kept on a
 * topic of the log, so that a restart forgets none.
 *
 * Always true: a revocation that was answered is on disk. A token id is kept for good, since a token's life cannot be
 * told from it; of a user only the latest moment counts.
 */

import { type Failure, failure } from '../errors.ts'
import { DamagedLog, encodeLine, type Log, type LogRecord, type LogSnapshot, recordsAfter } from '../log/log.ts'
import type { Credential } from './auth.ts'

/** No room has this name: it has no machine. */
const TOPIC = '$revocations'
const SNAPSHOT_EVERY = 100

export type Revocation = { readonly tokenId: string } | { readonly user: string }

interface Stored {
  readonly tokenIds: readonly string[]
  /** `[user, moment]`, Unix epoch milliseconds. */
  readonly users: readonly (readonly [string, number])[]
}

export class Revocations {
  readonly #log: Log
  readonly #tokenIds = new Set<string>()
  readonly #users = new Map<string, number>()
  #seq = 0
  #written: Promise<unknown> = Promise.resolve()

  private constructor(log: Log) {
    this.#log = log
  }

  /** Reads what was revoked before. @throws {DamagedLog} */
  static async load(log: Log): Promise<Revocations> {
    const revocations = new Revocations(log)
    await revocations.#read()
    return revocations
  }

  /** The failure that refuses a token although it is good, or `undefined`. */
  refuse({ tokenId, issuedAt, principal }: Credential): Failure | undefined {
    const moment = this.#users.get(principal.user)
    const isRevoked = tokenId !== undefined && this.#tokenIds.has(tokenId)
    if (!isRevoked && (moment === undefined || (issuedAt !== undefined && issuedAt > moment))) return undefined
    return failure('unauthorized', 'the token was revoked')
  }

  /** Resolves when the revocation is on disk; it is in force at once. @throws when the log cannot say so. */
  async revoke(revocation: Revocation, by: string): Promise<void> {
    const time = Date.now()
    this.#apply(revocation, time)
    const writing = this.#written.then(() => this.#append({ type: 'revoked', ...revocation }, by, time))
    this.#written = writing.catch(() => {})
    await writing
  }

  async #append(event: LogRecord['event'], from: string, time: number): Promise<void> {
    const seq = this.#seq + 1
    const lines = [encodeLine({ seq, event, from, time, ops: [] } satisfies LogRecord)]
    const snapshot = seq % SNAPSHOT_EVERY === 0 && { snapshot: this.#snapshot(seq) }
    const [result] = await this.#log.commit([{ topic: TOPIC, after: this.#seq, lines, ...snapshot }])
    if (result && 'damaged' in result) throw new DamagedLog(result.damaged)
    this.#seq = seq
  }

  #snapshot(seq: number): string {
    const state: Stored = { tokenIds: [...this.#tokenIds], users: [...this.#users] }
    return encodeLine({ seq, state } satisfies LogSnapshot)
  }

  async #read(): Promise<void> {
    const snapshot = await this.#log.getSnapshot(TOPIC)
    const stored = snapshot?.state as Stored | undefined
    for (const tokenId of stored?.tokenIds ?? []) this.#tokenIds.add(tokenId)
    for (const [user, moment] of stored?.users ?? []) this.#users.set(user, moment)
    this.#seq = snapshot?.seq ?? 0
    for await (const { event, time, seq } of recordsAfter(this.#log, TOPIC, this.#seq)) {
      this.#apply(event as unknown as Revocation, time)
      this.#seq = seq
    }
  }

  #apply(revocation: Revocation, time: number): void {
    if ('tokenId' in revocation) this.#tokenIds.add(revocation.tokenId)
    else this.#users.set(revocation.user, time)
  }
}
