/**
 * What happens to a room though no client sent it: users come and go, delays are due, invoked work has something to say,
 * the machine is of a newer version.
 *
 * Always true: each is a record, from nobody; a machine that does not take it, or throws on it, stays as it is, and the
 * record stands. While the storage refuses writes nothing happens, and waits.
 */

import type { LogRecord } from '../log/log.ts'
import { type RoomState, withPresent } from '../machine/document.ts'
import type { Arrival } from '../machine/live.ts'
import type { Step } from '../machine/machine.ts'
import { diff } from '../patch.ts'
import type { RoomEvent } from '../protocol.ts'
import { type Changes, diffOf, type Entry, type Standing, type Undelivered } from './changes.ts'

/** From `before`, once the occasion itself is `prepared`, to the actor at `path`. */
interface Happening {
  readonly before: RoomState
  readonly prepared: RoomState
  readonly path?: string
  /** Whether the machine has a transition for it anywhere. */
  readonly isKnown?: boolean
}

export class Occurrences {
  readonly #standing: Standing
  readonly #changes: Changes

  constructor(standing: Standing, changes: Changes) {
    this.#standing = standing
    this.#changes = changes
  }

  /** What is to be settled before anybody's request. */
  settle(): void {
    this.#settleMigration()
    this.#settleDowntime()
    this.#settlePresence()
    this.#settleTimers()
  }

  /** A room that was stored by an older version of its machine goes on as one of this version. */
  #settleMigration(): void {
    const { outdated, isWritable } = this.#standing
    const { state } = this.#changes
    if (!outdated || !state || !isWritable) return
    const event = { type: 'room.migrated', from: outdated.version, to: state.document.version }
    this.#record(event, diff(outdated, state.document), { state, effects: [] })
  }

  /** After a downtime the delays are those that the machine's policy says, before any of them fires. */
  #settleDowntime(): void {
    const { hosted, isWritable } = this.#standing
    const before = this.#changes.state
    if (!before || !isWritable) return
    const state = hosted.rescheduled(before)
    if (state === before) return
    this.#record({ type: 'room.rescheduled' }, diffOf(before, state), { state, effects: [] })
  }

  /** Tells the machine of everybody whom it has not heard of: after a crash, or while nothing could be written. */
  #settlePresence(): void {
    for (const user of this.#standing.members.unsettled) this.tellPresence(user)
  }

  /** `room.joined` or `room.left`, where the members say otherwise than the document (rule S8). */
  tellPresence(user: string): void {
    const { machine, members, isWritable } = this.#standing
    const { state } = this.#changes
    if (!state || !isWritable) return
    members.settle(user)
    if (!machine.hasPresence) return
    const { present } = state.document
    const isIn = members.hasUser(user)
    if (isIn === present.includes(user)) return
    const event = { type: isIn ? 'room.joined' : 'room.left', user }
    const isKnown = machine.declares(event.type)
    this.#happen(event, { before: state, prepared: withPresent(state, user, isIn), isKnown })
  }

  /** What waited for its time, and is due (rule S6). What is set meanwhile waits for the next turn, even for 0 ms. */
  #settleTimers(): void {
    if (!this.#standing.isWritable) return
    for (const due of this.#changes.state?.delays ?? []) {
      if (due.dueAt > this.#changes.time) return
      const before = this.#changes.state as RoomState
      if (!before.delays.includes(due)) continue
      const prepared = this.#standing.hosted.without(before, due)
      this.#happen(due.event, { before, prepared, path: due.to })
    }
  }

  /** What invoked work brings. Nothing is made of what an earlier activation began, or the machine has ended. */
  arrive(arrival: Arrival): void {
    const before = this.#changes.state
    if (!before || !this.#standing.isWritable) return
    const prepared = this.#standing.hosted.received(before, arrival)
    if (prepared) this.#happen(arrival.event, { before, prepared, path: arrival.to })
  }

  #happen(given: RoomEvent, { before, prepared, path, isKnown = true }: Happening): void {
    const { seq } = this.#changes.moment()
    const event = toJson(given)
    const entryOf = (step: Step | undefined): Entry => {
      const { state, effects } = step ?? { state: prepared, effects: [] }
      return this.#changes.entry({ seq, event, from: null, ops: diffOf(before, state) }, { state, effects })
    }
    const taken = (): Entry => entryOf(isKnown ? this.#transition(prepared, given, path) : undefined)
    const undelivered = { event, from: null, ...(path && { to: path }) }
    this.#changes.append(this.#guarded(undelivered, taken) ?? entryOf(undefined))
  }

  /**
   * Something that the machine threw on happens again, and is a record only if the machine takes it now.
   * @returns its seq, or `undefined`. @throws what the machine throws.
   */
  repeat({ event, to }: Undelivered): number | undefined {
    const before = this.#changes.state
    const step = before && this.#transition(before, event, to)
    if (!step) return undefined
    this.#record(event, diffOf(before, step.state), step)
    return this.#changes.seq
  }

  /** What happened, from nobody. */
  #record(event: RoomEvent, ops: LogRecord['ops'], step: Step): void {
    const { seq } = this.#changes.moment()
    this.#changes.append(this.#changes.entry({ seq, event, from: null, ops }, step))
  }

  /** @throws what the machine throws. */
  #transition(prepared: RoomState, given: RoomEvent, path?: string): Step | undefined {
    const moment = this.#changes.moment()
    const event = { ...given, from: null, time: moment.now, seq: moment.seq }
    return this.#standing.hosted.transition(prepared, event, moment, path)
  }

  #guarded(undelivered: Undelivered, run: () => Entry): Entry | undefined {
    try {
      return run()
    } catch (error) {
      this.#changes.threw(undelivered.event.type, error, undelivered)
      return undefined
    }
  }
}

/** An event as a record can hold it: an error by its name and message, and of what is no JSON the type alone. */
function toJson(event: RoomEvent): RoomEvent {
  const { type, error } = event
  if (error instanceof Error) return toJson({ ...event, error: { name: error.name, message: error.message } })
  try {
    return JSON.parse(JSON.stringify(event))
  } catch {
    return { type }
  }
}
