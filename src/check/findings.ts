/**
 * What can be wrong with a machine file that loads, as far as it can be seen without running a room: what it exports, the
 * names that nothing stands behind, events that never come, versions that no migration leads from.
 *
 * Always true: a mistake is something that would fail or be passed over in silence in some room; what may be meant so is a
 * note. Each says what to write instead.
 */
import { type AnyStateMachine, StateMachine } from 'xstate'
import { DEFAULT_POLICY, type MachineFile } from '../machine/machine-file.ts'
import { TIMER_POLICIES } from '../machine/uptime.ts'
import { nearest } from '../nearest.ts'
import { strangeKeys } from './keys.ts'
import { hasUnseen, type Kind, machinesOf, missingNames, nodesOf, type Reference } from './names.ts'
import { unreachable } from './reach.ts'
import { targetFaults } from './targets.ts'

export interface Finding {
  readonly what: string
  /** The names by which its line may be found, the best first. */
  readonly names: readonly string[]
  /** The export that holds them. */
  readonly behind?: string
  /** It may be meant so. */
  readonly isNote?: true
}

type Given = Readonly<Record<string, unknown>>

const EXPORTS = ['default', 'version', 'schemas', 'access', 'view', 'viewEvent', 'migrate', 'policy']
const RULES = ['join', 'send']

/** Everything that is found, mistakes and notes. */
export function findings(file: Given): Finding[] {
  if (!(file.default instanceof StateMachine)) return [noMachine(file), ...exportFindings(file)]
  const machine = file.default as AnyStateMachine
  return [...exportFindings(file), ...chartFindings(machine), ...eventFindings(machine, file)]
}

function noMachine(file: Given): Finding {
  const what = 'default' in file ? 'the default export is not a machine of XState v5' : 'there is no default export'
  return { what: `${what}; write "export default setup({ ... }).createMachine({ ... })"`, names: ['export default'] }
}

function exportFindings(file: Given): Finding[] {
  return [
    ...unknownNames('', file, EXPORTS, (name) => nearest(name, EXPORTS) !== undefined),
    ...['access', 'policy', 'schemas', 'migrate'].flatMap((name) => needObject(name, file[name])),
    ...unknownNames('access.', file.access, RULES),
    ...unknownNames('policy.', file.policy, Object.keys(DEFAULT_POLICY)),
    ...unknownNames('schemas.', file.schemas, ['events']),
    ...policyFindings((file.policy ?? {}) as object),
    ...needFunction('view', file.view, '(state, who) => ...'),
    ...needFunction('viewEvent', file.viewEvent, '(record, who) => ...'),
    ...RULES.flatMap((name) =>
      needFunction(`access.${name}`, (file.access as Given | undefined)?.[name], '(who) => ...'),
    ),
    ...viewFindings(file),
    ...versionFindings(file),
  ]
}

/** A name that is misspelt is a rule that nobody keeps. */
function unknownNames(
  prefix: string,
  given: unknown,
  known: readonly string[],
  isMeant = (_name: string) => true,
): Finding[] {
  const unknown = Object.keys(isObject(given) ? given : {}).filter((name) => !known.includes(name) && isMeant(name))
  return unknown.map((name) => {
    const meant = nearest(name, known)
    const advice = meant === undefined ? `there are ${known.join(', ')}` : `did you mean ${prefix}${meant}?`
    return { what: `${prefix}${name}: no such name; ${advice}`, names: [name] }
  })
}

function policyFindings(policy: object): Finding[] {
  const known = Object.entries(policy).filter(([name]) => Object.hasOwn(DEFAULT_POLICY, name))
  return known.flatMap(([name, value]) => {
    if (name === 'timers') return timersFindings(value)
    if (name === 'redact') return redactFindings(value)
    const least = name === 'snapshotEvery' ? 1 : 0
    if (Number.isSafeInteger(value) && value >= least) return []
    const got = typeof value === 'number' ? value : JSON.stringify(value)
    return [
      {
        what: `policy.${name}: expected a whole number of at least ${least}, got ${got}`,
        names: [name],
        behind: 'policy',
      },
    ]
  })
}

