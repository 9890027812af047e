/**
 * A connection as seen from a room, and the client behind it, who keeps to the rules: a patch is applied only where its
 * `base` is the seq that is held (rule S2), events come in order, each once. Whatever it holds is held against the truth.
 */
import assert from 'node:assert/strict'
import jsonpatch from 'fast-json-patch'
import type { Principal } from '../../src/auth/auth.ts'
import type { Failure } from '../../src/errors.ts'
import type { JoinMode, ServerFrames } from '../../src/protocol.ts'
import type { JoinedRoom, Subscriber } from '../../src/room/subscription.ts'
import type { Delivery } from '../../src/transport/transport.ts'
import { type Truth, toJson } from './truth.ts'

export interface Held {
  readonly epoch: string
  readonly seq: number
  readonly state: unknown
}

// biome-ignore lint/suspicious/noExplicitAny: a frame is whatever the server sent; the client says what it must hold
type Frame = Record<string, any>

/** What clients got, by kind: a run in which one of them is missing has shown nothing of it. */
export type Tally = Record<string, number>

export class Outsider implements Subscriber {
  readonly id: string
  readonly who: Principal
  readonly past: Held[]
  congested = false
  stalling: 'queued' | 'dropped' | undefined
  room: JoinedRoom | undefined
  isGone = false
  /** Joins that are not answered yet. */
  joining = 0
  /** The first promise that was broken: a room would take what is thrown here for a fault of its own. */
  fault: unknown
  mode: JoinMode = 'state'
  #held: Held | undefined
  /** The seq up to which events came, or are not for this client. */
  #lastEvent = 0
  readonly #queue: (() => void)[] = []
  readonly #truth: Truth
  readonly #tally: Tally

  constructor(id: string, who: Principal, truth: Truth, tally: Tally, past: Held[] = []) {
    this.id = id
    this.who = who
    this.past = past
    this.#truth = truth
    this.#tally = tally
  }

  get seq(): number | undefined {
    return this.#held?.seq
  }

  // What a room asks of it.

  deliver(bytes: Uint8Array): Delivery {
    try {
      return this.#take(bytes)
    } catch (error) {
      this.fault ??= error
      return 'dropped'
    }
  }

  #take(bytes: Uint8Array): Delivery {
    if (this.isGone) return 'dropped'
    const frame: Frame = JSON.parse(Buffer.from(bytes).toString())
    const read = (): void => this.#read(frame)
    // In mode events the one snapshot is the answer to the join, and waits like a reply.
    if (this.congested) assert(this.mode === 'events' && frame.type === 'snapshot', 'nothing is queued for who is slow')
    if (this.stalling === 'dropped') {
      this.congested = true
      return 'dropped'
    }
    if (this.congested || this.stalling === 'queued') {
      this.congested = true
      this.#queue.push(read)
      return 'queued'
    }
    read()
    return 'sent'
  }

  together(run: () => void): void {
    run()
  }

  entersRoom(room: JoinedRoom): boolean {
    if (this.isGone) return false
    this.room = room
    return true
  }

  leavesRoom(_room: JoinedRoom, why?: Failure): void {
    this.room = undefined
    if (why) this.#count(why.code)
  }

  fellBehind(): void {
    this.#count('closed 4211')
    this.lose()
  }

  // What its user does.

  lose(): void {
    this.room?.lost(this, this.who)
    this.room = undefined
    this.isGone = true
  }

  drain(): void {
    this.stalling = undefined
    this.congested = false
    for (const read of this.#queue.splice(0)) read()
    this.room?.drained(this)
  }

  /** A reply goes the way of all frames, and waits behind them. */
  reply(read: () => void): void {
    if (this.congested) this.#queue.push(read)
    else read()
  }

  joined({ seq, recovered }: ServerFrames['ok'], since: Held | undefined): void {
    this.#held = recovered ? since : undefined
    this.#lastEvent = recovered && since ? since.seq : (seq as number)
    this.#count(recovered ? 'resumed' : since ? 'not resumed' : 'joined')
  }

  /** Everything of the room is there, and right. */
  judge(got: ServerFrames['snapshot']): void {
    if (!this.room || this.congested) return
    if (this.mode !== 'events') {
      assert.equal(this.#held?.seq, got.seq, `${this.id} holds the newest seq`)
      assert.deepEqual(this.#held?.state, toJson(got.state), `${this.id} holds what get answers at ${got.seq}`)
    }
    if (this.mode !== 'state') this.#skipTo(got.seq)
  }

  // What comes.

  #read(frame: Frame): void {
    this.#count(frame.type)
    if (frame.type === 'event') return this.#event(frame)
    if (frame.type === 'snapshot') return this.mode === 'events' ? undefined : this.#hold(frame, frame.state)
    assert.equal(frame.type, 'patch')
    assert.notEqual(this.mode, 'events')
    assert.equal(frame.base, this.#held?.seq, 'the base of a patch is what is held')
    assert(frame.seq > Number(frame.base), 'a patch leads on')
    if (frame.ops.length === 0) this.#count('patch without ops')
    const { newDocument } = jsonpatch.applyPatch(this.#held?.state, frame.ops, true, false)
    this.#hold(frame, newDocument)
  }

  #hold({ epoch, seq }: Frame, state: unknown): void {
    this.#held = { epoch, seq, state }
    this.past.push(this.#held)
    assert.deepEqual(state, this.#truth.stateAt(seq, this.who), `what ${this.id} holds at ${seq} is what is true`)
  }

  #event({ seq, event, from, time }: Frame): void {
    assert.notEqual(this.mode, 'state')
    assert(seq > this.#lastEvent, `event ${seq} comes once, and in order`)
    this.#skipTo(seq - 1)
    assert.deepEqual({ seq, event, from, time }, this.#truth.shown(seq, this.who))
    this.#lastEvent = seq
  }

  /** Everything up to `seq` that did not come is not for this one. */
  #skipTo(seq: number): void {
    for (let missing = this.#lastEvent + 1; missing <= seq; missing++)
      assert.equal(this.#truth.shown(missing, this.who), null, `event ${missing} is missing`)
    this.#lastEvent = Math.max(this.#lastEvent, seq)
  }

  #count(what: string): void {
    this.#tally[what] = (this.#tally[what] ?? 0) + 1
  }
}
