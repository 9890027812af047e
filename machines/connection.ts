/**
 * One WebSocket, from the upgrade request to the end: connecting → authenticated → open → closing → closed.
 *
 * The chart hears of life, not of letters: data frames never pass through here. It decides what may happen when;
 * `hands` does it, and only `hands` touches a socket.
 */
import { assign, fromPromise, raise, setup } from 'xstate'

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
  /** Resolves with what the token proves, rejects with a Refusal. */
  verify(token: string): Promise<Proof>
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
  | { type: 'joined' }
  | { type: 'refused'; ending: Ending }
  | { type: 'end'; ending: Ending }
  | { type: 'refreshed' }
  | { type: 'socket.closed'; code: number; reason: string }

export interface ConnectionInput {
  readonly hands: Hands
  /** The token that came with the upgrade request. */
  readonly token: string | undefined
  /** Milliseconds. */
  readonly authTimeout: number
  readonly clockTolerance: number
  readonly now: () => number
}

interface ConnectionContext extends ConnectionInput {
  readonly proof: Proof
  readonly ending: Ending
}

/** An ending names its reason, a socket its close code. */
function causeOf(event: { type: string }, ending: Ending): Cause {
  if ('code' in event) return { event: event.type, detail: `${event.code}` }
  return ending.reason === 'normal' ? { event: event.type } : { event: event.type, detail: ending.reason }
}

const proven = ({ event }: { event: { output: Proof } }) => ({ proof: event.output })
const refused = ({ event }: { event: { error: unknown } }) => ({ refusal: event.error as Refusal })
const verification = ({ context }: { context: ConnectionContext }) => ({
  hands: context.hands,
  token: context.token ?? '',
})

export default setup({
  types: {
    context: {} as ConnectionContext,
    events: {} as ConnectionEvent,
    input: {} as ConnectionInput,
  },
  actors: {
    verify: fromPromise<Proof, { hands: Hands; token: string }>(({ input }) => input.hands.verify(input.token)),
  },
  guards: {
    hasToken: ({ context }) => context.token !== undefined,
  },
  delays: {
    authTimeout: ({ context }) => context.authTimeout,
    /** 60 s ahead of the expiry, or a tenth of the token's life if that is less. */
    untilWarning: ({ context: { proof, now } }) => {
      const life = proof.expiresAt - (proof.issuedAt ?? now())
      return Math.max(0, proof.expiresAt - Math.min(60_000, life / 10) - now())
    },
    untilExpiry: ({ context: { proof, now, clockTolerance } }) => Math.max(0, proof.expiresAt + clockTolerance - now()),
  },
  actions: {
    entered: ({ context, event }, { state }: { state: ConnectionState }) => {
      context.hands.entered(state, causeOf(event, context.ending))
    },
    openSocket: ({ context }) => context.hands.openSocket(),
    take: assign({ token: ({ event }) => (event.type === 'auth' ? event.token : undefined) }),
    accept: assign((_, { proof }: { proof: Proof }) => ({ proof, token: undefined })),
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
    ...input,
    proof: { principal: { user: '' }, issuedAt: 0, expiresAt: 0 },
    ending: { reason: 'normal', message: '' },
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
            { guard: 'hasToken', target: 'verifying' },
            { target: 'waiting', actions: 'openSocket' },
          ],
        },
        waiting: {
          on: {
            auth: { target: 'verifying', actions: 'take' },
          },
          after: {
            authTimeout: {
              target: '#connection.closing',
              actions: { type: 'endWith', params: { reason: 'auth_timeout', message: 'no auth frame came in time' } },
            },
          },
        },
        verifying: {
          invoke: {
            src: 'verify',
            input: verification,
            onDone: {
              target: '#connection.authenticated',
              actions: [{ type: 'accept', params: proven }, 'admit'],
            },
            onError: {
              target: '#connection.closing',
              actions: [
                { type: 'refuse', params: refused },
                { type: 'endWith', params: { reason: 'unauthorized', message: 'the token was refused' } },
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
              on: { auth: { target: 'verifying', actions: 'take' } },
            },
            verifying: {
              invoke: {
                src: 'verify',
                input: verification,
                onDone: {
                  target: 'idle',
                  actions: [{ type: 'accept', params: proven }, 'refresh', raise({ type: 'refreshed' })],
                },
                onError: {
                  target: 'idle',
                  actions: { type: 'refuse', params: refused },
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
