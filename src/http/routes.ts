/**
 * What the server API does: events to rooms, messages to users, their inboxes and dead letters, revocations, the story of
 * a connection. A route passes by the same doors as a frame: a room's access rules see the caller, or `as` whom it acts.
 */

import type { Principal } from '../auth/auth.ts'
import type { Revocation } from '../auth/revocations.ts'
import type { Story } from '../connection/journal.ts'
import { type Failure, failure, isFailure } from '../errors.ts'
import type { InboxReading } from '../inbox/inbox.ts'
import type { Inboxes } from '../inbox/inboxes.ts'
import { bodies, isUser } from '../protocol.ts'
import type { Range } from '../room/dead-letter-office.ts'
import type { Room } from '../room/room.ts'
import type { Rooms } from '../room/rooms.ts'
import { type Call, type Route, withBody } from './api.ts'

/** What the routes need of the server. */
export interface Service {
  readonly rooms: Rooms
  readonly inboxes: Inboxes
  /** Resolves when the revocation is durable, with the number of connections that it ended. */
  revoke(revocation: Revocation, by: string): Promise<number>
  storyOf(connection: string): Story | undefined
}

export function createRoutes(service: Service): readonly Route[] {
  return [
    ...roomRoutes(service),
    ...deadLetterRoutes(service),
    ...userRoutes(service).map(ofUser),
    ...operatorRoutes(service),
  ]
}

function roomRoutes({ rooms }: Service): readonly Route[] {
  const room = ([machine, key]: readonly string[], { user }: Principal) => rooms.of(`${machine}/${key}`, user)
  return [
    withBody('POST', /^\/v1\/rooms\/([^/]+)\/([^/]+)\/events$/, bodies.event, async ({ parameters, body, caller }) => {
      const { event, key, if: expected, as } = body
      const who = inTheNameOf(caller, as)
      return inRoom(room(parameters, who), (room, answer) => room.send({ who, event, key, if: expected }, answer))
    }),
    {
      method: 'GET',
      path: /^\/v1\/rooms\/([^/]+)\/([^/]+)$/,
      answer: (call) => {
        const who = whoAsks(call)
        if (isFailure(who)) return who
        return inRoom(room(call.parameters, who), (room, answer) => room.get(who, answer))
      },
    },
    {
      method: 'GET',
      path: /^\/v1\/rooms\/([^/]+)\/([^/]+)\/history$/,
      answer: (call) => {
        const who = whoAsks(call)
        if (isFailure(who)) return who
        const range = rangeOf(call.query)
        if (isFailure(range)) return range
        return inRoom(room(call.parameters, who), (room, answer) => room.history(who, range, answer))
      },
    },
  ]
}

/** What a machine threw on, and the way back for a room that failed of it. */
function deadLetterRoutes({ rooms }: Service): readonly Route[] {
  const ask = (
    { parameters: [machine, key], caller }: Call,
    use: (room: Room) => Promise<object>,
  ): object | Promise<object> => {
    const room = rooms.of(`${machine}/${key}`, caller.user)
    return isFailure(room) ? room : use(room)
  }
  const seqOf = ({ parameters: [, , seq] }: Call): number => Number(seq)
  const named = async (type: string, { name }: Room, shown: Promise<object>): Promise<object> => {
    const answered = await shown
    return isFailure(answered) ? answered : { type, room: name, ...answered }
  }
  return [
    {
      method: 'GET',
      path: /^\/v1\/rooms\/([^/]+)\/([^/]+)\/dead-letters$/,
      answer: (call) => {
        const range = rangeOf(call.query)
        if (isFailure(range)) return range
        return ask(call, (room) => named('dead-letters', room, room.deadLetters.page(range)))
      },
    },
    {
      method: 'GET',
      path: /^\/v1\/rooms\/([^/]+)\/([^/]+)\/dead-letters\/(\d{1,15})$/,
      answer: (call) => ask(call, (room) => named('dead-letter', room, room.deadLetters.letter(seqOf(call)))),
    },
    withBody('POST', /^\/v1\/rooms\/([^/]+)\/([^/]+)\/dead-letters$/, bodies.replay, async (call) =>
      ask(call, (room) => room.deadLetters.replay(call.body.seq)),
    ),
    {
      method: 'DELETE',
      path: /^\/v1\/rooms\/([^/]+)\/([^/]+)\/dead-letters\/(\d{1,15})$/,
      answer: (call) => ask(call, (room) => room.deadLetters.delete(seqOf(call))),
    },
    {
      method: 'POST',
      path: /^\/v1\/rooms\/([^/]+)\/([^/]+)\/revive$/,
      answer: (call) => ask(call, (room) => new Promise((answer) => rooms.revive(room, answer))),
    },
  ]
}

