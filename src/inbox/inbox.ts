/**
 * A user's durable queue of direct messages, on the same log as the rooms.
 *
 * Always true: `ok` means on disk; a round of delivery is on disk before it goes out; what is settled never comes again
 * (a message's removal and its settlement are the same record, rule Q5).
 */
import type { Activatable } from '../activations.ts'
import { DedupeWindow, type UsedKey } from '../dedupe.ts'
import type { Failure } from '../errors.ts'
import type { Commits } from '../log/commits.ts'
import { encodeLine, type Log, type LogSnapshot, recordsAfter } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import type { ServerFrames } from '../protocol.ts'
import { type Owner, type Request, type Tell, Turns } from '../turns.ts'
import type { Deadline, Wheel } from '../wheel.ts'
import { InboxDraft, type InboxPolicy, type Posting } from './inbox-draft.ts'
import { type DeadLetter, type InboxEvent, Letters, type StoredLetters } from './letters.ts'
import { type Recipient, Round } from './round.ts'

/** Characters of records from one snapshot to the next, at least; more where the snapshot itself is larger. */
const SNAPSHOT_EVERY = 65_536

/** What an inbox needs around it. */
export interface InboxSurroundings {
  readonly log: Log
  readonly commits: Commits
  readonly logger: Logger
  readonly wheel: Wheel
  readonly policy: InboxPolicy
  /** Nobody is here and nothing waits. */
  onIdle(inbox: Inbox): void
}

export type InboxAnswer = (frame: ServerFrames['ok'] | Failure) => void

/** How many messages are not settled. */
export interface Counts {
  readonly normal: number
  readonly high: number
  readonly total: number
}

/** What an inbox tells of itself; ages in milliseconds. */
export interface InboxFigures extends Counts {
  readonly deadLetters: number
  readonly dropped: number
  readonly expired: number
  readonly oldestAge: number
}

export interface InboxReading {
  readonly figures: InboxFigures
  readonly dead: readonly DeadLetter[]
}

interface Stored {
  readonly letters: StoredLetters
  readonly keys: readonly UsedKey[]
}

/** The topic of a user's inbox; no room has such a name. */
export const inboxTopic = (user: string): string => `$inbox/${user}`

const DONE = (): void => {}

export class Inbox implements Owner<InboxDraft>, Activatable {
  readonly name: string
  readonly #user: string
  readonly #around: InboxSurroundings
  readonly #turns: Turns<InboxDraft>
  readonly #round = new Round()
  #letters = new Letters()
  #keys = new DedupeWindow()
  #seq = 0
  #counts: Counts = { normal: 0, high: 0, total: 0 }
  #written = 0
  #snapshotSize = 0
  #deadline: Deadline | undefined

  constructor(user: string, around: InboxSurroundings) {
    this.name = inboxTopic(user)
    this.#user = user
    this.#around = around
    this.#turns = new Turns(this, around.commits, around.logger)
  }

  /** Reads the inbox from the log; what arrives meanwhile waits. */
  begin(): Promise<void> {
    return this.#turns.load()
  }

  post(posting: Posting, answer: InboxAnswer): void {
    this.#ask((draft) => draft.post(posting), answer)
  }

  ack(seqs: readonly number[], answer: InboxAnswer): void {
    this.#ask((draft) => draft.settle(seqs), answer)
  }

  nack(seqs: readonly number[], reason: string, answer: InboxAnswer): void {
    this.#ask((draft) => draft.fail(seqs, reason), answer)
  }

  replay(seq: number, answer: InboxAnswer): void {
    this.#ask((draft) => draft.replay(seq), answer)
  }

  delete(seq: number, answer: InboxAnswer): void {
    this.#ask((draft) => draft.delete(seq), answer)
  }

