/**
 * What one turn adds to a room: records, encoded as lines of the log, with what they make of it and what follows them.
 *
 * Always true: a seq is used only for what was accepted; what is added stands on what was added before it; nothing here is
 * told, stored or carried out.
 */

import type { Principal } from '../auth/auth.ts'
import type { DedupeWindow } from '../dedupe.ts'
import { excerpt } from '../errors.ts'
import { encodeLine, type LogRecord } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import type { RoomDocument, RoomState } from '../machine/document.ts'
import type { Moment } from '../machine/folded.ts'
import type { Hosted, Machine, Step } from '../machine/machine.ts'
import { diff } from '../patch.ts'
import type { Consequence } from './aftermath.ts'
import type { DeadLetter } from './dead-letters.ts'
import type { Members } from './members.ts'

/** A room as it stands before the turn; `state` is missing while the room is unborn. */
export interface Standing {
  readonly room: string
  readonly key: string
  readonly machine: Machine
  readonly hosted: Hosted
  readonly state: RoomState | undefined
  /** What the log has of it, where `state` is of a newer version of the machine. */
  readonly outdated: RoomDocument | undefined
  readonly seq: number
  readonly keys: DedupeWindow
  readonly members: Members
  /** What somebody may see of it. */
  readonly audience: { see(state: RoomState, who: Principal): unknown }
  /** `false`: the storage refuses writes, and a turn that adds nothing is all that can be. */
  readonly isWritable: boolean
}

/** An event on which the machine threw, as it came. */
export type Undelivered = Pick<DeadLetter, 'event' | 'from' | 'key' | 'to'>

type Happened = Omit<LogRecord, 'time' | 'key'> & { readonly key?: string | undefined }

/** A record that was accepted, encoded, with what it makes of the room. */
export interface Entry extends Step {
  readonly record: LogRecord
  readonly line: string
}

export class Changes {
  /** What was accepted, and the same as lines of the log. */
  readonly records: LogRecord[] = []
  readonly lines: string[] = []
  readonly effects: Consequence[] = []
  /** What the machine threw on, and the numbers of such letters that are done with. */
  readonly letters: DeadLetter[] = []
  readonly removed: number[] = []
  /** How often it threw. */
  failures = 0
  readonly time = Date.now()
  state: RoomState | undefined
  seq: number
  readonly #room: string
  readonly #isWritable: boolean
  readonly #logger: Logger

  constructor({ room, state, seq, isWritable }: Standing, logger: Logger) {
    this.#room = room
    this.#isWritable = isWritable
    this.#logger = logger
    this.state = state
    this.seq = seq
  }

  /** When and where a record would happen. */
  moment(seq = this.seq + 1): Moment {
    return { now: this.time, seq }
  }

  /** Encodes the record at once, so that a state that is no JSON is its own event's fault. @throws {TypeError} */
  entry({ seq, event, from, key, ops }: Happened, { state, effects }: Step): Entry {
    const { time } = this
    const record: LogRecord = key === undefined ? { seq, event, from, ops, time } : { seq, event, from, key, ops, time }
    return { record, line: encodeLine(record), state, effects }
  }

  append({ record, line, state, effects }: Entry): undefined {
    const { seq } = record
    this.seq = seq
    this.state = state
    this.records.push(record)
    this.lines.push(line)
    for (const effect of effects) this.effects.push({ seq, effect })
  }

  /** The machine threw; the event that it threw on is kept with the state before it, where anything can be written. */
  threw(type: string, error: unknown, undelivered?: Undelivered): void {
    this.failures++
    const said = wordsOf(error)
    this.#tellThrown(type, said, error, undelivered?.from ?? null)
    const { time, seq: base, state } = this
    if (!undelivered || !this.#isWritable) return
    this.letters.push({ ...undelivered, time, base, error: said, state: state?.document ?? null })
  }

  /** One line for the operator, since any client may bring it about; the stack is for whoever debugs the machine. */
  #tellThrown(type: string, { name, message }: DeadLetter['error'], error: unknown, from: string | null): void {
    const event = excerpt(type)
    const at = placeOf(error)
    this.#logger.warn({ room: this.#room, event, from, error: `${name}: ${message}`, at }, 'the machine threw')
    this.#logger.debug({ room: this.#room, event, err: error }, 'the machine threw')
  }
}

/** The line that threw, as the stack has it; XState tells of a guard in an error of its own, which has none. */
function placeOf(error: unknown): string | undefined {
  const stack = error instanceof Error ? error.stack : undefined
  const [, line] = /^\s+at (.*)$/m.exec(stack ?? '') ?? []
  return line?.includes('node_modules') ? undefined : line
}

/** What was thrown, whatever that is: it need not be an error, nor turn into text. */
function wordsOf(error: unknown): DeadLetter['error'] {
  try {
    const { name, message } = error instanceof Error ? error : { name: typeof error, message: String(error) }
    return { name: excerpt(String(name)), message: excerpt(String(message)) }
  } catch {
    return { name: typeof error, message: 'it has no words' }
  }
}

/** @throws {PatchError} where `after` is no JSON. */
export const diffOf = (before: RoomState, after: RoomState) => diff(before.document, after.document)
