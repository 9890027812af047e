/**
 * What `policy.redact` of a machine names is shown to nobody: whatever stands under such a name, anywhere in a context or
 * an event, is `"(hidden)"`, in operations too.
 *
 * Always true: redacted operations make of a redacted document what the operations make of the document, redacted; what
 * holds nothing to hide is the same object.
 */
import type { RoomDocument } from '../machine/document.ts'
import type { Operation } from '../patch.ts'
import type { RoomEvent } from '../protocol.ts'

export const HIDDEN = '(hidden)'

/** The parts of a room's document that users' data stand in; the others hold states, instants and names of actors. */
const PRIVATE = new Set(['context', 'output', 'children', 'invokes', 'delays'])

export class Redactor {
  readonly names: ReadonlySet<string>
  /** What became of each object that was looked at; documents share what did not change. */
  readonly #known = new WeakMap<object, unknown>()

  constructor(names: readonly string[]) {
    this.names = new Set(names)
  }

  /** Whether there is anything to hide. */
  get isNeeded(): boolean {
    return this.names.size > 0
  }

  value<T>(given: T): T {
    if (!this.isNeeded || typeof given !== 'object' || given === null) return given
    if (this.#known.has(given)) return this.#known.get(given) as T
    const shown = Array.isArray(given) ? this.#list(given) : this.#object(given)
    this.#known.set(given, shown)
    return shown as T
  }

  #list(given: readonly unknown[]): readonly unknown[] {
    const shown = given.map((item) => this.value(item))
    return shown.some((item, i) => item !== given[i]) ? shown : given
  }

  #object(given: object): object {
    const entries = Object.entries(given)
    const shown = entries.map(([key, inner]) => [key, this.names.has(key) ? HIDDEN : this.value(inner)] as const)
    return shown.some(([, inner], i) => inner !== entries[i]?.[1]) ? Object.fromEntries(shown) : given
  }

  /** An event keeps its type. */
  event(event: RoomEvent): RoomEvent {
    return { ...this.value(event), type: event.type }
  }

  document(document: RoomDocument): RoomDocument {
    if (!this.isNeeded) return document
    const parts = Object.entries(document).map(([key, part]) => [key, PRIVATE.has(key) ? this.value(part) : part])
    return Object.fromEntries(parts)
  }

  /** Operations on a room's document. */
  ops(ops: readonly Operation[]): readonly Operation[] {
    return this.isNeeded ? ops.flatMap((op) => this.#op(op)) : ops
  }

  #op(op: Operation): Operation[] {
    if (op.path === '') return 'value' in op ? [{ ...op, value: this.document(op.value) } as Operation] : [op]
    const [part = '', ...steps] = op.path.split('/').slice(1).map(unescaped)
    if (!PRIVATE.has(part)) return [op]
    const at = steps.findIndex((step) => this.names.has(step))
    if (at !== -1 && at < steps.length - 1) return []
    if (at !== -1 && op.op !== 'remove')
      return [{ op: op.op === 'add' ? 'add' : 'replace', path: op.path, value: HIDDEN }]
    return ['value' in op ? ({ ...op, value: this.value(op.value) } as Operation) : op]
  }
}

/** A step of a JSON Pointer (RFC 6901 4). */
const unescaped = (step: string): string => step.replaceAll('~1', '/').replaceAll('~0', '~')
