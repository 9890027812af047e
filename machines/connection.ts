/**
 * One WebSocket, from the upgrade request to the end: connecting → authenticated → open → closing → closed.
 *
 * The chart hears of life, not of letters: data frames never pass through here. It decides what may happen when;
 * `hands` does it, and only `hands` touches a socket.
 */
import { assign, raise, setup } from 'xstate'

/** The five states that clients, metrics and the inspector see. */
export type ConnectionState = 'connecting' | 'authenticated' | 'open' | 'closing' | 'closed'

/** Why a connection ends: a reason of the close-code table, and what the client is told. */
export interface Ending {
  readonly reason: string
  readonly message: string
  /** Milliseconds before it makes sense to come back. */
  readonly retryAfter?: number
}

/** What a token proved: instants are Unix epoch milliseconds. */
export interface Proof {
  readonly principal: { readonly user: string }
  readonly issuedAt: number | undefined
  readonly expiresAt: number
}

/** The answer to a request that cannot be met. */
export interface Refusal {
  readonly code: string
  readonly message: string
}

/** What brought a chart into a state: the event's type, and what it said of itself. */
export interface Cause {
  readonly event: string
  readonly detail?: string
}

/** What the chart needs done. Nothing here may call back into the actor before it returns, but for `send`. */
export interface Hands {
  /** The chart has entered one of its five states; `cause` is what brought it there. */
  entered(state: ConnectionState, cause: Cause): void
  /** The token that came with the upgrade request, until it has its verdict. */
  readonly token: string | undefined
  /** Asks what a token proves; the answer is `proved` or `disproved`. */
  verify(token: string): void
  /** Answers 101 to the upgrade request. */
  openSocket(): void
  /** Takes the identity that the token proved, and opens the socket where the token came with the upgrade request. */
  admit(proof: Proof): void
  /** Asks the session for a place; it answers with `joined` or `refused`. */
  enterSession(): void
  /** Tells the client that it is in, then handles the frames that came while its token was being verified. */
  welcome(): void
  /** Puts a refreshed token in the place of the old one. */
  refresh(proof: Proof): void
  refuse(refusal: Refusal): void
  warnOfExpiry(): void
  /** Answers the upgrade request or tells the client why, and sends the close frame. */
  end(ending: Ending): void
  /** Leaves rooms and session; nothing of the connection is left anywhere. */
  leave(): void
}

export type ConnectionEvent =
  | { type: 'auth'; token: string }
  | { type: 'proved'; proof: Proof }
  | { type: 'disproved'; refusal: Refusal }
  | { type: 'joined' }
  | { type: 'refused'; ending: Ending }
  | { type: 'end'; ending: Ending }
  | { type: 'refreshed' }
  | { type: 'socket.closed'; code: number; reason: string }

export interface ConnectionInput {
  readonly hands: Hands
  /** Milliseconds. */
  readonly rules: { readonly authTimeout: number; readonly clockTolerance: number }
}

interface ConnectionContext extends ConnectionInput {
  readonly proof: Proof
  readonly ending: Ending
}

const NOBODY: Proof = { principal: { user: '' }, issuedAt: 0, expiresAt: 0 }
const NORMAL: Ending = { reason: 'normal', message: '' }

/** An ending names its reason, a socket its close code. */
export function causeOf(event: { type: string }, ending: Ending): Cause {
  if ('code' in event) return { event: event.type, detail: `${event.code}` }
  return ending.reason === 'normal' ? { event: event.type } : { event: event.type, detail: ending.reason }
}

