/**
 * What those who watch a room see: one view for all of them, or, where its machine has a `view`, one for each principal.
 *
 * Always true: what a machine's `view` or `viewEvent` does not give back is in no frame that is made here (rule S5); each
 * view is diffed and encoded once, however many tabs watch it.
 */
import type { Principal } from '../auth/auth.ts'
import { type Failure, failure } from '../errors.ts'
import type { Log, LogRecord, Shown } from '../log/log.ts'
import type { Logger } from '../logger.ts'
import type { RoomDocument, RoomState } from '../machine/document.ts'
import type { Machine } from '../machine/machine.ts'
import type { JoinMode, ServerFrames } from '../protocol.ts'
import type { EventSource } from './event-cursor.ts'
import { EventPages, eventFrame } from './event-pages.ts'
import { NOTHING } from './recovery.ts'
import type { Publication, Subscription } from './subscription.ts'
import { View } from './view.ts'

/** Who stands for everybody where all see the same. */
const EVERYBODY: Principal = { user: '', scopes: [], claims: {} }

export class Audience {
  readonly #machine: Machine
  readonly #log: Log
  readonly #logger: Logger
  readonly #pages: EventPages
  #position: View
  #state: RoomState | undefined
  #views = new Map<Principal, View>()

  constructor(room: string, machine: Machine, { log, logger }: { log: Log; logger: Logger }) {
    this.#machine = machine
    this.#log = log
    this.#logger = logger
    this.#pages = new EventPages(log)
    this.#position = new View(room, '', 0, undefined)
  }

  /** Where the room stands; its state is nobody's. */
  get position(): View {
    return this.#position
  }

  /** The room's document there. */
  get document(): RoomDocument | undefined {
    return this.#state?.document
  }

  /** What may be sent now. */
  get can(): readonly string[] {
    return this.#state ? this.#machine.can(this.#state.snapshot) : []
  }

  /** The room was read from its log. */
  begin(epoch: string, seq: number, state: RoomState | undefined): void {
    this.#moveTo(epoch, seq, state)
    this.#views = new Map()
  }

  /** What `who` sees now. */
  viewOf(who: Principal): View {
    const principal = this.#machine.hasView ? who : EVERYBODY
    const known = this.#views.get(principal)
    if (known?.seq === this.#position.seq) return known
    const { room, epoch, seq } = this.#position
    const view = new View(room, epoch, seq, this.#state && this.see(this.#state, principal))
    this.#views.set(principal, view)
    return view
  }

  /** The room is at `state` now: what each of those who watch is to be told. */
  move(seq: number, state: RoomState, records: readonly LogRecord[]): (subscription: Subscription) => Publication {
    const before = this.#views
    const after = this.#position.seq
    this.#moveTo(this.#position.epoch, seq, state)
    this.#views = new Map()
    if (this.#machine.hasView) return oncePerPrincipal((who) => this.#told(who, before.get(who), after, records))
    return onceForAll((who) => this.#told(who, before.get(who), after, records))
  }

  #told(who: Principal, base: View | undefined, after: number, records: readonly LogRecord[]): Publication {
    const view = this.viewOf(who)
    return new Told(after, base ?? view, view, () => this.#frames(records, who))
  }

  #frames(records: readonly LogRecord[], who: Principal): (Buffer | null)[] {
    const show = this.shownTo(who)
    return records.map((record) => {
      const shown = show(record)
      return shown && eventFrame(this.#position, shown)
    })
  }

  /** What `who` may see of `state`. A view that throws shows nothing, and its operator is told. */
  see(state: RoomState, who: Principal): unknown {
    return this.#guarded(() => this.#machine.project(state, who))
  }

  /** What answers a `get`; `peeked` stands for the state of a room that is unborn. */
  snapshot(peeked: RoomState, who: Principal): ServerFrames['snapshot'] {
    const { room, epoch, seq } = this.#position
    const state = seq === 0 ? this.see(peeked, who) : this.viewOf(who).state
    return { type: 'snapshot', room, epoch, seq, state }
  }

  /** Whether anybody may see the events of this machine, where `mode` asks for them (rule S5). */
  refuseEvents(mode: JoinMode = 'events'): Failure | undefined {
    if (mode === 'state' || this.#machine.showsEvents) return undefined
    return failure('forbidden', `${this.#machine.name} shows its events to nobody: it has a view, and no viewEvent`)
  }

  /** Records as `who` may see them. */
  shownTo(who: Principal): Shown {
    return (record) => this.#guarded(() => this.#machine.showEvent(record, who))
  }

  #guarded<T>(show: () => T): T | null {
    try {
      return show()
    } catch (error) {
      this.#logger.error({ err: error, room: this.#position.room }, 'the view of the machine threw; nothing is shown')
      return null
    }
  }

  /** What one who follows the events needs; who that is may change (rule A2). */
  sourceFor(watcher: { readonly who: Principal }): EventSource {
    const seq = (): number => this.#position.seq
    const pages = (): EventPages =>
      this.#machine.hasView ? new EventPages(this.#log, this.shownTo(watcher.who)) : this.#pages
    return {
      get seq() {
        return seq()
      },
      framesAfter: (after) => pages().framesAfter(this.#position, after),
    }
  }

  /** Pages that were read for those who resumed are held no longer. */
  rest(): void {
    this.#pages.forget()
  }

  #moveTo(epoch: string, seq: number, state: RoomState | undefined): void {
    this.#position = new View(this.#position.room, epoch, seq, undefined)
    this.#state = state
    this.#pages.forget()
  }
}

function onceForAll(tell: (who: Principal) => Publication): () => Publication {
  let told: Publication | undefined
  return () => {
    told ??= tell(EVERYBODY)
    return told
  }
}

function oncePerPrincipal(tell: (who: Principal) => Publication): (subscription: Subscription) => Publication {
  const told = new Map<Principal, Publication>()
  return ({ who }) => {
    const known = told.get(who) ?? tell(who)
    told.set(who, known)
    return known
  }
}

/** What one commit brings to one principal; each frame is made for the first who wants it. */
class Told implements Publication {
  readonly after: number
  readonly base: View
  readonly view: View
  readonly #makeEvents: () => (Buffer | null)[]
  #patch: Buffer | undefined
  #events: (Buffer | null)[] | undefined

  constructor(after: number, base: View, view: View, makeEvents: () => (Buffer | null)[]) {
    this.after = after
    this.base = base
    this.view = view
    this.#makeEvents = makeEvents
  }

  get patch(): Buffer {
    this.#patch ??= this.base === this.view ? NOTHING : this.view.patchFrom(this.base)
    return this.#patch
  }

  get events(): readonly (Buffer | null)[] {
    this.#events ??= this.#makeEvents()
    return this.#events
  }
}
