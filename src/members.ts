/** Who is in a room: connections by their id, and the users behind them, each counted once however many tabs. */
export class Members {
  readonly #userOf = new Map<string, string>()
  readonly #tabs = new Map<string, number>()

  has(connection: string): boolean {
    return this.#userOf.has(connection)
  }

  hasUser(user: string): boolean {
    return this.#tabs.has(user)
  }

  users(): Iterable<string> {
    return this.#tabs.keys()
  }

  add(connection: string, user: string): void {
    if (this.#userOf.has(connection)) return
    this.#userOf.set(connection, user)
    this.#tabs.set(user, (this.#tabs.get(user) ?? 0) + 1)
  }

  delete(connection: string): void {
    const user = this.#userOf.get(connection)
    if (user === undefined) return
    this.#userOf.delete(connection)
    const tabs = (this.#tabs.get(user) ?? 0) - 1
    if (tabs > 0) this.#tabs.set(user, tabs)
    else this.#tabs.delete(user)
  }
}
