/**
 * A machine hosted as a pure fold: a state and an event give the next state and the effects to run after the commit.
 * The only place that knows XState's internals (pinned to 5.33).
 *
 * Always true: nothing here runs an effect, keeps a clock, or remembers a room; the same state and event give what
 * the machine's own functions give.
 */
import {
  type AnyActorLogic,
  type AnyActorScope,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  createActor,
} from 'xstate'
import { type Failure, failure } from './errors.ts'
import { DEFAULT_POLICY, type MachineFile, type Policy, type StandardSchema } from './machine-file.ts'
import { pointer, type RoomEvent } from './protocol.ts'

/** Everything durable about a room; a record's `ops` are on this document, and its clients hold a projection of it. */
export interface RoomDocument {
  readonly value: unknown
  readonly context: unknown
  readonly status: string
  readonly output: unknown
  readonly historyValue: unknown
  readonly children: Readonly<Record<string, unknown>>
  readonly timers: readonly { readonly event: string; readonly dueAt: number }[]
  readonly invokes: Readonly<Record<string, unknown>>
  /** The users that are in the room, for a machine that declares `room.joined` or `room.left`. */
  readonly present: readonly string[]
  readonly version: string
}

/** A room's state: as XState goes on from it, and as it is stored. */
export interface RoomState {
  readonly snapshot: AnyMachineSnapshot
  readonly document: RoomDocument
}

/** An action of the machine, to be carried out once the record that caused it is durable. */
export interface Effect {
  readonly type: string
  /** @returns whatever the machine's own function returns, a promise perhaps. @throws what it throws. */
  run(): unknown
}

export interface Step {
  readonly state: RoomState
  readonly effects: readonly Effect[]
}

/** Event types that only the server makes: a client that sends one is refused (rule E4). */
const RESERVED = /^(xstate|room)\./

export class Machine {
  readonly name: string
  readonly version: string
  readonly access: NonNullable<MachineFile['access']>
  readonly policy: Policy
  readonly #logic: AnyStateMachine
  readonly #schemas: Readonly<Record<string, StandardSchema>>
  readonly #scope: InertScope

  constructor(name: string, file: MachineFile) {
    this.name = name
    this.version = file.version ?? '1'
    this.access = file.access ?? {}
    this.policy = { ...DEFAULT_POLICY, ...file.policy }
    this.#logic = file.default
    this.#schemas = file.schemas?.events ?? {}
    this.#scope = new InertScope(file.default)
  }

  /** Whether some state of the machine has a transition for this event type. */
  declares(type: string): boolean {
    return this.#logic.events.includes(type)
  }

  /** Whether the machine is told who comes and who goes. */
  get hasPresence(): boolean {
    return this.declares('room.joined') || this.declares('room.left')
  }