export default setup({
  types: {
    context: {} as ConnectionContext,
    events: {} as ConnectionEvent,
    input: {} as ConnectionInput,
  },
  guards: {
    hasToken: ({ context }) => context.hands.token !== undefined,
  },
  delays: {
    authTimeout: ({ context }) => context.rules.authTimeout,
    /** 60 s ahead of the expiry, or a tenth of the token's life if that is less. */
    untilWarning: ({ context: { proof } }) => {
      const life = proof.expiresAt - (proof.issuedAt ?? Date.now())
      return Math.max(0, proof.expiresAt - Math.min(60_000, life / 10) - Date.now())
    },
    untilExpiry: ({ context: { proof, rules } }) => Math.max(0, proof.expiresAt + rules.clockTolerance - Date.now()),
  },
  actions: {
    entered: ({ context, event }, { state }: { state: ConnectionState }) => {
      context.hands.entered(state, causeOf(event, context.ending))
    },
    openSocket: ({ context }) => context.hands.openSocket(),
    verify: ({ context }, { token }: { token: string | undefined }) => context.hands.verify(token ?? ''),
    accept: assign((_, { proof }: { proof: Proof }) => ({ proof })),
    admit: ({ context }) => context.hands.admit(context.proof),
    refuse: ({ context }, { refusal }: { refusal: Refusal }) => context.hands.refuse(refusal),
    enterSession: ({ context }) => context.hands.enterSession(),
    welcome: ({ context }) => context.hands.welcome(),
    refresh: ({ context }) => context.hands.refresh(context.proof),
    warnOfExpiry: ({ context }) => context.hands.warnOfExpiry(),
    endWith: assign((_, ending: Ending) => ({ ending })),
    end: ({ context }) => context.hands.end(context.ending),
    leave: ({ context }) => context.hands.leave(),
  },
}).createMachine({
  id: 'connection',
  context: ({ input }) => ({
    hands: input.hands,
    rules: input.rules,
    proof: NOBODY,
    ending: NORMAL,
  }),
  initial: 'connecting',
  on: {
    'socket.closed': '.closed',
    end: { target: '.closing', actions: { type: 'endWith', params: ({ event }) => event.ending } },
  },
  states: {
    connecting: {
      entry: { type: 'entered', params: { state: 'connecting' } },
      initial: 'arriving',
      states: {
        arriving: {
          always: [
            {
              guard: 'hasToken',
              target: 'verifying',
              actions: { type: 'verify', params: ({ context }) => context.hands },
            },
            { target: 'waiting', actions: 'openSocket' },
          ],
        },
        waiting: {
          on: {
            auth: { target: 'verifying', actions: { type: 'verify', params: ({ event }) => event } },
          },
          after: {
            authTimeout: {
              target: '#connection.closing',
              actions: { type: 'endWith', params: { reason: 'auth_timeout', message: 'no auth frame came in time' } },
            },
          },
        },
        verifying: {
          on: {
            proved: {
              target: '#connection.authenticated',
              actions: [{ type: 'accept', params: ({ event }) => event }, 'admit'],
            },
            disproved: {
              target: '#connection.closing',
              actions: [
                { type: 'refuse', params: ({ event }) => event },
                {
                  type: 'endWith',
                  params: ({ event }) => ({ reason: 'unauthorized', message: event.refusal.message }),
                },
              ],
            },
          },
        },
      },
    },
    authenticated: {
      entry: [{ type: 'entered', params: { state: 'authenticated' } }, 'enterSession'],
      on: {
        joined: 'open',
        refused: { target: 'closing', actions: { type: 'endWith', params: ({ event }) => event.ending } },
      },
    },
    open: {
      entry: [{ type: 'entered', params: { state: 'open' } }, 'welcome'],
      type: 'parallel',
      states: {
        token: {
          initial: 'fresh',
          on: { refreshed: '.fresh' },
          states: {
            fresh: { after: { untilWarning: 'expiring' } },
            expiring: {
              entry: 'warnOfExpiry',
              after: {
                untilExpiry: {
                  target: '#connection.closing',
                  actions: { type: 'endWith', params: { reason: 'token_expired', message: 'the token has expired' } },
                },
              },
            },
          },
        },
        refresh: {
          initial: 'idle',
          states: {
            idle: {
              on: { auth: { target: 'verifying', actions: { type: 'verify', params: ({ event }) => event } } },
            },
            verifying: {
              on: {
                proved: {
                  target: 'idle',
                  actions: [{ type: 'accept', params: ({ event }) => event }, 'refresh', raise({ type: 'refreshed' })],
                },
                disproved: {
                  target: 'idle',
                  actions: { type: 'refuse', params: ({ event }) => event },
                },
              },
            },
          },
        },
      },
    },
    closing: {
      entry: [{ type: 'entered', params: { state: 'closing' } }, 'end'],
      on: { end: {} },
    },
    closed: {
      entry: [{ type: 'entered', params: { state: 'closed' } }, 'leave'],
      type: 'final',
    },
  },
})
