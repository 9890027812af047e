/**
 * What the server API does: events to rooms, messages to users, their inboxes and dead letters, revocations, the story of
 * a connection. A route passes by the same doors as a frame: a room's access rules see the caller, or `as` whom it acts.
 */
import { type Call, type Route, withBody } from './api.ts'
import type { Principal } from './auth.ts'
import { type Failure, failure, isFailure } from './errors.ts'
import type { Inbox, InboxReading } from './inbox.ts'
import type { Inboxes } from './inboxes.ts'
import type { Story } from './journal.ts'
import { bodies, MAX_USER } from './protocol.ts'
import type { Revocation } from './revocations.ts'
import type { Room } from './room.ts'
import type { Rooms } from './rooms.ts'

/** What the routes need of the server. */
export interface Service {
  readonly rooms: Rooms
  readonly inboxes: Inboxes
  /** Resolves when the revocation is durable, with the number of connections that it ended. */
  revoke(revocation: Revocation, by: string): Promise<number>
  storyOf(connection: string): Story | undefined
}

export function createRoutes({ rooms, inboxes, revoke, storyOf }: Service): readonly Route[] {
  const room = ([machine, key]: readonly string[], { user }: Principal) => rooms.of(`${machine}/${key}`, user)
  const revoked = async (revocation: Revocation, { caller }: Call) => ({
    type: 'ok',
    connections: await revoke(revocation, caller.user),
  })
  return [
    withBody('POST', /^\/v1\/rooms\/([^/]+)\/([^/]+)\/events$/, bodies.event, async ({ parameters, body, caller }) => {
      const { event, key, if: expected, as } = body
      const who = inTheNameOf(caller, as)
      return inRoom(room(parameters, who), (room, answer) => room.send({ who, event, key, if: expected }, answer))
    }),
    {
      method: 'GET',
      path: /^\/v1\/rooms\/([^/]+)\/([^/]+)$/,
      answer: ({ parameters, query, caller }) => {
        const who = inTheNameOf(caller, query.get('as') ?? undefined)
        return inRoom(room(parameters, who), (room, answer) => room.get(who, answer))
      },
    },
    {
      method: 'GET',
      path: /^\/v1\/rooms\/([^/]+)\/([^/]+)\/history$/,
      answer: ({ parameters, query, caller }) => {
        const who = inTheNameOf(caller, query.get('as') ?? undefined)
        const range = rangeOf(query)
        if (isFailure(range)) return range
        return inRoom(room(parameters, who), (room, answer) => room.history(who, range, answer))
      },
    },
    withBody(
      'POST',
      /^\/v1\/users\/([^/]+)\/messages$/,
      bodies.message,
      ({ parameters: [user = ''], body, caller }) => {
        const { as, ...message } = body
        const from = inTheNameOf(caller, as).user
        return inInbox(inboxes, user, (inbox, answer) => inbox.post({ ...message, from }, answer))
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
      return inInbox(inboxes, user, (inbox, answer) => inbox.replay(body.seq, answer))
    }),
    {
      method: 'DELETE',
      path: /^\/v1\/users\/([^/]+)\/dead-letters\/(\d{1,15})$/,
      answer: ({ parameters: [user = '', seq] }) =>
        inInbox(inboxes, user, (inbox, answer) => inbox.delete(Number(seq), answer)),
    },
    {
      method: 'DELETE',
      path: /^\/v1\/users\/([^/]+)\/connections$/,
      answer: (call) => revoked({ user: call.parameters[0] ?? '' }, call),
    },
    {
      method: 'DELETE',
      path: /^\/v1\/tokens\/([^/]+)$/,
      answer: (call) => revoked({ tokenId: call.parameters[0] ?? '' }, call),
    },
    {
      method: 'GET',
      path: /^\/v1\/connections\/([^/]+)$/,
      answer: ({ parameters: [connection = ''] }) =>
        storyOf(connection) ?? failure('unknown_type', `nothing is known of ${connection} any more`),
    },
  ]
}

/** The caller itself, or the user for whom it speaks, with the caller's scopes. */
const inTheNameOf = (caller: Principal, user = caller.user): Principal => ({ ...caller, user })

type Answer = (answer: object) => void

function inRoom(room: Room | Failure, ask: (room: Room, answer: Answer) => void): Promise<object> {
  return isFailure(room) ? Promise.resolve(room) : new Promise((answer) => ask(room, answer))
}

/** A name that is longer than a token's can be is nobody's. */
function inInbox(inboxes: Inboxes, user: string, ask: (inbox: Inbox, answer: Answer) => void): Promise<object> {
  if (user.length > MAX_USER) {
    return Promise.resolve(failure('bad_frame', `a user is named by 1 to ${MAX_USER} characters`, { path: '/user' }))
  }
  return new Promise((answer) => ask(inboxes.of(user), answer))
}

function read(inboxes: Inboxes, user: string, show: (reading: InboxReading) => object): Promise<object> {
  return inInbox(inboxes, user, (inbox, answer) => {
    inbox.read((reading) => answer(isFailure(reading) ? reading : show(reading)))
  })
}

/** `since` and `limit` of a query, within the bounds of the `history` frame. */
function rangeOf(query: URLSearchParams): { since: number; limit: number } | Failure {
  const [since, limit] = [Number(query.get('since') ?? 0), Number(query.get('limit') ?? 100)]
  if (!Number.isSafeInteger(since) || since < 0) return failure('bad_frame', '"since" is a seq', { path: '/since' })
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > 1000)
    return failure('bad_frame', '"limit" is 1 to 1000', { path: '/limit' })
  return { since, limit }
}
