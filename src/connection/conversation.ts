/**
 * What an open connection says to each client frame: the whole conversation on one screen.
 *
 * Always true: a frame with an `id` gets exactly one reply with it; one without gets failures and named replies only
 * (rule R1).
 */
import type { Credential } from '../auth/auth.ts'
import type { Config } from '../config.ts'
import { type Failure, failure, isFailure } from '../errors.ts'
import type { Inboxes } from '../inbox/inboxes.ts'
import type { ClientFrame, ClientFrameOf, ClientType, CorrelationId, ServerFrame, ServerFrames } from '../protocol.ts'
import type { Room } from '../room/room.ts'
import type { Rooms } from '../room/rooms.ts'
import type { Subscriber } from '../room/subscription.ts'
import { MAX_WAITING, type Pending } from './pending.ts'

/** Whom the server talks with: a connection, as far as the conversation needs to know it. */
export interface Party extends Subscriber {
  readonly user: string | null
  readonly state: string
  readonly session: { readonly connections: number } | undefined
  readonly counters: {
    readonly received: number
    readonly sent: number
    readonly pings: number
    readonly pongs: number
  }
  /** The rooms that it has joined, by name. */
  readonly joined: ReadonlyMap<string, Room>
  readonly rooms: Rooms
  readonly inboxes: Inboxes
  /** How many it may join. */
  readonly maxRooms: number
  /** Counts one that it wants to join among them, from the frame on. `false`: it has as many as it may. */
  takesPlace(room: Room): boolean
  /** It was not let in. */
  givesPlaceBack(room: Room): void
  /** Who it is; asked of an open connection only. */
  readonly credential: Credential
  /** A sign of life came as a frame. */
  ponged(): void
  authenticate(frame: ClientFrameOf<'auth'>): void
  reply(frame: ServerFrame, id?: CorrelationId): void
  /** Answers a bad frame, and counts it. */
  fault(fault: Failure): void
}

type Answers = { readonly [T in ClientType]: (party: Party, frame: ClientFrameOf<T>) => void }

const answers: Answers = {
  auth: (party, frame) => party.authenticate(frame),

  ping: (party, { id, data }) => {
    party.reply({ type: 'pong', data, time: Date.now() }, id)
  },

  pong: (party) => party.ponged(),

  status: (party, { id }) => {
    party.reply(
      {
        type: 'status',
        connection: party.id,
        user: party.user,
        state: party.state,
        session: party.session ? { connections: party.session.connections } : null,
        rooms: [...party.joined.keys()],
        inbox: party.user === null ? null : party.inboxes.countsOf(party.user),
        frames: { received: party.counters.received, sent: party.counters.sent },
        heartbeat: { pings: party.counters.pings, pongs: party.counters.pongs },
        time: Date.now(),
      },
      id,
    )
  },

  join: (party, frame) => {
    withRoom(party, frame, (room) => {
      if (!party.takesPlace(room)) {
        const refusal = failure('forbidden', `a connection may be in ${party.maxRooms} rooms; leave one first`)
        return room.refuse(refusal, (answer) => answerTo(party, frame, answer), party)
      }
      room.join(party, party.credential.principal, frame, (answer) => {
        if (isFailure(answer)) party.givesPlaceBack(room)
        answerTo(party, frame, answer)
      })
    })
  },

  leave: (party, frame) => {
    withRoom(party, frame, (room) => {
      room.leave(party, party.credential.principal, (answer) => answerTo(party, frame, answer))
    })
  },

  send: (party, frame) => {
    withRoom(party, frame, (room) => {
      const { event, key, if: expected } = frame
      const who = party.credential.principal
      room.send({ who, event, key, if: expected }, (answer) => answerTo(party, frame, answer), party)
    })
  },

  get: (party, frame) => {
    withRoom(party, frame, (room) => {
      room.get(party.credential.principal, (answer) => answerTo(party, frame, answer), party)
    })
  },

  history: (party, frame) => {
    withRoom(party, frame, (room) => {
      room.history(party.credential.principal, frame, (answer) => answerTo(party, frame, answer), party)
    })
  },

  message: (party, frame) => {
    const { to, data, priority, ttl, key } = frame
    const from = party.credential.principal.user
    party.inboxes.of(to).post({ from, data, priority, ttl, key }, (answer) => answerTo(party, frame, answer))
  },

  ack: (party, frame) => {
    const inbox = party.inboxes.of(party.credential.principal.user)
    inbox.ack([frame.seq].flat(), (answer) => answerTo(party, frame, answer))
  },

  nack: (party, frame) => {
    const inbox = party.inboxes.of(party.credential.principal.user)
    inbox.nack([frame.seq].flat(), frame.reason ?? 'nack', (answer) => answerTo(party, frame, answer))
  },
}

/** The first thing that an open connection hears. */
export function welcome(party: Party, config: Config): ServerFrames['welcome'] {
  const { principal, expiresAt } = party.credential
  return {
    type: 'welcome',
    v: 1,
    connection: party.id,
    user: principal.user,
    session: { connections: party.session?.connections ?? 1 },
    state: 'open',
    heartbeat: { interval: config.heartbeatInterval, timeout: config.heartbeatTimeout },
    limits: { frame: config.maxFrame },
    expiresAt,
    time: Date.now(),
  }
}

/** Before a connection is open it understands `auth` and `ping`; behind a token, everything waits (rule C3). */
export function converseEarly(party: Party, pending: Pending, frame: ClientFrame): void {
  if (pending.isVerifying || party.state === 'authenticated') {
    if (pending.addFrame(frame)) return
    return party.reply(
      failure('overloaded', `at most ${MAX_WAITING} frames may wait for a token to be verified`),
      frame.id,
    )
  }
  if (frame.type === 'auth') return party.authenticate(frame)
  if (frame.type === 'ping') return converse(party, frame)
  const details = { state: party.state, allowed: ['auth', 'ping'], ...(frame.id !== undefined && { id: frame.id }) }
  party.fault(failure('not_in_state', `${frame.type} is not understood before auth`, details))
}

/** Answers one frame of an open connection. */
export function converse(party: Party, frame: ClientFrame): void {
  const answer = answers[frame.type] as (party: Party, frame: ClientFrame) => void
  answer(party, frame)
}

function withRoom(party: Party, frame: ClientFrame & { room: string }, use: (room: Room) => void): void {
  const { user } = party.credential.principal
  const room = party.joined.get(frame.room) ?? party.rooms.of(frame.room, user)
  if (isFailure(room)) answerTo(party, frame, room as Failure)
  else use(room as Room)
}

/** Without an `id` only `ok` is left out. */
function answerTo(party: Party, { id }: ClientFrame, answer: ServerFrame): void {
  if (id !== undefined || answer.type !== 'ok') party.reply(answer, id)
}
