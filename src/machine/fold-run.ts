/**
 * One event on its way through a room and its children, until all is quiet.
 *
 * Always true: XState's own actions are carried out in the scope that `fold.ts` gives them, where they only note what is
 * to be; the machine's own actions wait until the record is durable.
 */
import type { AnyActorScope, AnyMachineSnapshot } from 'xstate'
import type { RoomEvent } from '../protocol.ts'
import {
  type Child,
  type Delay,
  type Effect,
  type Folded,
  type FoldStep,
  type Handle,
  isPure,
  type Moment,
  pathOf,
} from './folded.ts'

/** Microsteps that one event may lead to: an endless loop of `raise`, `always` or messages is stopped here. */
const MAX_MICROSTEPS = 1000

/** `ProcessingStatus.Stopped` in XState. */
const STOPPED = 2

interface Spawned extends Handle {
  _processingStatus: number
}

export type Action = Parameters<AnyActorScope['actionExecutor']>[0]

/** The part of XState's inspection events that is looked at. */
export interface Inspection {
  readonly type: string
  readonly actorRef?: unknown
  readonly _transitions?: unknown[]
}

export class Run {
  readonly actions: Action[] = []
  readonly deferred: (() => void)[] = []
  isTaken = false
  readonly #self: Handle
  readonly #moment: Moment
  readonly #scopeOf: (handle: Handle) => AnyActorScope
  readonly #before: Folded
  #children: Map<string, Child> | undefined
  #delays: readonly Delay[]
  readonly #effects: Effect[] = []
  readonly #queue: { readonly to: Handle; readonly event: RoomEvent }[] = []
  readonly #known: WeakSet<Handle>
  #booked = 0
  #microsteps = 0
  #isObserved = false

  /** @param known those that have been spawned ever, also before this run; those of this run are added */
  constructor(
    before: Folded,
    self: Handle,
    moment: Moment,
    scopeOf: (handle: Handle) => AnyActorScope,
    known: WeakSet<Handle>,
  ) {
    this.#known = known
    this.#before = before
    this.#self = self
    this.#moment = moment
    this.#scopeOf = scopeOf
    this.#delays = before.delays
  }

  finish(): FoldStep {
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) this.step(next.to, next.event)
    const snapshot = this.#self._snapshot as AnyMachineSnapshot
    return {
      folded: { snapshot, children: this.#children ?? this.#before.children, delays: this.#delays },
      effects: this.#effects,
    }
  }

  /** One actor takes one event; what it sends is queued. */
  step(to: Handle, event: RoomEvent): void {
    const child = to === this.#self ? undefined : this.#living.get(pathOf(to))
    if (to !== this.#self && child?.handle !== to) return
    if (child?.kind === 'live') return void this.#effects.push({ type: 'deliver', path: child.path, event })
    const snapshot = to._snapshot as AnyMachineSnapshot
    if (snapshot.status !== 'active') return
    this.#count()
    this.#advance(to, () => to.logic.transition(snapshot, event, this.#scopeOf(to)))
  }

  /** What a child throws is its own end, told to its parent; what the room itself throws ends the run. */
  #advance(to: Handle, make: () => unknown): void {
    if (to === this.#self) return this.moved(to, this.collect(make))
    try {
      this.moved(to, this.collect(make))
    } catch (error) {
      this.actions.length = 0
      this.deferred.length = 0
      this.moved(to, { snapshot: { ...(to._snapshot as object), status: 'error', error }, actions: [] })
    }
  }

  /** Makes a snapshot, and keeps the actions that it asks for. */
  collect<T>(make: () => T): { snapshot: T; actions: Action[] } {
    const snapshot = make()
    return { snapshot, actions: this.actions.splice(0) }
  }

  /** An actor has a new snapshot, and `actions` to follow. */
  moved(handle: Handle, { snapshot, actions }: { snapshot: unknown; actions: Action[] }): void {
    handle._snapshot = snapshot
    const { status, error } = snapshot as { status: string; error?: unknown }
    if (handle === this.#self && status === 'error') throw error
    for (const action of actions) this.#follow(action)
    this.#adopt(snapshot)
    for (const run of this.deferred.splice(0)) run()
    if (status !== 'active') this.#dropDelays(pathOf(handle))
    if (handle !== this.#self) this.#settle(handle)
  }

  /**
   * Spawns what an `assign` has spawned. XState would start it at once: nothing that has stopped is started. What has ended
   * stays among XState's children until its state is left, and is not begun again.
   */
  #adopt(snapshot: unknown): void {
    const { children = {} } = snapshot as { children?: Readonly<Record<string, Spawned | undefined>> }
    for (const child of Object.values(children)) {
      if (!child || this.#known.has(child)) continue
      child._processingStatus = STOPPED
      this.#spawn(child)
    }
  }

  /** Tells the parent what became of a child, as an event of this record. */
  #settle(handle: Handle): void {
    const path = pathOf(handle)
    const child = this.#living.get(path)
    if (!child) return
    const snapshot = handle._snapshot as { status: string; output?: unknown; error?: unknown }
    this.#change().set(path, { ...child, snapshot })
    const { id } = handle
    const tell = (event: RoomEvent): void => {
      const { now, seq } = this.#moment
      this.send(handle._parent as Handle, { ...event, from: null, time: now, seq })
    }
    if (handle._syncSnapshot && snapshot.status === 'active') tell({ type: `xstate.snapshot.${id}`, snapshot })
    if (snapshot.status === 'done') tell({ type: `xstate.done.actor.${id}`, output: snapshot.output, actorId: id })
    if (snapshot.status === 'error') tell({ type: `xstate.error.actor.${id}`, error: snapshot.error, actorId: id })
  }

  /** XState's own actions are carried out here, in a system where they only note what is to be; the others wait. */
  #follow(action: Action): void {
    const { type, params, info } = action
    if (type === 'xstate.spawnChild') return this.#spawn((params as { actorRef?: Handle }).actorRef)
    if (type.startsWith('xstate.')) return void action.exec?.(info as never, params)
    this.#effects.push({ type: 'action', name: type, run: () => action.exec?.(info as never, params) })
  }

  #spawn(handle: Handle | undefined): void {
    if (!handle) throw new Error('an actor was to be spawned whose logic the machine does not have')
    if (typeof handle.src !== 'string') throw new Error(`the actor ${handle.id} is spawned by its logic, not by a name`)
    this.#known.add(handle)
    const path = pathOf(handle)
    const { seq } = this.#moment
    if (isPure(handle.logic)) {
      this.#change().set(path, { handle, path, kind: 'pure', snapshot: { status: 'active' }, input: null, seq })
      const scope = this.#scopeOf(handle)
      this.#advance(handle, () => handle.logic.getInitialSnapshot(scope, handle.options.input))
    } else {
      const { input = null } = handle.options
      const child: Child = { handle, path, kind: 'live', snapshot: { status: 'active' }, input, seq }
      this.#change().set(path, child)
      this.#effects.push({ type: 'start', child })
    }
  }