  /** The state of a room that was just born. @throws what the machine's initial context or actions throw. */
  initial(input: { room: string; key: string }): Step {
    const { result, effects } = this.#scope.run((scope) => this.#logic.getInitialSnapshot(scope, input))
    if (result.status === 'error') throw result.error
    return { state: { snapshot: result, document: this.#document(result) }, effects }
  }

  /**
   * What `event` makes of `state`.
   * @returns `undefined` when the machine has no transition for it now, or its guard says no.
   * @throws what a guard, an `assign` or an expression of the machine throws.
   */
  transition(state: RoomState, event: RoomEvent): Step | undefined {
    if (state.snapshot.status !== 'active') return undefined
    const { result, effects, taken } = this.#scope.run((scope) => this.#logic.transition(state.snapshot, event, scope))
    if (!taken) return undefined
    return { state: { snapshot: result, document: this.#document(result, state.document) }, effects }
  }

  /** `state` with other users present. */
  withPresent(state: RoomState, present: readonly string[]): RoomState {
    return { snapshot: state.snapshot, document: { ...state.document, present } }
  }

  /**
   * The state that a stored document stands for. The context is put in afterwards: XState would look for actor references
   * in it, and take what a client wrote for one.
   * @throws when this machine has no such state, or another version. */
  restore(document: RoomDocument): RoomState {
    if (document.version !== this.version) {
      throw new Error(`the room was stored by version ${document.version} of ${this.name}, this is ${this.version}`)
    }
    const persisted = { ...document, context: {}, output: document.output ?? undefined, error: undefined }
    const bare = this.#logic.restoreSnapshot(persisted as never, this.#scope.actorScope)
    return { snapshot: { ...bare, context: document.context }, document }
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
    if (!result.issues) return { ...(result.value as object), type: event.type }
    const issue = result.issues[0]
    const path = pointer(['event', ...(issue?.path ?? []).map((step) => (typeof step === 'object' ? step.key : step))])
    return failure('bad_event', `${path}: ${issue?.message}`, { path })
  }

  /** The event types for which the active states have a transition, sorted; guards are not asked (rule S4). */
  can(snapshot: AnyMachineSnapshot): readonly string[] {
    return canOf(snapshot._nodes)
  }

  /** The `state` document that clients hold: `{value, context, status, can, timers}`. */
  project({ snapshot, document: { value, context, status, timers } }: RoomState): unknown {
    return { value, context, status, can: this.can(snapshot), timers }
  }

  #document(snapshot: AnyMachineSnapshot, before: RoomDocument = this.#blank()): RoomDocument {
    return {
      ...before,
      value: snapshot.value,
      context: snapshot.context,
      status: snapshot.status,
      output: snapshot.output ?? null,
      historyValue: historyIds(snapshot.historyValue),
    }
  }

  #blank(): RoomDocument {
    return {
      value: null,
      context: null,
      status: 'active',
      output: null,
      historyValue: {},
      children: {},
      timers: [],
      invokes: {},
      present: [],
      version: this.version,
    }
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

/** History as ids of state nodes, which is how `restoreSnapshot` takes it back. */
function historyIds(history: AnyMachineSnapshot['historyValue']): Record<string, { id: string }[]> {
  const ids: Record<string, { id: string }[]> = {}
  for (const [key, nodes] of Object.entries(history)) ids[key] = nodes.map(({ id }: { id: string }) => ({ id }))
  return ids
}

/** Microsteps that one event may lead to: an endless loop of `raise` or `always` is stopped here. */
const MAX_MICROSTEPS = 1000

type Action = Parameters<AnyActorScope['actionExecutor']>[0]

/** Built-in actions that have done their work once the transition is made, or whose only listener is XState's own. */
const SETTLED = new Set(['xstate.raise', 'xstate.emit', 'xstate.log'])

/**
 * The actor scope in which transitions are made: it carries out nothing, collects what would follow, and notes
 * whether the first microstep took a transition (so that no guard is asked twice).
 */
class InertScope {
  readonly actorScope: AnyActorScope
  #effects: Effect[] = []
  #microsteps = 0
  #taken = false

  constructor(logic: AnyActorLogic) {
    const self = createActor(logic)
    const system = Object.create(self.system, {
      _sendInspectionEvent: { value: (event: { type: string; _transitions?: unknown[] }) => this.#observe(event) },
    })
    this.actorScope = {
      self,
      id: self.id,
      sessionId: self.sessionId,
      system,
      logger: () => {},
      defer: () => {},
      emit: () => {},
      stopChild: () => {},
      actionExecutor: (action: Action) => this.#collect(action),
    } as unknown as AnyActorScope
  }

  run(make: (scope: AnyActorScope) => AnyMachineSnapshot): {
    result: AnyMachineSnapshot
    effects: Effect[]
    taken: boolean
  } {
    this.#effects = []
    this.#microsteps = 0
    this.#taken = false
    const result = make(this.actorScope)
    return { result, effects: this.#effects, taken: this.#taken }
  }

  #observe(event: { type: string; _transitions?: unknown[] }): void {
    if (event.type !== '@xstate.microstep') return
    if (this.#microsteps++ === 0) this.#taken = (event._transitions?.length ?? 0) > 0
    if (this.#microsteps > MAX_MICROSTEPS) throw new Error(`one event led to more than ${MAX_MICROSTEPS} microsteps`)
  }

  #collect(action: Action): void {
    const delayed = (action.params as { delay?: unknown } | undefined)?.delay !== undefined
    if (action.type.startsWith('xstate.')) {
      if (SETTLED.has(action.type) && !delayed) return
      throw new Error(`the action ${action.type}${delayed ? ' with a delay' : ''} is not hosted by this version`)
    }
    this.#effects.push({ type: action.type, run: () => action.exec?.(action.info as never, action.params) })
  }
}
