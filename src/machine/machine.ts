/**
 * A machine file as the server hosts it: what its rooms are born as, what an event makes of them, what may be sent, and
 * what clients see.
 *
 * Always true: nothing here runs an effect, keeps a clock, or remembers a room; the same state and event give what
 * the machine's own functions give.
 */
import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate'
import type { Principal } from '../auth/auth.ts'
import { type Failure, failure } from '../errors.ts'
import { pointer } from '../json.ts'
import type { LogRecord } from '../log/log.ts'
import { sealJson } from '../patch.ts'
import type { RoomEvent } from '../protocol.ts'
import { fromDocument, type RoomDocument, type RoomState, toState } from './document.ts'
import { Fold, type Outside } from './fold.ts'
import type { Delay, Effect, Moment } from './folded.ts'
import type { Arrival } from './live.ts'
import {
  DEFAULT_POLICY,
  type LoadedFile,
  type MachineFile,
  type Policy,
  type PublicState,
  type StandardSchema,
} from './machine-file.ts'
import { type Downtime, reschedule } from './uptime.ts'

export interface Step {
  readonly state: RoomState
  readonly effects: readonly Effect[]
}

/** Event types that only the server makes: a client that sends one is refused (rule E4). */
const RESERVED = /^(xstate|room)\./

export class Machine {
  readonly name: string
  /** Where it is written. */
  file!: string
  version!: string
  access!: NonNullable<MachineFile['access']>
  policy!: Policy
  migrate!: NonNullable<MachineFile['migrate']>
  logic!: AnyStateMachine
  #view: MachineFile['view']
  #viewEvent: MachineFile['viewEvent']
  #schemas!: Readonly<Record<string, StandardSchema>>

  constructor(name: string, file: LoadedFile) {
    this.name = name
    this.become(file)
  }

  /** It is as `file` says from now on; its rooms have to begin again. */
  become(file: LoadedFile): void {
    this.file = file.path
    this.version = file.version ?? '1'
    this.access = file.access ?? {}
    this.policy = { ...DEFAULT_POLICY, ...file.policy }
    this.migrate = file.migrate ?? {}
    this.#view = file.view
    this.#viewEvent = file.viewEvent
    this.logic = file.default
    this.#schemas = file.schemas?.events ?? {}
  }

  /** An instance, for one room. @param outside is told of what its actions send to it later. */
  host(outside: Outside, downtime: Downtime): Hosted {
    return new Hosted(this, new Fold(this.logic, outside), downtime)
  }

  /** Whether it must be known for how long no server ran. */
  get countsDowntime(): boolean {
    return this.policy.timers !== 'absolute'
  }

  /** Whether some state of the machine has a transition for this event type. */
  declares(type: string): boolean {
    return this.logic.events.includes(type)
  }

  /** Whether the machine is told who comes and who goes. */
  get hasPresence(): boolean {
    return this.declares('room.joined') || this.declares('room.left')
  }

