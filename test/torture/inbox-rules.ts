/**
 * What must hold of one inbox: an acknowledged message is delivered until its `ack` is (Q1), and not once more; within
 * a round of delivery high comes before normal and first before second; each further round counts one attempt up.
 *
 * A round begins when a reader dials. A `nack` makes a message due again within the round.
 */
import { type Dated, type Message, ofType } from './observation.ts'
import { answerViolations, Sends, senderViolations } from './sends.ts'

export function* inboxViolations(history: readonly Dated[]): Generator<string> {
  const sends = new Sends(history)
  const messages = ofType(history, 'message')
  yield* answerViolations(sends)
  yield* strangers(sends, messages)
  const seqOf = new Map([...sends.acknowledged()].map(({ send, seq }) => [send.id, seq]))
  yield* places(messages, seqOf)
  yield* senderViolations(sends, seqOf)
  yield* losses(sends, history)
  yield* afterSettling(history)
  for (const round of roundsOf(history)) yield* roundViolations(round)
  yield* attempts(history)
}

function* strangers(sends: Sends, messages: readonly Message[]): Generator<string> {
  for (const { id, seq, from, priority } of messages) {
    const send = sends.byId.get(id)
    if (!send) yield `${id} was delivered at ${seq}, and nobody sent it`
    else if (send.refusals === send.attempts) yield `${id} was delivered at ${seq}, though it was refused`
    else if (from !== send.client) yield `${id} is from ${send.client}, but was told as from ${from}`
    else if (priority !== send.priority) yield `${id} was sent as ${send.priority}, and delivered as ${priority}`
  }
}

/** A message has one seq, a seq one message; learns the seqs of what was delivered and never acknowledged. */
function* places(messages: readonly Message[], seqOf: Map<string, number>): Generator<string> {
  const idAt = new Map([...seqOf].map(([id, seq]) => [seq, id]))
  for (const { id, seq } of messages) {
    const [known, other] = [seqOf.get(id), idAt.get(seq)]
    if (known !== undefined && known !== seq) yield `${id} has seq ${known}, and was delivered at ${seq}`
    else if (other !== undefined && other !== id) yield `seq ${seq} is of ${other}, and was delivered with ${id}`
    seqOf.set(id, known ?? seq)
    idAt.set(seq, other ?? id)
  }
}

/** What was acknowledged was delivered, or is still there; what was settled is there no more. */
function* losses(sends: Sends, history: readonly Dated[]): Generator<string> {
  const readBack = ofType(history, 'read back').at(-1)
  if (!readBack) return yield 'was never read back'
  const left = new Set(readBack.records.map(({ id }) => id))
  const settled = new Set(ofType(history, 'settled').map(({ seq }) => seq))
  const acked = new Set(ofType(history, 'acking').map(({ seq }) => seq))
  const delivered = new Set(ofType(history, 'message').map(({ id }) => id))
  for (const { send, seq } of sends.acknowledged()) {
    if (!left.has(send.id) && !delivered.has(send.id))
      yield `${send.id} was acknowledged at ${seq}, and never delivered`
    else if (!left.has(send.id) && !acked.has(seq)) yield `${send.id} at ${seq} was never acked, and is gone`
    else if (left.has(send.id) && settled.has(seq)) yield `${send.id} at ${seq} was settled, and is there in the end`
  }
}

/** After an `ok` to its `ack` a message comes no more to that reader, nor to anybody who dials later. */
function* afterSettling(history: readonly Dated[]): Generator<string> {
  const settledBy = new Map<number, string>()
  const dialledSince = new Map<number, Set<string>>()
  for (const observation of history) {
    if (observation.type === 'settled' && !settledBy.has(observation.seq)) {
      settledBy.set(observation.seq, observation.reader)
      dialledSince.set(observation.seq, new Set())
    }
    if (observation.type === 'dialled') for (const readers of dialledSince.values()) readers.add(observation.reader)
    if (observation.type !== 'message') continue
    const { seq, reader, id } = observation
    if (settledBy.get(seq) === reader || dialledSince.get(seq)?.has(reader))
      yield `${id} at ${seq} was settled by ${settledBy.get(seq)}, and came again to ${reader}`
  }
}

/** What one reader was given from one dialling to its next, and the seqs that were acknowledged before it dialled. */
interface Round {
  readonly reader: string
  readonly due: ReadonlySet<number>
  readonly messages: Message[]
  readonly nacked: Set<number>
}

function roundsOf(history: readonly Dated[]): Round[] {
  const rounds: Round[] = []
  const current = new Map<string, Round>()
  const due = new Set<number>()
  for (const observation of history) {
    if (observation.type === 'acknowledged') due.add(observation.seq)
    if (observation.type === 'dialled') {
      const round = { reader: observation.reader, due: new Set(due), messages: [], nacked: new Set<number>() }
      rounds.push(round)
      current.set(observation.reader, round)
    }
    if (observation.type === 'message') current.get(observation.reader)?.messages.push(observation)
    if (observation.type === 'nacked') current.get(observation.reader)?.nacked.add(observation.seq)
  }
  return rounds
}

function* roundViolations({ reader, due, messages, nacked }: Round): Generator<string> {
  const seen = new Set<number>()
  const last: Partial<Record<Message['priority'], Message>> = {}
  for (const message of messages) {
    const { seq, id, priority } = message
    const isAgain = seen.has(seq)
    seen.add(seq)
    if (isAgain && !nacked.has(seq)) yield `${id} at ${seq} was given to ${reader} twice in one round`
    if (isAgain || nacked.has(seq)) continue
    const before = last[priority]
    if (before && before.seq > seq) yield `${reader} was given ${before.id} at ${before.seq} before ${id} at ${seq}`
    if (priority === 'high' && due.has(seq) && last.normal)
      yield `${reader} was given the normal ${last.normal.id} before the high ${id}, which was due`
    last[priority] = message
  }
}

/** In a reader's later round, and after a `nack`, a message's attempt is higher. */
function* attempts(history: readonly Dated[]): Generator<string> {
  const last = new Map<number, { attempt: number; round: number }>()
  let round = 0
  for (const observation of history) {
    if (observation.type === 'dialled' || observation.type === 'nacked') round++
    if (observation.type !== 'message') continue
    const { seq, id, attempt } = observation
    const before = last.get(seq)
    if (before && before.round < round && attempt <= before.attempt)
      yield `${id} at ${seq} came again with attempt ${attempt}, after attempt ${before.attempt}`
    last.set(seq, { attempt, round })
  }
}
