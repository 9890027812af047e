/**
 * What must hold of one room, whoever looks: the log in the end has every acknowledged record once, at the seq that
 * was answered, without a hole (L1, L2); readers saw what is stored, in its order, none missing and none doubled (S1).
 */
import { type Dated, type Delivered, ofType, type ReadBack, type Shown, type StoredRecord } from './observation.ts'
import { answerViolations, epochViolations, Sends, senderViolations } from './sends.ts'

export function* roomViolations(history: readonly Dated[]): Generator<string> {
  const sends = new Sends(history)
  yield* answerViolations(sends)
  yield* epochViolations(history)
  yield* readerViolations(history)
  const readBacks = ofType(history, 'read back')
  if (readBacks.length === 0) yield 'was never read back'
  for (const readBack of readBacks) yield* storedViolations(history, sends, readBack)
}

/** What one reading of the log shows; there may be several, by different ways. */
function* storedViolations(history: readonly Dated[], sends: Sends, readBack: ReadBack): Generator<string> {
  const stored = new Stored(readBack)
  yield* stored.holes()
  yield* stored.doubles()
  yield* strangers(sends, readBack)
  yield* losses(sends, stored)
  yield* senderViolations(sends, stored.seqOf)
  yield* notDurable(history, stored)
}

/** The log of a room as it was read back. */
class Stored {
  readonly seqOf = new Map<string, number>()
  readonly at = new Map<number, StoredRecord>()
  readonly #records: readonly StoredRecord[]

  constructor({ records }: ReadBack) {
    this.#records = records
    for (const record of records) {
      this.at.set(record.seq, record)
      if (record.id !== undefined && !this.seqOf.has(record.id)) this.seqOf.set(record.id, record.seq)
    }
  }

  *holes(): Generator<string> {
    let last = 0
    for (const { seq } of this.#records) {
      if (seq !== last + 1) yield `seq ${last} is followed by ${seq}`
      last = seq
    }
  }

  *doubles(): Generator<string> {
    for (const { id, seq } of this.#records) {
      if (id !== undefined && this.seqOf.get(id) !== seq) yield `${id} stands at ${this.seqOf.get(id)} and at ${seq}`
    }
  }
}

/** Records that nobody sent, that were refused, or that are told as somebody else's. */
function* strangers(sends: Sends, { records }: ReadBack): Generator<string> {
  for (const { id, seq, from } of records) {
    if (id === undefined) continue
    const send = sends.byId.get(id)
    if (!send) yield `${id} stands at ${seq}, and nobody sent it`
    else if (send.refusals === send.attempts) yield `${id} stands at ${seq}, though it was refused`
    else if (from !== send.client) yield `${id} at ${seq} is from ${send.client}, but is told as from ${from}`
  }
}

function* losses(sends: Sends, { seqOf }: Stored): Generator<string> {
  for (const { send, seq } of sends.acknowledged()) {
    const stored = seqOf.get(send.id)
    if (stored === undefined) yield `${send.id} was acknowledged at ${seq}, and is lost`
    else if (stored !== seq) yield `${send.id} was acknowledged at ${seq}, and stands at ${stored}`
  }
}

const sighted = (history: readonly Dated[]): Dated<Delivered | Shown>[] =>
  history.filter(
    (observation): observation is Dated<Delivered | Shown> =>
      observation.type === 'delivered' || observation.type === 'shown',
  )

/** What was seen must be what is stored, at that place. */
function* notDurable(history: readonly Dated[], { at }: Stored): Generator<string> {
  for (const { reader, seq, id, from } of sighted(history)) {
    const record = at.get(seq)
    if (record?.id !== id) yield `${reader} saw ${id} at ${seq}, where the log has ${record?.id ?? 'nothing of it'}`
    else if (record.from !== from) yield `${reader} saw ${id} at ${seq} from ${from}, where the log says ${record.from}`
  }
}

/** Readers among themselves, whatever is stored. */
function* readerViolations(history: readonly Dated[]): Generator<string> {
  yield* disagreements(history)
  const owed = new Map<string, number>()
  for (const observation of history) {
    if (observation.type === 'begun') owed.set(observation.reader, observation.seq + 1)
    if (observation.type !== 'delivered') continue
    const { reader, seq, id } = observation
    const next = owed.get(reader)
    if (next !== undefined && seq !== next) yield `${reader} was owed seq ${next}, and was given ${seq} (${id})`
    owed.set(reader, Math.max(seq + 1, next ?? 0))
  }
}

function* disagreements(history: readonly Dated[]): Generator<string> {
  const first = new Map<number, Dated<Delivered | Shown>>()
  for (const sight of sighted(history)) {
    const other = first.get(sight.seq)
    if (other && other.id !== sight.id)
      yield `at ${sight.seq} ${other.reader} saw ${other.id}, and ${sight.reader} saw ${sight.id}`
    first.set(sight.seq, other ?? sight)
  }
}
