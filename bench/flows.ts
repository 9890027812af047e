/**
 * The kinds of traffic: who sends what, and what must come back. How fast is `load.ts`'s to say.
 *
 * Always true: whatever a server sends is understood to the byte that matters, or ends the run.
 */
import { type DialectName, dialects, type Echo, FIRST_ID } from './dialects.ts'
import { clientFrame, digitsAt, digitsBefore, type OnFrame } from './frames.ts'
import { Ring, Sender } from './sender.ts'
import { Ledger, type Watch } from './watch.ts'
import type { Wire } from './wire.ts'

export interface Flow {
  readonly senders: readonly Sender[]
  /** Whether everything that follows from the answered frames has arrived. */
  isComplete(): boolean
  /** @throws where something is missing, doubled or out of order */
  check(): void
}

/** Told of each answer to a sender's frame; `count` is what it counts for. */
export type Answered = (sender: Sender, id: number, count: number) => void

/** One answer in so many is compared byte for byte, each by its id and length. */
const SAMPLED = 16

/** The id of an answer that is as expected. */
function readerOf({ exchanges, idAt, tail }: Echo): (bytes: Buffer, start: number, end: number) => number {
  const length = (exchanges[0] as { answer: Buffer }).answer.length + tail
  let read = 0
  return (bytes, start, end) => {
    const id = digitsAt(bytes, start + idAt)
    const answer = exchanges[id - FIRST_ID]?.answer
    const isRight = answer && end - start === length
    if (!isRight || (read++ % SAMPLED === 0 && answer.compare(bytes, start, end - tail) !== 0))
      throw new Error(`a wrong answer: ${bytes.subarray(start, end)}`)
    return id
  }
}

export function echoFlow(wires: readonly Wire[], dialect: DialectName, ring: number, answered: Answered): Flow {
  const echo = dialects[dialect].echo(ring)
  const frames = new Ring(echo.exchanges.map(({ frame }) => frame))
  const read = readerOf(echo)
  const senders = wires.map((wire) => {
    const sender = new Sender(wire, frames)
    wire.onFrame = (_, bytes, start, end) => answered(sender, read(bytes, start, end), 1)
    return sender
  })
  return { senders, isComplete: () => true, check: () => {} }
}

/** The first sends to all, itself among them; an answer is counted when everybody has it. */
export function broadcastFlow(wires: readonly Wire[], dialect: DialectName, size: number, answered: Answered): Flow {
  const echo = dialects[dialect].toAll?.(64, size)
  if (!echo) throw new Error(`${dialect} has no message to all`)
  const sender = new Sender(wires[0] as Wire, new Ring(echo.exchanges.map(({ frame }) => frame)))
  const read = readerOf(echo)
  const held = new Int32Array(wires.length)
  let [round, arrived] = [FIRST_ID, 0]
  const receive = (id: number, n: number): void => {
    if (id !== round || held[n] === id) throw new Error(`subscriber ${n} has ${id}, and now is ${round}`)
    held[n] = id
    if (++arrived < wires.length) return
    arrived = 0
    round = FIRST_ID + ((id - FIRST_ID + 1) % 64)
    answered(sender, id, wires.length)
    sender.wire.afterRead()
  }
  wires.forEach((wire, n) => {
    wire.onFrame = (_, bytes, start, end) => receive(read(bytes, start, end), n)
  })
  return { senders: [sender], isComplete: () => arrived === 0, check: () => {} }
}

export interface Events {
  /** The rooms that each sender writes to, by turns. */
  readonly rooms: readonly (readonly string[])[]
  readonly event: object
  readonly ring: number
}

const OK_ID = '{"type":"ok","id":'.length

/** Sends events; each is answered by its seq, and watched by whoever joined. */
export function eventFlow(
  wires: readonly Wire[],
  watches: ReadonlyMap<Wire, Watch>,
  { rooms, event, ring }: Events,
  answered: Answered,
): Flow {
  const ledgers = new Map(rooms.flat().map((room) => [room, new Ledger(room)]))
  const rings = new Map<string, Ring>()
  const ringOf = (mine: readonly string[]): Ring => {
    const name = mine.join()
    const known = rings.get(name) ?? new Ring(eventFrames(mine, event, Math.max(ring, mine.length)))
    rings.set(name, known)
    return known
  }
  const senders = rooms.map((mine, n) => {
    const wire = wires[n] as Wire
    const sender = new Sender(wire, ringOf(mine))
    wire.onFrame = okReader(
      sender,
      mine.map((room) => ledgers.get(room) as Ledger),
      watches.get(wire),
      answered,
    )
    return sender
  })
  const watching = [...watches.values()].filter(({ room }) => ledgers.has(room))
  const isLevel = (watch: Watch): boolean => watch.seq >= (ledgers.get(watch.room) as Ledger).last
  return {
    senders,
    isComplete: () => watching.every(isLevel),
    check: () => {
      for (const ledger of ledgers.values()) ledger.check()
    },
  }
}

