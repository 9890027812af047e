/**
 * The rooms of one machine as they move: how many are in which state, and how often each edge was taken in the last minute.
 *
 * Always true: a room that was put somewhere is followed by what it commits, so that it is read once and never again.
 */

import type { LogRecord } from '../log/log.ts'
import type { RoomDocument } from '../machine/document.ts'
import { applyPatch } from '../patch.ts'
import type { ChartIndex } from './configuration.ts'
import { taken } from './taken.ts'

/** Seconds over which edges are counted. */
const MINUTE = 60

export class Traffic {
  readonly #index: ChartIndex
  /** The active states of each room. */
  readonly #rooms = new Map<string, readonly string[]>()
  readonly #states = new Map<string, number>()
  readonly #seconds: { readonly second: number; readonly edges: Map<string, number> }[] = []

  constructor(index: ChartIndex) {
    this.#index = index
  }

  /** Rooms of which it is known where they are. */
  get size(): number {
    return this.#rooms.size
  }

  has(room: string): boolean {
    return this.#rooms.has(room)
  }

  /** By the node's id. */
  get states(): Record<string, number> {
    return Object.fromEntries([...this.#states].filter(([, rooms]) => rooms > 0))
  }

  /** By the edge's id, a minute. */
  get edges(): Record<string, number> {
    this.#forget()
    const sums = new Map<string, number>()
    for (const { edges } of this.#seconds) for (const [id, n] of edges) add(sums, id, n)
    return Object.fromEntries(sums)
  }

  /** A room stands as its document says; in no state where that is not known. */
  put(room: string, document: RoomDocument | undefined): void {
    this.#move(room, document ? this.#index.activeOf(document.value) : [])
  }

  /** A room has committed. */
  hear(room: string, records: readonly LogRecord[], start: RoomDocument | undefined): void {
    const { edges } = this.#now()
    let document = start
    let before = document ? this.#index.activeOf(document.value) : []
    for (const { event, ops } of records) {
      document = applyPatch(document as RoomDocument, ops)
      const after = this.#index.activeOf(document.value)
      for (const id of taken(this.#index, { before, after, type: event.type })) add(edges, id, 1)
      before = after
    }
    this.#move(room, before)
  }

  #move(room: string, active: readonly string[]): void {
    for (const id of this.#rooms.get(room) ?? []) add(this.#states, id, -1)
    for (const id of active) add(this.#states, id, 1)
    this.#rooms.set(room, active)
  }

  #now(): { readonly edges: Map<string, number> } {
    const second = Math.floor(Date.now() / 1000)
    const last = this.#seconds.at(-1)
    if (last?.second === second) return last
    this.#forget()
    const next = { second, edges: new Map<string, number>() }
    this.#seconds.push(next)
    return next
  }

  #forget(): void {
    const oldest = Math.floor(Date.now() / 1000) - MINUTE
    while (this.#seconds[0] && this.#seconds[0].second <= oldest) this.#seconds.shift()
  }
}

function add(counts: Map<string, number>, id: string, n: number): void {
  counts.set(id, (counts.get(id) ?? 0) + n)
}