/** The first parameter of each is the user. */
function userRoutes({ inboxes, revoke }: Service): readonly Route[] {
  return [
    withBody(
      'POST',
      /^\/v1\/users\/([^/]+)\/messages$/,
      bodies.message,
      ({ parameters: [user = ''], body, caller }) => {
        const { as, ...message } = body
        const from = inTheNameOf(caller, as).user
        return new Promise((answer) => inboxes.of(user).post({ ...message, from }, answer))
      },
    ),
    {
      method: 'GET',
      path: /^\/v1\/users\/([^/]+)\/inbox$/,
      answer: ({ parameters: [user = ''] }) =>
        read(inboxes, user, ({ figures }) => ({ type: 'inbox', user, ...figures })),
    },
    {
      method: 'GET',
      path: /^\/v1\/users\/([^/]+)\/dead-letters$/,
      answer: ({ parameters: [user = ''] }) =>
        read(inboxes, user, ({ dead }) => ({ type: 'dead-letters', user, letters: dead })),
    },
    withBody('POST', /^\/v1\/users\/([^/]+)\/dead-letters$/, bodies.replay, ({ parameters: [user = ''], body }) => {
      return new Promise((answer) => inboxes.of(user).replay(body.seq, answer))
    }),
    {
      method: 'DELETE',
      path: /^\/v1\/users\/([^/]+)\/dead-letters\/(\d{1,15})$/,
      answer: ({ parameters: [user = '', seq] }) =>
        new Promise<object>((answer) => inboxes.of(user).delete(Number(seq), answer)),
    },
    {
      method: 'DELETE',
      path: /^\/v1\/users\/([^/]+)\/connections$/,
      answer: ({ parameters: [user = ''], caller }) => ended(revoke({ user }, caller.user)),
    },
  ]
}

function operatorRoutes({ revoke, storyOf }: Service): readonly Route[] {
  return [
    {
      method: 'DELETE',
      path: /^\/v1\/tokens\/([^/]+)$/,
      answer: ({ parameters: [tokenId = ''], caller }) => ended(revoke({ tokenId }, caller.user)),
    },
    {
      method: 'GET',
      path: /^\/v1\/connections\/([^/]+)$/,
      answer: ({ parameters: [connection = ''] }) =>
        storyOf(connection) ?? failure('unknown_type', `nothing is known of ${connection} any more`),
    },
  ]
}

const NO_USER = 'a user has 1 to 128 characters'

/** Refuses a name that no user can have. */
function ofUser(route: Route): Route {
  return { ...route, answer: (call) => (isUser(call.parameters[0] ?? '') ? route.answer(call) : misnamed('/user')) }
}

const misnamed = (path: string): Failure => failure('bad_frame', NO_USER, { path })

/** The caller, or the user that `as` in the query names. */
function whoAsks({ query, caller }: Call): Principal | Failure {
  const as = query.get('as') ?? caller.user
  return isUser(as) ? inTheNameOf(caller, as) : misnamed('/as')
}

const ended = async (revoked: Promise<number>): Promise<object> => ({ type: 'ok', connections: await revoked })

/** The caller itself, or the user for whom it speaks, with the caller's scopes. */
const inTheNameOf = (caller: Principal, user = caller.user): Principal => ({ ...caller, user })

type Answer = (answer: object) => void

function inRoom(room: Room | Failure, ask: (room: Room, answer: Answer) => void): Promise<object> {
  return isFailure(room) ? Promise.resolve(room) : new Promise((answer) => ask(room, answer))
}

function read(inboxes: Inboxes, user: string, show: (reading: InboxReading) => object): Promise<object> {
  return new Promise((answer) => {
    inboxes.of(user).read((reading) => answer(isFailure(reading) ? reading : show(reading)))
  })
}

/** `since` and `limit` of a query, within the bounds of the `history` frame. */
function rangeOf(query: URLSearchParams): Range | Failure {
  const [since, limit] = [Number(query.get('since') ?? 0), Number(query.get('limit') ?? 100)]
  if (!Number.isSafeInteger(since) || since < 0) return failure('bad_frame', '"since" is a seq', { path: '/since' })
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > 1000)
    return failure('bad_frame', '"limit" is 1 to 1000', { path: '/limit' })
  return { since, limit }
}