function eventFrames(rooms: readonly string[], event: object, ring: number): Buffer[] {
  const length = Math.ceil(ring / rooms.length) * rooms.length
  return Array.from({ length }, (_, slot) => {
    const room = rooms[slot % rooms.length]
    return clientFrame(JSON.stringify({ type: 'send', id: FIRST_ID + slot, room, event }))
  })
}

/** Reads `{"type":"ok","id":1000,"room":"counter/a","seq":7}` and patches, of which a sender's own come first (R2). */
function okReader(sender: Sender, ledgers: readonly Ledger[], watch: Watch | undefined, answered: Answered): OnFrame {
  let last = 0
  return (_, bytes, start, end) => {
    if (bytes[start + 9] === P && watch) return watch.patch(bytes, start, end)
    if (bytes[start + 9] !== O) throw new Error(`not expected: ${bytes.subarray(start, end)}`)
    const id = digitsAt(bytes, start + OK_ID)
    const seq = digitsBefore(bytes, end - 1)
    const ledger = ledgers[(id - FIRST_ID) % ledgers.length] as Ledger
    if (ledgers.length === 1 && seq <= last) throw new Error(`${ledger.room}: seq ${seq} behind ${last}`)
    if (watch && watch.seq < seq) throw new Error(`${ledger.room}: ok ${seq}, and the state is at ${watch.seq}`)
    last = seq
    ledger.acknowledged(seq)
    answered(sender, id, 1)
  }
}

const O = 'o'.charCodeAt(0)
const P = 'p'.charCodeAt(0)

/** An event at a time; it is answered when everybody who joined has its patch. */
export function fanoutFlow(wires: readonly Wire[], watches: ReadonlyMap<Wire, Watch>, answered: Answered): Flow {
  const [first] = wires as [Wire]
  const all = wires.map((wire) => watches.get(wire) as Watch)
  const { room } = all[0] as Watch
  const events: Events = { rooms: [[room]], event: { type: 'increment' }, ring: 64 }
  let [sent, arrived] = [(all[0] as Watch).seq + 1, 0]
  let acknowledged = 0
  const settle = (): void => {
    if (arrived < wires.length || acknowledged === 0) return
    const id = acknowledged
    arrived = 0
    acknowledged = 0
    sent++
    answered(sender, id, wires.length)
    first.afterRead()
  }
  const flow = eventFlow([first], watches, events, (_, id) => {
    acknowledged = id
    settle()
  })
  const [sender] = flow.senders as [Sender]
  const answer = first.onFrame
  wires.forEach((wire, n) => {
    const watch = all[n] as Watch
    wire.onFrame = (opcode, bytes, start, end) => {
      const isPatch = bytes[start + 9] === P
      if (isPatch) arrived++
      if (wire === first) answer(opcode, bytes, start, end)
      else watch.patch(bytes, start, end)
      if (isPatch && watch.seq !== sent) throw new Error(`subscriber ${n} is at ${watch.seq}, and now is ${sent}`)
      settle()
    }
  })
  return flow
}

/** Each of the first half writes to the inbox of one of the second, who settles it at once. */
export function inboxFlow(wires: readonly Wire[], users: readonly string[], answered: Answered): Flow {
  const half = wires.length / 2
  const delivered = new Int32Array(half)
  const stored = new Int32Array(half)
  const senders = wires.slice(0, half).map((wire, n) => {
    const sender = new Sender(wire, new Ring(messageFrames(users[half + n] as string, 1024)))
    wire.onFrame = (_, bytes, start, end) => {
      if (bytes[start + 9] !== O) throw new Error(`not expected: ${bytes.subarray(start, end)}`)
      stored[n] = digitsBefore(bytes, end - 1)
      answered(sender, digitsAt(bytes, start + OK_ID), 1)
    }
    return sender
  })
  wires.slice(half).forEach((wire, n) => {
    wire.onFrame = (_, bytes, start, end) => settleMessage(wire, delivered, n, bytes.toString('utf8', start, end))
  })
  return { senders, isComplete: () => delivered.every((seq, n) => seq >= (stored[n] as number)), check: () => {} }
}

function messageFrames(to: string, ring: number): Buffer[] {
  const data = { text: 'x'.repeat(32) }
  return Array.from({ length: ring }, (_, slot) =>
    clientFrame(JSON.stringify({ type: 'message', id: FIRST_ID + slot, to, data })),
  )
}

function settleMessage(wire: Wire, delivered: Int32Array, n: number, text: string): void {
  const { type, seq, attempt } = JSON.parse(text)
  const next = (delivered[n] as number) + 1
  if (type !== 'message' || seq !== next || attempt !== 1) throw new Error(`not message ${next}, once: ${text}`)
  delivered[n] = seq
  wire.send(`{"type":"ack","seq":${seq}}`)
}
