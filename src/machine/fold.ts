/**
 * A statechart with all that belongs to it, its child machines and its delays, as a pure fold: a state and an event give
 * the next state and what is to be done once that is durable. The only place that knows XState's internals (pinned to
 * 5.33): transitions are made in a scope and a system of ours, in which nothing runs by itself.
 *
 * Always true: a state is never changed; nothing here runs an effect or keeps a clock; messages among parent and children
 * run to quiet within one event.
 */
import type { AnyActorScope, AnyMachineSnapshot, AnyStateMachine } from 'xstate'
import type { RoomEvent } from '../protocol.ts'
import { type Action, type Inspection, Run } from './fold-run.ts'
import { type Folded, type FoldStep, type Handle, type Moment, pathOf } from './folded.ts'

/** Messages to actors that come from outside a transition: from an action's `self.send`, for instance. */
export type Outside = (path: string, event: RoomEvent) => void

export class Fold {
  readonly #logic: AnyStateMachine
  readonly #self: Handle
  readonly #scopes = new WeakMap<Handle, AnyActorScope>()
  readonly #outside: Outside
  /** The actors that were spawned or restored here. */
  readonly #known = new WeakSet<Handle>()
  #run: Run | undefined
  /** The latest one, also once it is over: actions look for actors by their `systemId` in it. */
  #latest: Run | undefined

  constructor(logic: AnyStateMachine, outside: Outside) {
    this.#logic = logic
    this.#outside = outside
    this.#self = new Root(logic, this.#system(), (event) => this.#relay(this.#self, event)) as unknown as Handle
  }

  /** The state that a room is born in. @throws what the initial context or actions throw. */
  initial(input: unknown, moment: Moment): FoldStep {
    const run = this.#begin({ snapshot: undefined as never, children: new Map(), delays: [] }, moment)
    return this.#during(run, () => {
      run.moved(
        this.#self,
        run.collect(() => this.#logic.getInitialSnapshot(this.#scope(this.#self), input)),
      )
      return run.finish()
    })
  }

  /**
   * What `event` makes of the actor at `path`.
   * @returns `undefined` where the room itself has no transition for it now, or its guard says no.
   * @throws what a guard, an `assign` or an expression throws.
   */
  transition(state: Folded, event: RoomEvent, moment: Moment, path = ''): FoldStep | undefined {
    const run = this.#begin(state, moment)
    const handle = path === '' ? this.#self : state.children.get(path)?.handle
    if (!handle) return undefined
    return this.#during(run, () => {
      run.step(handle, event)
      if (path === '' && !run.isTaken) return undefined
      return run.finish()
    })
  }

  /** A state that was stored; `stored` as XState's `restoreSnapshot` takes it, children nested. */
  restore(stored: unknown): AnyMachineSnapshot {
    const snapshot = this.#logic.restoreSnapshot(stored as never, this.#scope(this.#self))
    this.#meet(snapshot)
    return snapshot
  }

  #meet({ children = {} }: { readonly children?: Readonly<Record<string, unknown>> }): void {
    for (const child of Object.values(children) as Handle[]) {
      this.#known.add(child)
      this.#meet(child._snapshot as object)
    }
  }

  #begin(state: Folded, moment: Moment): Run {
    this.#self._snapshot = state.snapshot
    for (const { handle, snapshot } of state.children.values()) handle._snapshot = snapshot
    return new Run(state, this.#self, moment, (handle) => this.#scope(handle), this.#known)
  }

  #during<T>(run: Run, make: () => T): T {
    this.#run = run
    this.#latest = run
    try {
      return make()
    } finally {
      this.#run = undefined
    }
  }

  #relay(to: Handle, event: RoomEvent): void {
    if (this.#run) this.#run.send(to, event)
    else this.#outside(pathOf(to), event)
  }

  /** What XState's own code calls instead of a system that runs. */
  #system() {
    let restored = 0
    return {
      _bookId: () => this.#run?.bookId() ?? `x:r${restored++}`,
      _register: (id: string) => id,
      _unregister: () => {},
      _set: () => {},
      get: (id: string) => this.#latest?.find(id),
      getAll: () => ({}),
      inspect: () => ({ unsubscribe: () => {} }),
      _sendInspectionEvent: (event: Inspection) => this.#run?.observe(event),
      _relay: (_source: unknown, target: Handle, event: RoomEvent) => this.#relay(target, event),
      scheduler: {
        schedule: (source: Handle, target: Handle, event: RoomEvent, delay: number, id?: string) =>
          this.#run?.schedule(source, target, event, delay, id),
        cancel: (source: Handle, id: string) => this.#run?.cancel(source, id),
        cancelAll: () => {},
      },
      getSnapshot: () => ({ _scheduledEvents: {} }),
      start: () => {},
      _clock: { setTimeout: () => undefined, clearTimeout: () => {} },
      _logger: () => {},
      _snapshot: { _scheduledEvents: {} },
    }
  }

  #scope(handle: Handle): AnyActorScope {
    const known = this.#scopes.get(handle)
    if (known) return known
    const scope = {
      self: handle,
      id: handle.id,
      sessionId: handle.sessionId,
      system: (handle as unknown as { system: unknown }).system,
      logger: (...given: unknown[]) => this.#run?.log(given),
      defer: (run: () => void) => this.#run?.deferred.push(run),
      emit: () => {},
      stopChild: (child: Handle) => this.#run?.stop(child),
      actionExecutor: (action: Action) => this.#run?.actions.push(action),
    } as unknown as AnyActorScope
    this.#scopes.set(handle, scope)
    return scope
  }
}

/** The room's own reference, `self` in its machine's functions. */
class Root {
  readonly id: string
  readonly sessionId = 'x:root'
  readonly src: unknown
  readonly logic: AnyStateMachine
  readonly system: unknown
  readonly options = {}
  readonly ref = this
  readonly send: (event: RoomEvent) => void
  _snapshot: unknown

  constructor(logic: AnyStateMachine, system: unknown, send: (event: RoomEvent) => void) {
    this.id = logic.id
    this.src = logic
    this.logic = logic
    this.system = system
    this.send = send
  }

  getSnapshot(): unknown {
    return this._snapshot
  }
}
