/**
 * What can be seen of a connection or a session: the live actor, and its steps from the journal, also when it is over.
 *
 * Always true: no token is in anything that is shown, not even in part; looking sends the actor nothing.
 */
import type { AnyMachineSnapshot } from 'xstate'
import { causeOf, type Ending, type Proof } from '../../machines/connection.ts'
import type { ActorKind, Journal, LifeStep } from '../connection/journal.ts'
import type { OnStep, Waiting } from '../connection/system.ts'
import { type Failure, failure, isFailure } from '../errors.ts'
import { diff } from '../patch.ts'
import type { ChartIndex } from './configuration.ts'
import type { Lookout } from './lookout.ts'
import { HIDDEN } from './redact.ts'
import { Page, type Sight } from './sight.ts'
import { taken } from './taken.ts'
import type { History, State, Step } from './told.ts'

/** A live actor: where its chart stands, and what that waits for. */
export interface Life {
  readonly snapshot: AnyMachineSnapshot
  readonly delays: readonly Waiting[]
}

export interface LifeSurroundings {
  readonly journal: Journal
  readonly lookout: Lookout
  readonly index: ChartIndex
  /** The actor, while it lives. */
  lifeOf(name: string): Life | undefined
}

interface ConnectionContext {
  readonly hands: { readonly id: string; readonly token: string | undefined }
  readonly proof: Proof
  readonly ending: Ending
}

interface SessionContext {
  readonly hands: { readonly user: string }
  readonly connections: readonly string[]
  readonly maxConnections: number
  readonly linger: number
}

/** What is kept of a connection's context: of its token, that it is there. */
interface ConnectionNote {
  readonly hasToken: boolean
  readonly proof: Proof
  readonly ending: Ending
}

/** Notes each step of the live actors in the journal. Every connection pays for this: what is shown is made when it is asked for. */
export function journalist(journal: Journal): OnStep {
  return (told, { context, value, status }) => {
    const event = told.type
    const time = Date.now()
    if (!isConnection(context)) {
      return journal.step('session', context.hands.user, {
        event,
        cause: undefined,
        value,
        status,
        context: sessionNote(context),
        time,
      })
    }
    const cause = causeOf(told, context.ending).detail
    journal.step('connection', context.hands.id, {
      event,
      cause,
      value,
      status,
      context: connectionNote(context),
      time,
    })
  }
}

const isConnection = (context: object): context is ConnectionContext => 'proof' in context

const connectionNote = ({ hands, proof, ending }: ConnectionContext): ConnectionNote => ({
  hasToken: hands.token !== undefined,
  proof,
  ending,
})

const sessionNote = ({ hands, connections, maxConnections, linger }: SessionContext): object => ({
  user: hands.user,
  connections,
  maxConnections,
  linger,
})

/** What is shown of what was kept. */
function shownContext(note: object): object {
  if (!('proof' in note)) return note
  const { hasToken, proof, ending } = note as ConnectionNote
  const { principal, issuedAt, expiresAt } = proof
  const isProved = principal.user !== ''
  const scopes = (principal as { scopes?: unknown }).scopes
  return {
    token: hasToken ? HIDDEN : null,
    principal: isProved ? { user: principal.user, scopes } : null,
    issuedAt: isProved ? (issuedAt ?? null) : null,
    expiresAt: isProved ? expiresAt : null,
    ending: ending.reason === 'normal' ? null : ending,
  }
}

/** The user whom a connection's token has proved, as a step of it was noted. */
export function userOf({ context }: LifeStep): string | undefined {
  const { proof } = context as Partial<ConnectionNote>
  return proof?.principal.user || undefined
}

export class LifeSight implements Sight {
  readonly #kind: ActorKind
  readonly #name: string
  readonly #around: LifeSurroundings

  constructor(kind: ActorKind, name: string, around: LifeSurroundings) {
    this.#kind = kind
    this.#name = name
    this.#around = around
  }

