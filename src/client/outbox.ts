/**
 * What was sent and not answered yet, in order, across connections.
 *
 * Always true: an event has the same key on every connection (rule L3), so one that was perhaps stored is not stored
 * twice, and the order of a room's events is that of their `send`. What was on its way longer than the server remembers
 * keys is not sent again: its outcome is unknown, and is told as that. There are at most `limit` of them.
 */
import type { RoomEvent } from '../protocol.ts'
import type { Clock } from './clock.ts'
import type { Line, Reply } from './line.ts'
import { ChartroomError } from './refusal.ts'

/** What became of an event: it is on disk, as record `seq` of its room. */
export interface Sent {
  readonly room: string
  readonly seq: number
  /** It was there already: the first attempt had arrived after all. */
  readonly dup?: true
}

export interface SendOptions {
  /** The idempotency key; made up where there is none. With the key of an earlier `send` nothing happens twice. */
  readonly key?: string
  /** The seq that the room must be at, else `conflict`. */
  readonly if?: number
  /** Gives up waiting; what was on its way may arrive all the same. */
  readonly signal?: AbortSignal
}

/** The server remembers keys for 10 minutes; a minute is left for the way. */
const REMEMBERED = 9 * 60_000

interface Letter {
  readonly frame: { type: 'send'; room: string; event: RoomEvent; key: string; if?: number }
  readonly settle: (outcome: Sent | ChartroomError | undefined) => void
  firstSent?: number
}

export class Outbox {
  readonly #limit: number
  readonly #clock: Clock
  readonly #letters = new Set<Letter>()
  readonly #author = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(36)).join('')
  #written = 0
  #line: Line | undefined
  #frameLimit = 0

  constructor(limit: number, clock: Clock) {
    this.#limit = limit
    this.#clock = clock
  }

  send(room: string, event: RoomEvent, { key, if: expected, signal }: SendOptions): Promise<Sent> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      if (this.#letters.size >= this.#limit)
        throw new ChartroomError('queue_full', `${this.#limit} events wait for an answer already`, true)
      const aborted = () => letter.settle(undefined)
      const frame = {
        type: 'send',
        room,
        event: asSaid(event),
        key: key ?? `${this.#author}-${++this.#written}`,
        ...(expected !== undefined && { if: expected }),
      } as const
      const letter: Letter = {
        frame,
        settle: (outcome) => {
          if (!this.#letters.delete(letter)) return
          signal?.removeEventListener('abort', aborted)
          if (outcome === undefined) reject(signal?.reason)
          else if (outcome instanceof ChartroomError) reject(outcome)
          else resolve(outcome)
        },
      }
      signal?.addEventListener('abort', aborted)
      this.#letters.add(letter)
      this.#write(letter)
    })
  }

  /** A connection is open: everything goes out on it, in order. @param limit bytes that a frame may have */
  opened(line: Line, limit: number): void {
    this.#line = line
    this.#frameLimit = limit
    for (const letter of this.#letters) this.#write(letter)
  }

  lost(): void {
    this.#line = undefined
  }

  /** Nothing of this will be answered any more. */
  refuse(code: ChartroomError['code'], message: string): void {
    for (const letter of this.#letters) letter.settle(new ChartroomError(code, message))
  }

  #write(letter: Letter): void {
    if (!this.#line) return
    const now = this.#clock.now()
    const { frame, settle } = letter
    if (now - (letter.firstSent ?? now) > REMEMBERED)
      return settle(
        new ChartroomError('unknown', `${frame.event.type} was sent, and never answered: it may be stored`, false, {
          key: frame.key,
        }),
      )
    if (bytesOf(frame) > this.#frameLimit)
      return settle(new ChartroomError('too_large', `a frame has at most ${this.#frameLimit} bytes`))
    letter.firstSent ??= now
    this.#line.ask(frame, (reply) => reply && settle(outcomeOf(reply)))
  }
}

function outcomeOf(reply: Reply): Sent | ChartroomError {
  if (reply.type === 'error') return ChartroomError.of({ ...reply })
  const { room, seq, dup } = reply as Sent
  return { room, seq, ...(dup && { dup }) }
}

/** The event as it is now, whatever becomes of the object. @throws {TypeError} for what JSON cannot say */
const asSaid = (event: RoomEvent): RoomEvent => JSON.parse(JSON.stringify(event))

/** What the line adds, the `id`, has some bytes too. */
const bytesOf = (frame: object): number => new TextEncoder().encode(JSON.stringify(frame)).length + 24
