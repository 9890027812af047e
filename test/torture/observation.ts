/**
 * What can be seen of a server from outside, one observation at a time: the words of a history, in the order in which
 * the observer learnt of them.
 *
 * A send is known by its payload's `id`, which is unique in the whole history; it may be invoked several times under
 * the same idempotency key, each time an observation.
 */

/** A room or a user's inbox: each has a log of its own, with its own seqs. */
export type Place = `room ${string}` | `inbox ${string}`

export type Priority = 'high' | 'normal'

/** A client sends, or sends again. What is never answered has no further observation: its outcome is unknown. */
export interface Invoked {
  readonly type: 'invoked'
  readonly place: Place
  readonly client: string
  readonly key: string
  /** The running number of this client's sends to this place: 1, 2, 3, ... */
  readonly n: number
  readonly id: string
  /** Of a message to an inbox. */
  readonly priority?: Priority
}

/** `ok`. */
export interface Acknowledged {
  readonly type: 'acknowledged'
  readonly place: Place
  readonly client: string
  readonly key: string
  readonly seq: number
  readonly dup?: boolean
}

/** An error that says that nothing happened, or (`isUnknown`) that something may have (rule R3). */
export interface Refused {
  readonly type: 'refused'
  readonly place: Place
  readonly client: string
  readonly key: string
  readonly code: string
  readonly isUnknown?: boolean
}

/** The server was ended and started: another life of the process, the same of the logs. */
export interface Restarted {
  readonly type: 'restarted'
}

/** A place named its epoch. */
export interface Epoch {
  readonly type: 'epoch'
  readonly place: Place
  readonly epoch: string
}

/** A reader holds the whole state at `seq`; from here on it is owed every record, once and in order (rule S1). */
export interface Begun {
  readonly type: 'begun'
  readonly reader: string
  readonly place: Place
  readonly seq: number
}

/** A record reached a reader as a patch or an event. */
export interface Delivered {
  readonly type: 'delivered'
  readonly reader: string
  readonly place: Place
  readonly seq: number
  readonly id: string
  readonly from: string
}

/** A record stood in a state that a reader was shown: a snapshot, `get`, a page of `history`. */
export interface Shown extends Omit<Delivered, 'type'> {
  readonly type: 'shown'
}

/** What a log holds in the end: of a room every record, of an inbox what is not settled. */
export interface ReadBack {
  readonly type: 'read back'
  readonly place: Place
  readonly records: readonly StoredRecord[]
}

export interface StoredRecord {
  readonly seq: number
  /** Missing where no client sent it (`room.created`). */
  readonly id?: string
  readonly from?: string
}

/** A reader of an inbox begins to connect: whatever was acknowledged before is due to it, as one round. */
export interface Dialled {
  readonly type: 'dialled'
  readonly reader: string
  readonly place: Place
}

/** A message reached a reader of the inbox. */
export interface Message {
  readonly type: 'message'
  readonly reader: string
  readonly place: Place
  readonly seq: number
  readonly id: string
  readonly from: string
  readonly priority: Priority
  readonly attempt: number
}

/** A reader's `ack` went out; until that is answered its outcome is unknown. */
export interface Acking {
  readonly type: 'acking'
  readonly reader: string
  readonly place: Place
  readonly seq: number
}

/** A reader's `ack` was answered `ok`. */
export interface Settled extends Omit<Acking, 'type'> {
  readonly type: 'settled'
}

/** A reader's `nack` went out: the message is due again at once. */
export interface Nacked extends Omit<Acking, 'type'> {
  readonly type: 'nacked'
}

export type Observation =
  | Invoked
  | Acknowledged
  | Refused
  | Restarted
  | Epoch
  | Begun
  | Delivered
  | Shown
  | ReadBack
  | Dialled
  | Message
  | Acking
  | Settled
  | Nacked

export type Observed<T extends Observation['type']> = Extract<Observation, { type: T }>

/** An observation, and which life of the server it fell into: 1 before the first restart. */
export type Dated<T extends Observation = Observation> = T & { readonly life: number }

/** The observations of one kind, in their order. */
export function ofType<T extends Observation['type']>(history: readonly Dated[], type: T): Dated<Observed<T>>[] {
  return history.filter((observation): observation is Dated<Observed<T>> => observation.type === type)
}
