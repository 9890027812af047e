/**
 * The sends to one place, each with everything that was answered to it, and what must hold of the answers alone: one
 * seq per send, one send per seq, a repetition is a `dup` of the first answer (rule L3), and each sender's order (L1).
 */
import { type Acknowledged, type Dated, type Invoked, ofType, type Priority } from './observation.ts'

export interface Send {
  readonly id: string
  readonly client: string
  readonly n: number
  readonly priority: Priority | undefined
  /** How often it was sent, and how many of these were answered with "nothing happened". */
  attempts: number
  refusals: number
  /** Something was answered that allows a later place: a refusal, or that the outcome is unknown. */
  mayComeLate: boolean
  readonly acks: Dated<Acknowledged>[]
}

export class Sends {
  readonly byId = new Map<string, Send>()
  /** Answers to what nobody asked. */
  readonly unasked: string[] = []
  readonly #byKey = new Map<string, Send>()

  constructor(history: readonly Dated[]) {
    for (const observation of history) {
      if (observation.type === 'invoked') this.#invoked(observation)
      if (observation.type === 'acknowledged') this.#answered(observation)?.acks.push(observation)
      if (observation.type === 'refused') {
        const send = this.#answered(observation)
        if (send) send.mayComeLate = true
        if (send && !observation.isUnknown) send.refusals++
      }
    }
  }

  /** Those that were acknowledged, with their first answer. */
  *acknowledged(): Generator<{ send: Send; seq: number }> {
    for (const send of this.byId.values()) if (send.acks[0]) yield { send, seq: send.acks[0].seq }
  }

  #invoked({ id, client, key, n, priority }: Invoked): void {
    const known = this.#byKey.get(`${client} ${key}`)
    const send = known ?? { id, client, n, priority, attempts: 0, refusals: 0, mayComeLate: false, acks: [] }
    send.attempts++
    this.byId.set(send.id, send)
    this.#byKey.set(`${client} ${key}`, send)
  }

  #answered({ client, key, type }: { client: string; key: string; type: string }): Send | undefined {
    const send = this.#byKey.get(`${client} ${key}`)
    if (!send) this.unasked.push(`${client} has key ${key} ${type}, which it never sent`)
    return send
  }
}

/** What the answers say of each other, whatever is stored. */
export function* answerViolations(sends: Sends): Generator<string> {
  yield* sends.unasked
  for (const send of sends.byId.values()) yield* repetitions(send)
  yield* sharedSeqs(sends)
}

function* repetitions({ id, acks: [first, ...later] }: Send): Generator<string> {
  for (const ack of later) {
    const lives = ack.life === first?.life ? '' : ` (in lives ${first?.life} and ${ack.life} of the server)`
    if (ack.seq !== first?.seq) yield `${id} was answered with seq ${first?.seq}, then with seq ${ack.seq}${lives}`
    else if (!ack.dup) yield `${id} was answered again, and not as dup${lives}`
  }
}

function* sharedSeqs(sends: Sends): Generator<string> {
  const owners = new Map<number, string>()
  for (const { send, seq } of sends.acknowledged()) {
    const owner = owners.get(seq)
    if (owner !== undefined) yield `seq ${seq} was given to ${owner} and to ${send.id}`
    owners.set(seq, send.id)
  }
}

/** Each sender's order is the log's, but for what it had to send again because it was refused. */
export function* senderViolations(sends: Sends, seqOf: ReadonlyMap<string, number>): Generator<string> {
  const latest = new Map<string, { send: Send; seq: number }>()
  for (const send of [...sends.byId.values()].sort((a, b) => a.n - b.n)) {
    const seq = seqOf.get(send.id)
    if (seq === undefined || send.mayComeLate) continue
    const before = latest.get(send.client)
    if (before && before.seq > seq)
      yield `${send.client} sent ${before.send.id} before ${send.id}, but they are at ${before.seq} and ${seq}`
    else latest.set(send.client, { send, seq })
  }
}

/** A place answers with one epoch all its life (a restart is none). */
export function* epochViolations(history: readonly Dated[]): Generator<string> {
  const [first, ...later] = ofType(history, 'epoch')
  const other = later.find(({ epoch }) => epoch !== first?.epoch)
  if (other) yield `the epoch was ${first?.epoch} in life ${first?.life}, and is ${other.epoch} in life ${other.life}`
}
