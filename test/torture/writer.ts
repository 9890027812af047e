/**
 * One of the twenty: writes to rooms and inboxes, with so many sends in flight; reads some of the rooms from patches.
 * After a broken connection it resumes each room from where it stands, and sends again, under the same key and in the
 * same order, whatever was not answered.
 */
import { isDeepStrictEqual } from 'node:util'
import { applyPatch } from '../../src/patch.ts'
import type { Dice } from '../fixtures/dice.ts'
import type { Frame } from '../fixtures/tab.ts'
import type { Invoked, Place } from './observation.ts'
import { Client } from './returning.ts'

/** Sends in flight. */
const WINDOW = 16
/** How far back a writer remembers what was answered. */
const LATELY = 50
/** Milliseconds before a send that was refused for now is tried again. */
const AGAIN = 20

interface Held {
  readonly epoch: string
  seq: number
  state: Frame
}

interface Entry {
  readonly seq: number
  readonly id: string
  readonly from: string
}

/** Whom a writer writes to, and what it reads. */
export interface Duties {
  readonly places: readonly Place[]
  readonly rooms: readonly string[]
  readonly dice: Dice
}

export class Writer extends Client {
  /** While it is set, each answer makes room for another send. */
  isWriting = true
  readonly #duties: Duties
  readonly #unanswered = new Map<string, Invoked>()
  readonly #sentTo = new Map<Place, number>()
  readonly #held = new Map<string, Held>()
  /** The latest that were answered, and those of them that are asked once more. */
  readonly #answeredLately: Invoked[] = []
  readonly #repeated = new Map<string, Invoked>()
  #serial = 0

  constructor(duties: Duties, ...[user, url, token, ledger]: ConstructorParameters<typeof Client>) {
    super(user, url, token, ledger)
    this.#duties = duties
  }

  get rooms(): readonly string[] {
    return this.#duties.rooms
  }

  get unanswered(): number {
    return this.#unanswered.size
  }

  seq(room: string): number {
    return this.#held.get(room)?.seq ?? 0
  }

  /** Compares what it has patched together with what `get` answers (rule S2). */
  async compare(room: string): Promise<void> {
    const { seq, state } = await this.ask({ type: 'get', room })
    const held = this.#held.get(room)
    if (held?.seq !== seq) return this.#surprise(`holds ${room} at ${held?.seq}, and get answers ${seq}`)
    if (!isDeepStrictEqual(held?.state, state))
      this.#surprise(`has patched ${room} into another state than get answers`)
  }

  protected override welcomed(): void {
    for (const room of this.#duties.rooms) this.#join(room)
    for (const send of this.#unanswered.values()) this.#invoke(send)
    this.#repeat()
    this.#fill()
  }

  protected override arrived(frame: Frame): void {
    if (frame.type === 'patch') this.#patch(frame)
    else if (frame.type === 'snapshot') this.#begin(frame)
    else if (frame.type === 'ok' && this.#sendOf(frame)) this.#answered(frame)
    else if (frame.type === 'error' && this.#sendOf(frame)) this.#refused(frame)
    else if (frame.type === 'ok' && frame.epoch) this.#joined(frame)
    else this.#surprise(`got ${JSON.stringify(frame)}`)
  }

  #join(room: string): void {
    const held = this.#held.get(room)
    const since = held && { since: { epoch: held.epoch, seq: held.seq } }
    this.send({ type: 'join', id: `join ${room}`, room, ...since })
  }

  #joined({ room, epoch }: Frame): void {
    this.ledger.note({ type: 'epoch', place: `room ${room}`, epoch })
  }

  /** Asks once more for what was answered already, in an earlier life perhaps (rule L3). */
  #repeat(): void {
    this.#repeated.clear()
    if (this.#answeredLately.length === 0) return
    const send = this.#duties.dice.pick(this.#answeredLately)
    this.#repeated.set(send.id, send)
    this.#invoke(send)
  }

  #fill(): void {
    while (this.isWriting && this.#unanswered.size < WINDOW) {
      const { dice, places } = this.#duties
      const place = dice.pick(places)
      const n = (this.#sentTo.get(place) ?? 0) + 1
      this.#sentTo.set(place, n)
      const id = `${this.user}-${++this.#serial}`
      const priority = place.startsWith('inbox') && ({ priority: dice.chance(0.3) ? 'high' : 'normal' } as const)
      const send: Invoked = { type: 'invoked', place, client: this.user, key: id, n, id, ...priority }
      this.#unanswered.set(id, send)
      this.#invoke(send)
    }
  }

  #invoke(send: Invoked): void {
    const { place, key, id, priority } = send
    this.ledger.note(send)
    const to = place.slice(place.indexOf(' ') + 1)
    if (place.startsWith('room')) this.send({ type: 'send', id, room: to, event: { type: 'write', id }, key })
    else this.send({ type: 'message', id, to, data: { id }, priority, key })
  }

  #sendOf({ id }: Frame): Invoked | undefined {
    return this.#unanswered.get(id) ?? this.#repeated.get(id)
  }

