/**
 * What a machine file may export: its machine, and the rules that go with it. `check/load.ts` reads such files,
 * `check/findings.ts` finds the mistakes in them.
 */
import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate'
import type { Principal } from '../auth/auth.ts'
import type { LogRecord } from '../log/log.ts'
import type { RetentionPolicy } from '../log/retention.ts'
import type { RoomEvent } from '../protocol.ts'
import type { RoomDocument } from './document.ts'
import type { TimerPolicy } from './uptime.ts'

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
  /** So many throws within 30 s make a room fail; 0: it never does. */
  readonly maxFailures: number
  /** Names of properties that the inspector hides, wherever they stand in the context or in an event. */
  readonly redact: readonly string[]
}

export const DEFAULT_POLICY: Policy = {
  idle: 60_000,
  timers: 'absolute',
  snapshotEvery: 100,
  history: 10_000,
  historyAge: 0,
  maxFailures: 5,
  redact: [],
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
