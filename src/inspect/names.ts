/**
 * What the guards, actions and delays of a chart are called where it is drawn: by their names, XState's own by what they
 * do ("assign", "raise x", "send x to y"), and `(inline)` where there is no name.
 *
 * Always true: nothing of the machine is run to find out; what is decided only as it runs is `(inline)`.
 */

const INLINE = '(inline)'

/** Names that a function has only because of where it stands: `{ guard: () => ... }`. */
const PLACES = new Set(['', 'guard', 'actions', 'entry', 'exit'])

/** The part of XState's action and guard functions that is looked at. */
interface Creator {
  readonly type?: string
  readonly name?: string
  readonly event?: unknown
  readonly to?: unknown
  readonly delay?: unknown
  readonly id?: unknown
  readonly src?: unknown
  readonly sendId?: unknown
  readonly actorRef?: unknown
  readonly guards?: readonly unknown[]
  readonly stateValue?: unknown
  readonly check?: unknown
}

/** A name, or the name of a function that was given one. */
function named(given: unknown): string {
  if (typeof given === 'string') return given
  if (typeof given === 'function') return PLACES.has(given.name) ? INLINE : given.name
  const { type, id } = (given ?? {}) as { type?: unknown; id?: unknown }
  return typeof type === 'string' ? type : typeof id === 'string' ? id : INLINE
}

/** The words for an action. */
export function actionName(action: unknown): string {
  const { type } = action as Creator
  if (typeof action !== 'function' || !type?.startsWith('xstate.')) return named(action)
  return (BUILT_IN[type] ?? (() => type.slice('xstate.'.length)))(action as Creator)
}

const BUILT_IN: Readonly<Record<string, (action: Creator) => string>> = {
  'xstate.raise': ({ event, delay }) => `raise ${valueName(event)}${later(delay)}`,
  'xstate.sendTo': ({ event, to, delay }) => `send ${valueName(event)} to ${valueName(to)}${later(delay)}`,
  'xstate.emit': ({ event }) => `emit ${valueName(event)}`,
  'xstate.spawnChild': ({ src }) => `spawn ${valueName(src)}`,
  'xstate.stopChild': ({ actorRef }) => `stop ${valueName(actorRef)}`,
  'xstate.cancel': ({ sendId }) => `cancel ${valueName(sendId)}`,
}

/** A function here is an expression, whatever it is called. */
const valueName = (given: unknown): string => (typeof given === 'function' ? INLINE : named(given))

const later = (delay: unknown): string => (delay === undefined ? '' : ` after ${delayName(delay)}`)

/** The words for a guard: `isHost`, `not(isHost)`, `and(a, b)`. */
export function guardName(guard: unknown): string {
  const { check, guards, stateValue, name = '' } = guard as Creator
  if (typeof guard !== 'function' || check === undefined) return named(guard)
  const inner = guards?.map(guardName) ?? [typeof stateValue === 'string' ? stateValue : JSON.stringify(stateValue)]
  return `${name}(${inner.join(', ')})`
}

const UNITS = [
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const

/** Milliseconds in the largest unit that leaves no fraction; a name stays. */
export function delayName(delay: unknown): string {
  if (typeof delay !== 'number') return valueName(delay)
  const unit = UNITS.find(([, ms]) => delay >= ms && delay % ms === 0)
  return unit ? `${delay / unit[1]} ${unit[0]}` : `${delay} ms`
}
