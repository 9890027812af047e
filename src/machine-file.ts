/**
 * Machine files: what one may export, and the mistakes that are found in it before anybody joins.
 *
 * Always true: a file that passes can be hosted by this version with everything that it promises kept; one that
 * does not is named, with what is wrong and what to write instead.
 */
import { readdirSync } from 'node:fs'
import { basename, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type AnyMachineSnapshot, type AnyStateMachine, StateMachine } from 'xstate'
import type { Principal } from './auth.ts'
import type { RoomDocument } from './document.ts'
import type { LogRecord } from './log.ts'
import { nearest } from './nearest.ts'
import type { RoomEvent } from './protocol.ts'
import type { RetentionPolicy } from './retention.ts'
import { TIMER_POLICIES, type TimerPolicy } from './uptime.ts'

/** A machine file, and where it stands. */
export interface LoadedFile extends MachineFile {
  readonly path: string
}

/** What a machine file may export beside its machine. */
export interface MachineFile {
  readonly default: AnyStateMachine
  readonly version?: string
  readonly schemas?: { readonly events?: Readonly<Record<string, StandardSchema>> }
  readonly access?: {
    readonly join?: (who: Principal, key: string) => boolean
    readonly send?: (who: Principal, event: RoomEvent, snapshot: AnyMachineSnapshot) => boolean
  }
  /** What `who` may see of the room's state; clients hold this instead of the whole. */
  readonly view?: (snapshot: PublicState, who: Principal) => unknown
  /** What `who` may see of a record; `null`: nothing. Without it a machine with a `view` shows its events to nobody. */
  readonly viewEvent?: (record: LogRecord, who: Principal) => LogRecord | null
  /** From each older version, what makes of a stored room one of the next. */
  readonly migrate?: Readonly<Record<string, (persisted: Persisted) => Persisted>>
  readonly policy?: Partial<Policy>
}

/** The `state` document of a room as all could see it. */
export interface PublicState {
  readonly value: unknown
  readonly context: unknown
  readonly status: string
  readonly can: readonly string[]
  readonly timers: readonly { readonly event: string; readonly dueAt: number }[]
}

/** A stored room, as a migration gets and gives it. */
export type Persisted = Omit<RoomDocument, 'version'>

/** What may differ from machine to machine; durations are milliseconds. */
export interface Policy extends RetentionPolicy {
  /** What a pending delay does of the time at which no server runs. */
  readonly timers: TimerPolicy
  /** How long a room without anybody stays in memory. */
  readonly idle: number
}

export const DEFAULT_POLICY: Policy = {
  idle: 60_000,
  timers: 'absolute',
  snapshotEvery: 100,
  history: 10_000,
  historyAge: 0,
}

/** The part of Standard Schema (standardschema.dev) that is asked of an event schema. */
export interface StandardSchema {
  readonly '~standard': {
    validate(value: unknown): StandardResult | Promise<StandardResult>
  }
}

type StandardResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly { message: string; path?: readonly (PropertyKey | { key: PropertyKey })[] }[] }

/** One mistake or more in machine files; the message has a line for each. */
export class MachineFileError extends Error {
  override readonly name = 'MachineFileError'
}

/**
 * Loads every `.ts` and `.js` file of a folder, each under its name.
 * @throws {MachineFileError} with one line per mistake.
 */
export async function loadMachineFiles(folder: string): Promise<Map<string, LoadedFile>> {
  const machines = new Map<string, LoadedFile>()
  const mistakes: string[] = []
  for (const file of machineFiles(folder)) {
    const name = basename(file, extname(file))
    try {
      machines.set(name, await loadMachineFile(name, resolve(folder, file)))
    } catch (error) {
      mistakes.push(`${file}: ${(error as Error).message}`)
    }
  }
  if (mistakes.length > 0) throw new MachineFileError(mistakes.join('\n'))
  if (machines.size === 0) throw new MachineFileError(`${folder}: no machine file (.ts or .js) in it`)
  return machines
}

function machineFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => /\.(ts|js)$/.test(file) && !file.endsWith('.d.ts'))
      .sort()
  } catch (error) {
    throw new MachineFileError(`${folder}: ${(error as Error).message}; name the folder with --machines`)
  }
}

async function loadMachineFile(name: string, path: string): Promise<LoadedFile> {
  if (!/^[a-z][a-z0-9-]*$/.test(name)) {
    throw new Error(
      'a machine file is named in lower case, digits and dashes, beginning with a letter, e.g. "my-room.ts"',
    )
  }
  const file: Partial<MachineFile> = await import(pathToFileURL(path).href)
  if (!(file.default instanceof StateMachine)) {
    throw new Error('the default export is not a machine; write "export default setup({ ... }).createMachine({ ... })"')
  }
  checkNames('', file, EXPORTS, (name) => nearest(name, EXPORTS) !== undefined)
  checkNames('access.', file.access ?? {}, RULES)
  checkNames('policy.', file.policy ?? {}, Object.keys(DEFAULT_POLICY))
  checkPolicy(file.policy ?? {})
  return { ...(file as MachineFile), path }
}

const EXPORTS = ['default', 'version', 'schemas', 'access', 'view', 'viewEvent', 'migrate', 'policy']
const RULES = ['join', 'send']

/**
 * A name that is misspelt is a rule that nobody keeps.
 * @throws for a name that is not known, unless it is one that may be anything
 */
function checkNames(prefix: string, given: object, known: readonly string[], isMeant = (_name: string) => true): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name) && isMeant(name))
  if (unknown === undefined) return
  const meant = nearest(unknown, known)
  const advice = meant === undefined ? `there are ${known.join(', ')}` : `did you mean ${prefix}${meant}?`
  throw new Error(`${prefix}${unknown}: no such name; ${advice}`)
}

/** @throws for what is no whole number, or too small; for `timers`, none of the known. */
function checkPolicy({ timers = 'absolute', ...numbers }: Partial<Policy>): void {
  if (!TIMER_POLICIES.includes(timers)) {
    throw new Error(`policy.timers: expected ${TIMER_POLICIES.join(', ')}, got ${JSON.stringify(timers)}`)
  }
  for (const [name, value] of Object.entries(numbers)) {
    const least = name === 'snapshotEvery' ? 1 : 0
    if (!Number.isSafeInteger(value) || value < least) {
      throw new Error(
        `policy.${name}: expected a whole number of at least ${least}, got ${typeof value === 'number' ? value : JSON.stringify(value)}`,
      )
    }
  }
}