  /** Ends an actor, and all that belongs to it. */
  stop(handle: Handle): void {
    const path = pathOf(handle)
    for (const child of [...this.#living.values()]) {
      if (child.path !== path && !child.path.startsWith(`${path}/`)) continue
      this.#change().delete(child.path)
      if (child.kind === 'live') this.#effects.push({ type: 'stop', path: child.path })
    }
    this.#dropDelays(path)
  }

  #dropDelays(path: string): void {
    const within = path === '' ? '' : `${path}/`
    const kept = this.#delays.filter(({ owner }) => owner !== path && !owner.startsWith(within))
    if (kept.length < this.#delays.length) this.#delays = kept
  }

  /** An id that no other actor or delay of the room has had. */
  bookId(): string {
    return `x:${this.#moment.seq}.${this.#booked++}`
  }

  send(to: Handle, event: RoomEvent): void {
    this.#queue.push({ to, event })
  }

  schedule(source: Handle, target: Handle, event: RoomEvent, delay: number, given?: string): void {
    const owner = pathOf(source)
    if (!(delay >= 0)) throw new Error(`a delay is a number of milliseconds, got ${delay}`)
    const id = given ?? this.bookId()
    this.cancel(source, id)
    const dueAt = this.#moment.now + Math.round(delay)
    const { downtime } = this.#moment
    const counted = downtime !== undefined && { downtime }
    const waiting = { id, owner, to: pathOf(target), event, dueAt, delay: Math.round(delay), ...counted }
    const at = this.#delays.findIndex((other) => other.dueAt > dueAt)
    this.#delays = at === -1 ? [...this.#delays, waiting] : this.#delays.toSpliced(at, 0, waiting)
  }

  cancel(source: Handle, id: string): void {
    const owner = pathOf(source)
    if (this.#delays.some((delay) => delay.id === id && delay.owner === owner)) {
      this.#delays = this.#delays.filter((delay) => delay.id !== id || delay.owner !== owner)
    }
  }

  /** `log` hands over a label and a value, or a value alone. */
  log(given: unknown[]): void {
    const [label, value] = given.length > 1 ? given : ['', given[0]]
    this.#effects.push({ type: 'log', label: String(label), value })
  }

  find(systemId: string): Handle | undefined {
    for (const { handle } of this.#living.values()) if (handle.systemId === systemId) return handle
    return undefined
  }

  /** Notes whether the first microstep took a transition, so that no guard is asked twice, and ends what has no end. */
  observe({ type, actorRef, _transitions: transitions }: Inspection): void {
    if (type !== '@xstate.microstep') return
    if (actorRef === this.#self && !this.#isObserved) {
      this.#isObserved = true
      this.isTaken = (transitions?.length ?? 0) > 0
    }
    this.#count()
  }

  #count(): void {
    if (++this.#microsteps > MAX_MICROSTEPS) throw new Error(`one event led to more than ${MAX_MICROSTEPS} microsteps`)
  }

  get #living(): ReadonlyMap<string, Child> {
    return this.#children ?? this.#before.children
  }

  #change(): Map<string, Child> {
    this.#children ??= new Map(this.#before.children)
    return this.#children
  }
}