  /** The event as the machine's schema reads it, or `bad_event` with the path of what is wrong. */
  checkEvent(event: RoomEvent): RoomEvent | Failure {
    if (RESERVED.test(event.type) || event.type === '' || event.type.includes('*')) {
      const message = `an event type is a plain name, not beginning with "xstate." or "room.", got ${JSON.stringify(event.type)}`
      return failure('bad_event', message, { path: '/event/type' })
    }
    const schema = Object.hasOwn(this.#schemas, event.type) ? this.#schemas[event.type] : undefined
    const result = schema?.['~standard'].validate(event)
    if (!result) return event
    if (result instanceof Promise) throw new Error(`the schema of ${event.type} is asynchronous; a room's must not be`)
    if (!result.issues) return Object.assign({}, result.value, { type: event.type })
    const issue = result.issues[0]
    const path = pointer(['event', ...(issue?.path ?? []).map((step) => (typeof step === 'object' ? step.key : step))])
    return failure('bad_event', `${path}: ${issue?.message}`, { path })
  }

  /** The event types for which the active states have a transition, sorted; guards are not asked (rule S4). */
  can(snapshot: AnyMachineSnapshot): readonly string[] {
    return canOf(snapshot._nodes)
  }

  /** Whether what is seen depends on who sees it. */
  get hasView(): boolean {
    return this.#view !== undefined
  }

  /** Whether its events may be seen by anybody (rule S5). */
  get showsEvents(): boolean {
    return this.#view === undefined || this.#viewEvent !== undefined
  }

  /**
   * The `state` document that `who` holds: `{value, context, status, can, timers}`, or what the machine's `view` makes of
   * it. @throws what the view throws, and for what is no JSON.
   */
  project({ snapshot, document: { value, context, status, timers } }: RoomState, who: Principal): unknown {
    const state: PublicState = { value, context, status, can: this.can(snapshot), timers }
    return this.#view ? sealJson(this.#view(state, who) ?? null) : state
  }

  /** The record as `who` may see it, or `null`. @throws what `viewEvent` throws. */
  showEvent(record: LogRecord, who: Principal): LogRecord | null {
    if (this.#view === undefined) return record
    const shown = this.#viewEvent?.(record, who) ?? null
    return shown && { ...record, event: shown.event }
  }
}

/** A machine as one room has it. */
export class Hosted {
  readonly #machine: Machine
  readonly #fold: Fold
  readonly #downtime: Downtime

  constructor(machine: Machine, fold: Fold, downtime: Downtime) {
    this.#machine = machine
    this.#fold = fold
    this.#downtime = downtime
  }

  /** The state of a room that was just born. @throws what the machine's initial context or actions throw. */
  initial(input: { room: string; key: string }, moment: Moment): Step {
    const { folded, effects } = this.#fold.initial(input, this.#counting(moment))
    return { state: toState(folded, this.#machine.version), effects }
  }

  /**
   * What `event` makes of `state`, sent to the room or to the actor at `path` within it.
   * @returns `undefined` when the machine has no transition for it now, or its guard says no.
   * @throws what a guard, an `assign` or an expression of the machine throws.
   */
  transition(state: RoomState, event: RoomEvent, moment: Moment, path?: string): Step | undefined {
    if (state.snapshot.status !== 'active') return undefined
    const step = this.#fold.transition(state, event, this.#counting(moment), path)
    return step && { state: toState(step.folded, this.#machine.version, state), effects: step.effects }
  }

  /** Delays that are set know of the downtime so far, where the machine counts it. */
  #counting(moment: Moment): Moment {
    return this.#machine.countsDowntime ? { ...moment, downtime: this.#downtime.total } : moment
  }

  /** `state` with its delays as the machine's policy has them after a downtime; the same where they stay as they are. */
  rescheduled(state: RoomState): RoomState {
    const { timers } = this.#machine.policy
    if (timers === 'absolute') return state
    const delays = reschedule(state.delays, timers, this.#downtime)
    return delays === state.delays ? state : toState({ ...state, delays }, this.#machine.version, state)
  }

  /** `state` once a delay has ended. */
  without(state: RoomState, ended: Delay): RoomState {
    const delays = state.delays.filter((delay) => delay !== ended)
    return toState({ ...state, delays }, this.#machine.version, state)
  }

  /** `state` once an invoked actor has said something; `undefined` where that actor is none of its any more. */
  received(state: RoomState, { from, seq, isOver }: Arrival): RoomState | undefined {
    if (from === undefined) return state
    if (state.children.get(from)?.seq !== seq) return undefined
    if (!isOver) return state
    const children = new Map(state.children)
    children.delete(from)
    return toState({ ...state, children }, this.#machine.version, state)
  }

  /** @throws when this machine has no such state, or another version. */
  restore(document: RoomDocument): RoomState {
    return fromDocument(this.#fold, document)
  }

  /** `document` as this version of the machine stores it; the same object where that is how it is. @throws where no way leads there. */
  migrate(document: RoomDocument): RoomDocument {
    const { name, version, migrate } = this.#machine
    const path = Object.keys(migrate)
    let current = document
    for (let steps = 0; current.version !== version; steps++) {
      const step = migrate[current.version]
      if (!step || steps > path.length) {
        throw new Error(
          `the room was stored by version ${current.version} of ${name}, this is ${version}; no migration leads there`,
        )
      }
      const next = path[path.indexOf(current.version) + 1] ?? version
      current = { ...current, ...step(current), version: next }
    }
    return current
  }
}

type StateNodes = AnyMachineSnapshot['_nodes']

const canByNodes = new WeakMap<StateNodes, readonly string[]>()

/** XState keeps the identity of `_nodes` while only context changes, so this is worked out once per configuration. */
function canOf(nodes: StateNodes): readonly string[] {
  const known = canByNodes.get(nodes)
  if (known) return known
  const types = new Set<string>(nodes.flatMap((node) => node.ownEvents))
  const can = [...types].filter((type) => type !== '' && !RESERVED.test(type)).sort()
  canByNodes.set(nodes, can)
  return can
}
