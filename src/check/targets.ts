/**
 * Where a chart's transitions lead, and which of them lead nowhere. XState throws at the first of those while it makes the
 * machine, so that nothing else of the file is seen, or, for an `initial`, once something enters the state. Here they are
 * looked for just before, and taken out of the machine that is made, so that all else can be looked at.
 *
 * Always true: only a machine without such a fault is ever hosted; what somebody wrote is not changed; XState is as it was
 * once a file is loaded. Knows of XState's internals (pinned) that a machine's states are there before `_initialize`.
 */
import { type AnyStateMachine, StateNode as StateNodeClass } from 'xstate'
import { nearest } from '../nearest.ts'
import { type Config, isPlain, withTransitions } from './config.ts'
import { nodesOf, type StateNode } from './names.ts'

/** A target that is not there: what is wrong, and the text by which its line may be found, the best first. */
export interface TargetFault {
  readonly what: string
  readonly names: readonly string[]
}

const faults = new WeakMap<AnyStateMachine, readonly TargetFault[]>()

/** The targets of `machine` that are not there. */
export const targetFaults = (machine: AnyStateMachine): readonly TargetFault[] => faults.get(machine) ?? []

interface Initializing {
  _initialize(this: StateNode): void
}

interface WithIds {
  readonly idMap: ReadonlyMap<string, StateNode>
}

/** What `load` gives or throws; the machines that are made meanwhile are told, and stand without what leads nowhere. */
export async function withoutFaults<T>(load: () => Promise<T>, made: AnyStateMachine[]): Promise<T> {
  const prototype = StateNodeClass.prototype as unknown as Initializing
  const initialize = prototype._initialize
  prototype._initialize = function () {
    if (!this.parent) made.push(withoutFaultsOf(this))
    initialize.call(this)
  }
  try {
    return await load()
  } finally {
    prototype._initialize = initialize
  }
}

function withoutFaultsOf(root: StateNode): AnyStateMachine {
  const machine = root.machine as AnyStateMachine
  const found = nodesOf(root).flatMap(takeOut)
  if (found.length > 0) faults.set(machine, found)
  return machine
}

/** Every fault of one state, which stands without them afterwards. */
function takeOut(node: StateNode): TargetFault[] {
  const found: TargetFault[] = []
  const config = node.config as Config
  const changed = withTransitions(config, (transition, place) => {
    const fault = targetsOf(transition).flatMap((target) => faultOf(node, target, place) ?? [])
    found.push(...fault)
    return fault.length === 0 ? transition : { ...(isPlain(transition) ? transition : {}), target: undefined }
  })
  const first = initialFault(node) ?? historyFault(node)
  const mended = first && (node.type === 'history' ? { target: undefined } : { initial: Object.keys(node.states)[0] })
  if (first) found.unshift(first)
  if (found.length > 0) (node as { config: unknown }).config = { ...changed, ...mended }
  return found
}

function targetsOf(transition: unknown): string[] {
  const { target } = isPlain(transition) ? transition : { target: transition }
  return [target].flat().filter((one) => typeof one === 'string')
}

function initialFault(node: StateNode): TargetFault | undefined {
  const { initial } = node.config as Config
  const name = isPlain(initial) ? initial.target : initial
  if (typeof name !== 'string' || Object.hasOwn(node.states, name)) return undefined
  const known = Object.keys(node.states)
  const advice = known.length === 0 ? 'there are none; leave it out' : adviceOf(name, known, (meant) => meant)
  return {
    what: `no child state of ${node.id} is called "${name}" (its initial); ${advice}`,
    names: namesOf(name, 'initial'),
  }
}

/** A target by the key that it stands behind: the name alone may stand elsewhere before. */
function namesOf(target: string, place: string): string[] {
  const keys = ['target', place.split(' ').at(-1) as string]
  const behind = keys.flatMap((key) => [`${key}:`, `${key}':`, `${key}":`])
  return [...behind.flatMap((key) => [`${key} '${target}'`, `${key} "${target}"`]), target]
}

/** The first state of a history is named from the state around it. */
function historyFault(node: StateNode): TargetFault | undefined {
  const { target } = node.config as Config
  if (node.type !== 'history' || !node.parent || typeof target !== 'string' || target.startsWith('.')) return undefined
  return faultOf(node, target, 'history target')
}

function faultOf(node: StateNode, target: string, place: string): TargetFault | undefined {
  const what = wrongWith(node, target)
  return what && { what: what(`(${node.id}, ${place})`), names: namesOf(target, place) }
}

/** Says what is wrong, once it is told where. */
type Wrong = (where: string) => string

function wrongWith(node: StateNode, target: string): Wrong | undefined {
  const [first = '', ...rest] = pathOf(target)
  if (first.startsWith('#')) {
    const named = (node.machine as unknown as WithIds).idMap.get(first.slice(1))
    return named ? walk(named, rest, target) : noId(node, first, target)
  }
  if (first === '') return walk(node, rest, target)
  if (node.parent) return walk(node.parent as StateNode, [first, ...rest], target)
  const leadsNowhere: Wrong = (where) => `"${target}" ${where} leads nowhere; did you mean ".${target}"?`
  return walk(node, [first, ...rest], `.${target}`) ?? leadsNowhere
}

/** As XState takes a path apart: a dot behind a backslash belongs to a name. */
const pathOf = (target: string): string[] =>
  target.split(/(?<!\\)\./).map((step) => step.replaceAll(/\\(.)/g, (_, letter) => letter))

/** The first step of a path that is not there. */
function walk(from: StateNode, path: readonly string[], target: string): Wrong | undefined {
  let at = from
  for (const step of path) {
    if (step === '') return undefined
    if (!Object.hasOwn(at.states, step)) return noChild(at, step, target)
    at = at.states[step] as StateNode
  }
  return undefined
}

function noChild(at: StateNode, step: string, target: string): Wrong {
  const known = Object.keys(at.states)
  const elsewhere = nearest(step, known) === undefined ? idOfKey(at, step) : undefined
  const advice =
    elsewhere === undefined
      ? adviceOf(step, known, (meant) => `"${target.replace(step, meant)}"`, ELSEWHERE)
      : `did you mean "${elsewhere}"?`
  return (where) => `no state of ${at.id} is called "${step}" ${where}; ${advice}`
}

const ELSEWHERE = ' ("#id" is one elsewhere in the machine, ".child" one within)'

function noId(node: StateNode, id: string, target: string): Wrong {
  const root = node.machine.root as StateNode
  const named = nodesOf(root).filter((each) => each === root || each.config.id !== undefined)
  const byKey = idOfKey(node, id.slice(1))
  const known = named.map((each) => `#${each.id}`)
  const advice =
    byKey === undefined
      ? adviceOf(id, known, (meant) => `"${target.replace(id, meant)}"`)
      : `did you mean "${byKey}"? That one has no id of its own`
  return (where) => `no state has the id "${id.slice(1)}" ${where}; ${advice}`
}

/** How the state of that name is called from everywhere, if there is just one. */
function idOfKey(node: StateNode, key: string): string | undefined {
  const [only, ...more] = nodesOf(node.machine.root as StateNode).filter((each) => each.key === key && each.parent)
  return only && more.length === 0 ? `#${only.id}` : undefined
}

function adviceOf(name: string, known: readonly string[], write: (meant: string) => string, otherwise = ''): string {
  const meant = nearest(name, known)
  if (meant !== undefined) return `did you mean ${write(meant)}?`
  return known.length === 0 ? `there are none within${otherwise}` : `there are ${known.join(', ')}${otherwise}`
}
