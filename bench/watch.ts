/**
 * What a subscriber and a sender know of a room, so that a wrong answer is never counted as a fast one.
 *
 * Always true: every patch leads on from the seq that is held; every acknowledged seq is acknowledged once, and at the
 * end there is no hole among them.
 */
import jsonpatch from 'fast-json-patch'
import { digitsAt, digitsBefore } from './frames.ts'

// biome-ignore lint/suspicious/noExplicitAny: frames of the wire are whatever JSON the server sends
export type Json = any

const LAST_VALUE = Buffer.from('/context/count","value":')

/** One subscriber of one room. */
export class Watch {
  readonly room: string
  readonly epoch: string
  seq: number
  patches = 0
  readonly #prefix: Buffer
  /** Of one subscriber all is kept, and applied at the end. */
  readonly #kept: string[] | undefined
  readonly #state: Json
  readonly #counts: boolean

  constructor({ room, epoch, seq, state }: Json, keepsAll: boolean) {
    this.room = room
    this.epoch = epoch
    this.seq = seq
    this.#state = state
    this.#kept = keepsAll ? [] : undefined
    this.#prefix = Buffer.from(`{"type":"patch","room":"${room}","epoch":"${epoch}","base":`)
    this.#counts = room.startsWith('counter/')
  }

  /** A patch, from `start` to `end` of what came. */
  patch(bytes: Buffer, start: number, end: number): void {
    const at = start + this.#prefix.length
    if (this.#prefix.compare(bytes, start, at) !== 0)
      throw new Error(`no patch of ${this.room}: ${bytes.subarray(start, end)}`)
    const base = digitsAt(bytes, at)
    if (base !== this.seq) throw new Error(`${this.room}: a patch from ${base}, held is ${this.seq}`)
    this.seq = digitsAt(bytes, at + `${base},"seq":`.length)
    this.patches++
    if (this.#counts) this.#checkCount(bytes, start, end)
    this.#kept?.push(bytes.toString('utf8', start, end))
  }

  /** Each event of the load adds one, behind the record that created the room. */
  #checkCount(bytes: Buffer, start: number, end: number): void {
    const value = digitsBefore(bytes, end - '}]}'.length)
    if (value !== this.seq - 1) throw new Error(`${this.room}: the count is ${value} at seq ${this.seq}`)
    if (bytes.indexOf(LAST_VALUE, start) < 0) throw new Error(`${this.room}: a patch of something else`)
  }

  /** All patches applied to the snapshot are what `get` answers. */
  compare(snapshot: Json): void {
    if (!this.#kept) return
    if (snapshot.seq !== this.seq) throw new Error(`${this.room}: held is ${this.seq}, "get" says ${snapshot.seq}`)
    let state = structuredClone(this.#state)
    for (const text of this.#kept) state = jsonpatch.applyPatch(state, JSON.parse(text).ops).newDocument
    if (jsonpatch.compare(state, snapshot.state).length > 0) throw new Error(`${this.room}: the patches lead elsewhere`)
  }
}

/** The acknowledged seqs of one room. */
export class Ledger {
  readonly room: string
  last = 0
  #first = Number.POSITIVE_INFINITY
  #count = 0
  #seen = new Uint8Array(1024)

  constructor(room: string) {
    this.room = room
  }

  acknowledged(seq: number): void {
    if (seq >= this.#seen.length) this.#grow(seq)
    if (this.#seen[seq]) throw new Error(`${this.room}: seq ${seq} was acknowledged twice`)
    this.#seen[seq] = 1
    this.#count++
    if (seq > this.last) this.last = seq
    if (seq < this.#first) this.#first = seq
  }

  /** @throws where a seq is missing between the first and the last */
  check(): void {
    const expected = this.#count === 0 ? 0 : this.last - this.#first + 1
    if (this.#count !== expected) throw new Error(`${this.room}: ${expected} seqs, ${this.#count} acknowledgements`)
  }

  #grow(seq: number): void {
    const grown = new Uint8Array(Math.max(seq + 1, 2 * this.#seen.length))
    grown.set(this.#seen)
    this.#seen = grown
  }
}