  /** A connection of the user is open: it gets what is unsettled. */
  open(recipient: Recipient): void {
    this.#turns.receive({
      decide: () => () => this.#round.open(recipient, this.#letters),
      refuse: () => {},
    })
  }

  /** A connection is gone; nothing more is counted as delivered to it. */
  close(id: string): void {
    const close = () => this.#round.close(id)
    this.#turns.receive({
      decide: () => {
        close()
        return DONE
      },
      refuse: close,
    })
  }

  drained(id: string): void {
    this.#round.drained(id, this.#letters)
    if (this.isUnsettled) this.#around.commits.enlistToWrite(this.#turns)
  }

  /** Figures and dead letters, once all that came before is durable. */
  read(answer: (reading: InboxReading | Failure) => void): void {
    this.#turns.receive({
      decide: () => () => answer({ figures: this.figures, dead: [...this.#letters.dead.values()] }),
      refuse: answer,
    })
  }

  get figures(): InboxFigures {
    const { dead, dropped, expired, oldest } = this.#letters
    const oldestAge = oldest ? Date.now() - oldest.time : 0
    return { ...this.#count(), deadLetters: dead.size, dropped, expired, oldestAge }
  }

  #count(): Counts {
    const { size: total } = this.#letters
    return { normal: this.#letters.count('normal'), high: this.#letters.count('high'), total }
  }

  /** The figures of what is durable; `null` where the inbox cannot be read. */
  get counts(): Counts | null {
    return this.#turns.hasFailed ? null : this.#counts
  }

  get isIdle(): boolean {
    return this.#turns.isAtRest && this.#round.tabs === 0
  }

  readonly remembersFor = 0

  stop(): void {
    if (this.#deadline) this.#around.wheel.clearTimeout(this.#deadline)
  }

  async commit(requests: Request<InboxDraft>[]): Promise<void> {
    const { draft, tells, seqs } = this.#decide(requests)
    await this.#append(draft)
    await this.#turns.tell(requests, tells)
    this.#round.offer(seqs, this.#letters)
    this.#arm()
  }

  /** What is over goes first, then the requests, then the next messages that may go out. */
  #decide(requests: Request<InboxDraft>[]): { draft: InboxDraft; tells: Tell[]; seqs: number[] } {
    const isWritable = this.#around.commits.isWritable
    const draft = new InboxDraft({
      user: this.#user,
      seq: this.#seq,
      letters: this.#letters,
      keys: this.#keys,
      policy: this.#around.policy,
      isWritable,
    })
    if (isWritable) draft.expire()
    const tells = requests.map((request) => request.decide(draft))
    this.#round.forget(draft.released)
    const seqs = isWritable ? this.#round.next(this.#letters) : []
    if (seqs.length > 0) draft.deliver(seqs)
    return { draft, tells, seqs }
  }

  async #append({ lines, seq, time }: InboxDraft): Promise<void> {
    if (lines.length === 0) return
    for (const line of lines) this.#written += line.length
    const snapshot = this.#written > Math.max(SNAPSHOT_EVERY, this.#snapshotSize) && this.#snapshot(seq, time)
    const result = await this.#around.commits.append({ topic: this.name, after: this.#seq, lines, ...snapshot })
    if ('conflict' in result) throw new Error(`somebody else wrote to ${this.name}`)
    this.#seq = seq
    this.#counts = this.#count()
  }

  /** The snapshot and the end of everything before it: an inbox has no history. */
  #snapshot(seq: number, now: number): { snapshot: string; trim: number } {
    const state: Stored = { letters: this.#letters.toJSON(), keys: this.#keys.entries(now) }
    const snapshot = encodeLine({ seq, state } satisfies LogSnapshot)
    this.#written = 0
    this.#snapshotSize = snapshot.length
    return { snapshot, trim: seq }
  }

  #ask(decide: (draft: InboxDraft) => ServerFrames['ok'] | Failure, answer: InboxAnswer): void {
    this.#turns.receive({
      decide: (draft) => {
        const decided = decide(draft)
        return () => answer(decided)
      },
      refuse: answer,
    })
  }

  /** While somebody is there, one deadline: a message waits too long for its `ack` (rule Q2), or is over (rule Q3). */
  #arm(): void {
    const { wheel, policy } = this.#around
    if (this.#deadline) wheel.clearTimeout(this.#deadline)
    this.#deadline = undefined
    if (this.#round.tabs === 0) return
    const due = Math.min(this.#round.oldestSentAt + policy.ackTimeout, this.#letters.earliestExpiry)
    if (Number.isFinite(due)) this.#deadline = wheel.setTimeout(() => this.#timeOut(), Math.max(0, due - Date.now()))
  }

  #timeOut(): void {
    this.#deadline = undefined
    this.#ask(
      (draft) => {
        const seqs = this.#round.sentBy(draft.time - this.#around.policy.ackTimeout)
        return draft.fail(seqs, 'ack_timeout')
      },
      () => {},
    )
  }

  // What the turns need.

  async load(): Promise<void> {
    const { log } = this.#around
    const snapshot = await log.getSnapshot(this.name)
    const stored = snapshot?.state as Stored | undefined
    const letters = new Letters(stored?.letters)
    const keys = new DedupeWindow(stored?.keys)
    let seq = snapshot?.seq ?? 0
    for await (const { event, from, key, time, seq: place } of recordsAfter(log, this.name, seq)) {
      const happened = event as unknown as InboxEvent
      letters.apply(happened, { from: from ?? '', time })
      if (key !== undefined && from !== null && happened.type === 'message.sent')
        keys.use(from, key, happened.seq, time)
      seq = place
    }
    this.#letters = letters
    this.#keys = keys
    this.#seq = seq
    this.#counts = this.#count()
  }

  get isUnsettled(): boolean {
    return this.#round.next(this.#letters).length > 0
  }

  rested(): void {
    if (this.isIdle) this.#around.onIdle(this)
  }

  /** Its tabs see it in `status`: they have asked for nothing. */
  failed(): void {}
}
