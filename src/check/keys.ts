/**
 * The words of XState 5 in which a chart is written. XState passes over a word that it does not know without a sound: a
 * `gaurd` that nobody asks.
 *
 * Always true: a word that is near to one that may stand there, that belongs elsewhere, or that an older XState had is a
 * mistake; any other may be somebody's own, and is a note.
 */

import { nearest } from '../nearest.ts'
import { type Config, invokesOf, isPlain, withTransitions } from './config.ts'
import type { StateNode } from './names.ts'

/** A word that is not XState's. */
export interface StrangeKey {
  readonly what: string
  readonly name: string
  /** Somebody may have meant it so. */
  readonly isNote?: true
}

const TRANSITION = ['target', 'guard', 'actions', 'reenter', 'meta', 'description']
const INITIAL = ['target', 'actions', 'meta', 'description']
const INVOKE = ['src', 'id', 'systemId', 'input', 'onDone', 'onError', 'onSnapshot']
const STATE = [
  ...['initial', 'type', 'history', 'states', 'invoke', 'on', 'entry', 'exit', 'onDone', 'after', 'always', 'meta'],
  ...['output', 'id', 'order', 'tags', 'description', 'target', 'route', 'parent'],
]
const MACHINE = [...STATE, 'context', 'version', 'options', 'schemas', 'types']
const TYPES = ['atomic', 'compound', 'parallel', 'final', 'history']

/** What describes only: in the wrong place it does no harm. */
const HARMLESS = new Set(['meta', 'description', 'id', 'order', 'tags', 'parent', 'version', 'schemas', 'types'])
const BEHAVIOUR = new Set([...TRANSITION, ...INVOKE, ...MACHINE].filter((key) => !HARMLESS.has(key)))

/** What XState 4 called them. */
const RENAMED: Readonly<Record<string, string>> = {
  cond: 'guard',
  internal: 'reenter',
  onEntry: 'entry',
  onExit: 'exit',
  activities: 'invoke',
}

/** The words of one state that are not XState's, the states within aside. */
export function strangeKeys(node: StateNode): StrangeKey[] {
  const config = node.config as Config
  const found = strangeIn(config, node.parent ? STATE : MACHINE, node.parent ? 'a state' : 'a machine', node.id)
  for (const invoke of invokesOf(config)) found.push(...strangeIn(invoke, INVOKE, 'an invoke', node.id))
  if (isPlain(config.initial)) found.push(...strangeIn(config.initial, INITIAL, 'an initial', node.id))
  withTransitions(config, (transition, place) => {
    if (isPlain(transition)) found.push(...strangeIn(transition, TRANSITION, 'a transition', `${node.id}, ${place}`))
    return transition
  })
  return [...found, ...typeFault(config, node.id)]
}

function strangeIn(config: Config, known: readonly string[], what: string, where: string): StrangeKey[] {
  return Object.keys(config).flatMap((name) => {
    if (known.includes(name) || config[name] === undefined) return []
    const renamed = RENAMED[name]
    const meant = renamed !== undefined && known.includes(renamed) ? renamed : nearest(name, known)
    const isNote = meant === undefined && !BEHAVIOUR.has(name)
    const advice = meant === undefined ? `there are ${known.join(', ')}` : `did you mean ${meant}?`
    return [{ what: `${name}: no such name in ${what} (${where}); ${advice}`, name, ...(isNote && { isNote }) }]
  })
}

/** Any other type makes a state that has nothing within it. */
function typeFault({ type }: Config, where: string): StrangeKey[] {
  if (type === undefined || TYPES.includes(type as string)) return []
  const meant = typeof type === 'string' ? nearest(type, TYPES) : undefined
  const advice = meant === undefined ? `there are ${TYPES.join(', ')}` : `did you mean ${meant}?`
  return [{ what: `no type of state is called ${JSON.stringify(type)} (${where}); ${advice}`, name: String(type) }]
}
