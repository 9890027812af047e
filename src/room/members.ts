/**
 * Who is in a room: connections by their id, and the users behind them, each counted once however many tabs; and whose
 * coming or going the room's machine has not heard of.
 */
export class Members {
  readonly #unsettled = new Set<string>()
  readonly #userOf = new Map<string, string>()
  readonly #tabs = new Map<string, number>()

  has(connection: string): boolean {
    return this.#userOf.has(connection)
  }

  hasUser(user: string): boolean {
    return this.#tabs.has(user)
  }

  /** Users of whom the machine may believe otherwise. */
  get unsettled(): ReadonlySet<string> {
    return this.#unsettled
  }

  /** The machine believes that these users are in. */
  believed(present: readonly string[]): void {
    for (const user of present) if (!this.#unsettled.delete(user)) this.#unsettled.add(user)
  }

  /** The machine knows of this one. */
  settle(user: string): void {
    this.#unsettled.delete(user)
  }

  add(connection: string, user: string): void {
    if (this.#userOf.has(connection)) return
    this.#userOf.set(connection, user)
    const tabs = this.#tabs.get(user) ?? 0
    this.#tabs.set(user, tabs + 1)
    if (tabs === 0) this.#unsettled.add(user)
  }

  delete(connection: string): void {
    const user = this.#userOf.get(connection)
    if (user === undefined) return
    this.#userOf.delete(connection)
    const tabs = (this.#tabs.get(user) ?? 0) - 1
    if (tabs > 0) {
      this.#tabs.set(user, tabs)
      return
    }
    this.#tabs.delete(user)
    this.#unsettled.add(user)
  }
}
