/**
 * A machine's rooms all at once: how many are in which state, and how often each edge was taken in the last minute.
 *
 * Always true: what rooms do is counted only while somebody looks at that machine; a count begins with the first look.
 */
import type { RoomDocument } from '../document.ts'
import type { LogRecord } from '../log.ts'
import { applyPatch } from '../patch.ts'
import type { Rooms } from '../rooms.ts'
import type { ChartIndex } from './configuration.ts'
import type { Lookout } from './lookout.ts'
import { taken } from './taken.ts'
import type { Overview } from './told.ts'

/** Milliseconds without a look after which nobody looks any more. */
const PATIENCE = 10_000
/** Seconds over which is counted. */
const MINUTE = 60

export class Overviews {
  readonly #rooms: Rooms
  readonly #lookout: Lookout
  readonly #counts = new Map<string, Count>()

  constructor(rooms: Rooms, lookout: Lookout) {
    this.#rooms = rooms
    this.#lookout = lookout
  }

  of(machine: string, index: ChartIndex): Overview {
    const count = this.#counts.get(machine) ?? this.#begin(machine, index)
    count.lookedAt = Date.now()
    const states: Record<string, number> = {}
    let rooms = 0
    for (const { name, place } of this.#rooms.all()) {
      if (!place.document || !name.startsWith(`${machine}/`)) continue
      rooms++
      for (const id of index.activeOf(place.document.value)) states[id] = (states[id] ?? 0) + 1
    }
    return { machine, rooms, states, edges: count.edges }
  }

  #begin(machine: string, index: ChartIndex): Count {
    const count = new Count(index)
    const end = this.#lookout.rooms((room, records, before) => {
      if (Date.now() - count.lookedAt > PATIENCE) {
        end()
        this.#counts.delete(machine)
      } else if (room.startsWith(`${machine}/`)) count.add(records, before)
    })
    this.#counts.set(machine, count)
    return count
  }
}

/** Edges that were taken, second by second. */
class Count {
  lookedAt = Date.now()
  readonly #index: ChartIndex
  readonly #seconds: { readonly second: number; readonly edges: Map<string, number> }[] = []

  constructor(index: ChartIndex) {
    this.#index = index
  }

  get edges(): Record<string, number> {
    this.#forget()
    const sums: Record<string, number> = {}
    for (const { edges } of this.#seconds) for (const [id, n] of edges) sums[id] = (sums[id] ?? 0) + n
    return sums
  }

  add(records: readonly LogRecord[], start: RoomDocument | undefined): void {
    const { edges } = this.#now()
    let document = start
    let before = document ? this.#index.activeOf(document.value) : []
    for (const { event, ops } of records) {
      document = applyPatch(document as RoomDocument, ops)
      const after = this.#index.activeOf(document.value)
      for (const id of taken(this.#index, { before, after, type: event.type })) edges.set(id, (edges.get(id) ?? 0) + 1)
      before = after
    }
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