function timersFindings(value: unknown): Finding[] {
  if (TIMER_POLICIES.some((policy) => policy === value)) return []
  const what = `policy.timers: expected ${TIMER_POLICIES.join(', ')}, got ${JSON.stringify(value)}`
  return [{ what, names: ['timers'] }]
}

function redactFindings(value: unknown): Finding[] {
  if (Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== ''))
    return indexFindings(value)
  const what = `policy.redact: expected names of properties, got ${shown(value)}; write "redact: ['password']"`
  return [{ what, names: ['redact'], behind: 'policy' }]
}

/** In an operation's path an index looks like a name, and what stands at it moves. */
function indexFindings(names: readonly string[]): Finding[] {
  const indices = names.filter((name) => /^(0|[1-9]\d*)$/.test(name))
  return indices.map((name) => ({
    what: `policy.redact: "${name}" is an index of lists; hide the property that they stand under`,
    names: ['redact'],
    behind: 'policy',
  }))
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function needObject(name: string, value: unknown): Finding[] {
  if (value === undefined || isObject(value)) return []
  return [{ what: `${name}: expected an object, got ${shown(value)}`, names: [name] }]
}

const shown = (value: unknown): string => (typeof value === 'function' ? 'a function' : JSON.stringify(value))

function needFunction(name: string, value: unknown, example: string): Finding[] {
  if (value === undefined || typeof value === 'function') return []
  const names = [name.split('.').at(-1) as string]
  return [{ what: `${name}: expected a function, got ${JSON.stringify(value)}; write "${example}"`, names }]
}

function viewFindings({ view, viewEvent }: Given): Finding[] {
  if (view && !viewEvent) {
    const what = 'there is a view and no viewEvent: nobody is shown an event; export one if somebody should be'
    return [{ what, names: ['view'], isNote: true }]
  }
  if (view || !viewEvent) return []
  const what = 'viewEvent does nothing without a view; export one, or leave it out'
  return [{ what, names: ['viewEvent'], isNote: true }]
}

function versionFindings({ version = '1', migrate = {} }: Given): Finding[] {
  if (typeof version !== 'string') {
    return [
      { what: `version: expected a string, got ${JSON.stringify(version)}; write '${version}'`, names: ['version'] },
    ]
  }
  const steps = Object.entries(migrate as object)
  const notFunctions = steps.flatMap(([from, step]) => needFunction(`migrate.${from}`, step, '(room) => ({ ...room })'))
  if (Object.hasOwn(migrate as object, version)) return [...notFunctions, noWay(version)]
  if (version === '1' || steps.length > 0) return notFunctions
  const what = `version is '${version}' and nothing migrates: rooms that an older one stored answer room_failed; export migrate`
  return [{ what, names: ['version'], isNote: true }]
}

/** A migration ends where it comes to the version that is current. */
function noWay(version: string): Finding {
  const what = `migrate.${version}: leads on from the version that the file has ('${version}'), so nothing comes past it`
  return { what: `${what}; give version a new value, or leave migrate.${version} out`, names: ['migrate'] }
}

function chartFindings(machine: AnyStateMachine): Finding[] {
  const machines = [...machinesOf(machine)]
  const lost = machines.flatMap(targetFaults)
  const strange = machines.flatMap(strangeWords)
  const missing = machines.flatMap((each) => missingNames(each).map((reference) => nothingBehind(each, reference)))
  // What leads nowhere may have been meant to lead there.
  const lonely = (lost.length > 0 ? [] : machines.flatMap(unreachable)).map((node): Finding => {
    const what = `nothing leads to the state ${node.id}; write a transition to it, or leave it out`
    return { what, names: [node.key], isNote: true }
  })
  return [...lost, ...strange, ...missing, ...lonely, ...(machines.some(hasUnseen) ? [UNSEEN] : [])]
}

function strangeWords(machine: AnyStateMachine): Finding[] {
  const words = nodesOf(machine.root).flatMap(strangeKeys)
  return words.map(({ what, name, isNote }) => ({ what, names: [name], ...(isNote && { isNote }) }))
}

const UNSEEN: Finding = {
  what: 'what enqueueActions does is seen only as it runs; the names in it are not checked',
  names: ['enqueueActions(', 'enqueueActions'],
  isNote: true,
}

const SINGULAR = { guards: 'guard', actions: 'action', actors: 'actor', delays: 'delay' } as const

function nothingBehind(machine: AnyStateMachine, { kind, name, where }: Reference): Finding {
  const known = Object.keys((machine.implementations as unknown as Readonly<Record<Kind, object>>)[kind] ?? {})
  const meant = nearest(name, known)
  const write = `write it in setup({ ${kind}: { ... } })${kind === 'delays' ? ', or a number of milliseconds' : ''}`
  const advice = meant === undefined ? write : `did you mean ${meant}?`
  return { what: `no ${SINGULAR[kind]} is called ${JSON.stringify(name)} (${where}); ${advice}`, names: [name] }
}

/** Events that XState itself makes, for which a machine may have transitions. */
const OF_XSTATE = /^xstate\.(done|error|snapshot|after|init|stop)\b/

function eventFindings(machine: AnyStateMachine, { schemas }: Given): Finding[] {
  const types = [...new Set(nodesOf(machine.root).flatMap((node) => [...node.transitions.keys()]))]
  const known = types.filter((type) => !OF_XSTATE.test(type))
  const strange = known.flatMap(strangeEvent)
  const events = (schemas as MachineFile['schemas'])?.events ?? {}
  if (!isObject(events) || isStandardSchema(events)) return [...strange, NO_EVENTS]
  return [...strange, ...Object.entries(events).flatMap(([type, schema]) => schemaFindings(type, schema, known))]
}

const NO_EVENTS: Finding = {
  what: 'schemas.events: expected an object with a schema for each event type; write "{ go: z.looseObject({ ... }) }"',
  names: ['events'],
  behind: 'schemas',
}

function isStandardSchema(value: unknown): boolean {
  const standard = (value as Given | null | undefined)?.['~standard'] as { validate?: unknown } | undefined
  return typeof standard?.validate === 'function'
}

function strangeEvent(type: string): Finding[] {
  if (type.startsWith('xstate.')) {
    const what = `no event is called ${type}; what begins with "xstate." is XState's own: choose another name`
    return [{ what, names: [type] }]
  }
  if (!type.startsWith('room.') || type === 'room.joined' || type === 'room.left') return []
  const what = `no event is called ${type}; the server's own are room.joined and room.left, and no other begins with "room."`
  return [{ what, names: [type] }]
}

function schemaFindings(type: string, schema: unknown, known: readonly string[]): Finding[] {
  const isSchema = isStandardSchema(schema)
  const notSchema = {
    what: `schemas.events[${JSON.stringify(type)}]: expected a Standard Schema, e.g. z.looseObject({ ... })`,
    names: [type],
    behind: 'schemas',
  }
  if (known.some((descriptor) => takes(descriptor, type))) return isSchema ? [] : [notSchema]
  const meant = nearest(type, known)
  const advice = meant === undefined ? 'write a transition for it, or leave it out' : `did you mean ${meant}?`
  const what = `schemas.events[${JSON.stringify(type)}]: no state has a transition for it; ${advice}`
  return [{ what, names: [type], behind: 'schemas' }, ...(isSchema ? [] : [notSchema])]
}

/** Whether an event descriptor, which may be `*` or end with `.*`, takes an event of this type. */
function takes(descriptor: string, type: string): boolean {
  if (descriptor === '*' || descriptor === type) return true
  return descriptor.endsWith('.*') && `${type}.`.startsWith(descriptor.slice(0, -1))
}