  #answered(frame: Frame): void {
    const send = this.#sendOf(frame) as Invoked
    const { place, client, key, id } = send
    this.#unanswered.delete(id)
    this.#repeated.delete(id)
    this.#answeredLately.push(send)
    if (this.#answeredLately.length > LATELY) this.#answeredLately.shift()
    this.ledger.note({ type: 'acknowledged', place, client, key, seq: frame.seq, ...(frame.dup && { dup: true }) })
    this.#fill()
  }

  /** What may be tried again is; any other refusal is not expected here. */
  #refused(frame: Frame): void {
    const send = this.#sendOf(frame) as Invoked
    const { place, client, key, id } = send
    const isUnknown = frame.code === 'overloaded'
    this.ledger.note({ type: 'refused', place, client, key, code: frame.code, ...(isUnknown && { isUnknown }) })
    if (frame.retry) return void setTimeout(() => this.#unanswered.has(id) && this.#invoke(send), AGAIN)
    this.#unanswered.delete(id)
    this.#surprise(`was refused: ${JSON.stringify(frame)}`)
    this.#fill()
  }

  #begin({ room, epoch, seq, state }: Frame): void {
    this.#held.set(room, { epoch, seq, state })
    const place: Place = `room ${room}`
    for (const entry of entriesOf(state)) this.ledger.note({ type: 'shown', reader: this.user, place, ...entry })
    this.ledger.note({ type: 'begun', reader: this.user, place, seq })
  }

  #patch({ room, base, seq, ops }: Frame): void {
    const held = this.#held.get(room)
    if (!held || held.seq !== base) return this.#surprise(`holds ${room} at ${held?.seq}, and got a patch from ${base}`)
    const last = entriesOf(held.state).at(-1)
    held.state = applyPatch(held.state, ops)
    held.seq = seq
    this.#read(room, entriesOf(held.state), last)
    this.ledger.changed()
  }

  /** Notes the entries that came behind `last`. */
  #read(room: string, entries: readonly Entry[], last: Entry | undefined): void {
    const [place, reader]: [Place, string] = [`room ${room}`, this.user]
    const fresh = entries.filter((entry) => entry.seq > (last?.seq ?? 0))
    // More has come than the machine keeps: what came and went in between cannot be seen.
    if (last && fresh[0] && fresh.length === entries.length)
      this.ledger.note({ type: 'begun', reader, place, seq: fresh[0].seq - 1 })
    for (const entry of fresh) this.ledger.note({ type: 'delivered', reader, place, ...entry })
  }

  #surprise(what: string): void {
    this.ledger.surprises.push(`${this.user} ${what}`)
  }
}

const entriesOf = (state: Frame): Entry[] => state.context.entries
