/**
 * The dedupe window (rule L3): which idempotency keys a user has used in a room, and the seq of each.
 *
 * Always true: the last 1,000 keys of a user that are younger than 10 minutes are known; what it forgets is older or
 * further back.
 */

const WINDOW = 10 * 60_000
const KEYS_PER_USER = 1000

/** `[user, key, seq, time]`, as it stands in a snapshot. */
export type UsedKey = readonly [user: string, key: string, seq: number, time: number]

export class DedupeWindow {
  readonly #users = new Map<string, Map<string, { seq: number; time: number }>>()

  constructor(used: readonly UsedKey[] = []) {
    for (const [user, key, seq, time] of used) this.use(user, key, seq, time)
  }

  /** The seq that `key` was first used for, or `undefined` when it is new or forgotten. */
  seqOf(user: string, key: string, now: number): number | undefined {
    const used = this.#users.get(user)?.get(key)
    return used && now - used.time <= WINDOW ? used.seq : undefined
  }

  use(user: string, key: string, seq: number, time: number): void {
    const keys = this.#users.get(user) ?? new Map<string, { seq: number; time: number }>()
    this.#users.set(user, keys)
    keys.delete(key)
    keys.set(key, { seq, time })
    for (const [oldest, used] of keys) {
      if (keys.size <= KEYS_PER_USER && time - used.time <= WINDOW) break
      keys.delete(oldest)
    }
  }

  /** Everything known at `now`, for a snapshot. */
  entries(now: number): UsedKey[] {
    const entries: UsedKey[] = []
    for (const [user, keys] of this.#users) {
      for (const [key, { seq, time }] of keys) if (now - time <= WINDOW) entries.push([user, key, seq, time])
    }
    return entries
  }
}