  get #steps(): readonly LifeStep[] {
    return this.#around.journal.lifeOf(this.#kind, this.#name) ?? []
  }

  async now(): Promise<State | Failure> {
    const life = this.#around.lifeOf(this.#name)
    const last = this.#steps.at(-1)
    if (last) return this.#state(last, life)
    if (!life) return failure('unknown_type', `nothing is known of ${this.#kind} ${this.#name} any more`)
    const { value, status, context } = life.snapshot
    const note = isConnection(context) ? connectionNote(context) : sessionNote(context)
    return this.#state(
      { seq: 0, event: '', cause: undefined, value, status, context: note, ms: 0, time: Date.now() },
      life,
    )
  }

  async moment(seq: number): Promise<State | Failure> {
    const step = this.#steps.find((step) => step.seq === seq)
    if (step) return this.#state(step, undefined)
    const first = this.#steps[0]?.seq ?? 0
    const last = this.#steps.at(-1)?.seq ?? 0
    return failure('unknown_seq', `the steps of ${this.#name} are known from ${first} to ${last}, not ${seq}`, {
      first,
      last,
    })
  }

  async history({ since, limit }: { since: number; limit: number }): Promise<History | Failure> {
    const state = await this.now()
    if (isFailure(state)) return state
    const steps = this.#steps
    const page = new Page(limit)
    for (const [i, step] of steps.entries()) {
      if (step.seq > since && !page.isFull) page.add(this.#step(step, steps[i - 1]))
    }
    const last = steps.at(-1)?.seq ?? 0
    return { steps: page.steps, first: steps[0]?.seq ?? 0, last, more: (page.steps.at(-1)?.seq ?? last) < last }
  }

  follow(onStep: (seq: number, look: () => Step) => void): () => void {
    const release = this.#around.journal.hold(this.#kind, this.#name)
    const end = this.#around.lookout.lives((kind, name, step) => {
      if (kind !== this.#kind || name !== this.#name) return
      const before = this.#steps.at(-2)
      const look = (): Step => {
        const shown = this.#step(step, before)
        return { ...shown, can: this.#canOf(step), timers: this.#timers }
      }
      // The actor sets its delays once the step is made.
      queueMicrotask(() => onStep(step.seq, look))
    })
    return () => {
      release()
      end()
    }
  }

  /** An actor that is done takes nothing any more. */
  #canOf({ status, value }: Pick<LifeStep, 'status' | 'value'>): readonly string[] {
    const { index } = this.#around
    return status === 'active' ? index.canOf(index.activeOf(value)) : []
  }

  /** What the actor waits for, while it lives. */
  get #timers(): State['timers'] {
    const delays = this.#around.lifeOf(this.#name)?.delays ?? []
    return delays.map(({ id, dueAt, delay }) => ({ event: id, dueAt, delay }))
  }

  #step(step: LifeStep, before: LifeStep | undefined): Step {
    const { seq, event, cause, value, time, ms } = step
    const { index } = this.#around
    const active = index.activeOf(value)
    const isFirst = event === 'xstate.init'
    return {
      actor: `${this.#kind}:${this.#name}`,
      seq,
      event: { type: event },
      from: null,
      time,
      ops: before ? diff(documentOf(before), documentOf(step)) : [{ op: 'add', path: '', value: documentOf(step) }],
      edges:
        isFirst || before
          ? taken(index, { before: before ? index.activeOf(before.value) : [], after: active, type: event })
          : [],
      value,
      active,
      ms,
      ...(cause !== undefined && { cause }),
    }
  }

  #state({ seq, time, value, status, context }: LifeStep, life: Life | undefined): State {
    const active = this.#around.index.activeOf(value)
    const steps = this.#steps
    return {
      actor: `${this.#kind}:${this.#name}`,
      machine: this.#kind,
      seq,
      time,
      value,
      active,
      context: shownContext(context as object),
      status,
      can: this.#canOf({ status, value }),
      timers: life ? this.#timers : [],
      first: steps[0]?.seq ?? seq,
      last: steps.at(-1)?.seq ?? seq,
    }
  }
}

const documentOf = ({ value, context, status }: LifeStep): object => ({
  value,
  context: shownContext(context as object),
  status,
})
