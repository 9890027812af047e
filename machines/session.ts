/**
 * One user on this server: tabs come and go, and the session outlives each of them.
 *
 * It monitors its connections (the OTP sense): one that fails takes nobody with it, and the session hears of it.
 */
import { assign, setup } from 'xstate'

/** What the chart needs done. */
export interface SessionHands {
  admit(connection: string): void
  /** The user has as many connections as the operator allows. */
  turnAway(connection: string): void
  /** The session is over; the next connection of this user begins a new one. */
  end(): void
}

export type SessionEvent =
  | { type: 'connection.joining'; connection: string }
  | { type: 'connection.left'; connection: string }

export interface SessionInput {
  readonly hands: SessionHands
  readonly maxConnections: number
  /** Milliseconds that the session stays when its last connection has left. */
  readonly linger: number
  /** Those that are there already, where the actor begins again after a crash. */
  readonly connections: readonly string[]
}

export default setup({
  types: {
    context: {} as SessionInput,
    events: {} as SessionEvent,
    input: {} as SessionInput,
  },
  guards: {
    hasPlace: ({ context }) => context.connections.length < context.maxConnections,
    isOccupied: ({ context }) => context.connections.length > 0,
    isLast: ({ context }) => context.connections.length <= 1,
  },
  delays: {
    linger: ({ context }) => context.linger,
  },
  actions: {
    add: assign(({ context }, { connection }: { connection: string }) => ({
      connections: context.connections.concat(connection),
    })),
    admit: ({ context }, { connection }: { connection: string }) => context.hands.admit(connection),
    turnAway: ({ context }, { connection }: { connection: string }) => context.hands.turnAway(connection),
    remove: assign(({ context }, { connection }: { connection: string }) => ({
      connections: context.connections.filter((other) => other !== connection),
    })),
    end: ({ context }) => context.hands.end(),
  },
}).createMachine({
  id: 'session',
  context: ({ input }) => input,
  initial: 'lingering',
  on: {
    'connection.joining': [
      {
        guard: 'hasPlace',
        target: '.active',
        actions: [
          { type: 'add', params: ({ event }) => event },
          { type: 'admit', params: ({ event }) => event },
        ],
      },
      { actions: { type: 'turnAway', params: ({ event }) => event } },
    ],
  },
  states: {
    active: {
      on: {
        'connection.left': [
          { guard: 'isLast', target: 'lingering', actions: { type: 'remove', params: ({ event }) => event } },
          { actions: { type: 'remove', params: ({ event }) => event } },
        ],
      },
    },
    lingering: {
      always: { guard: 'isOccupied', target: 'active' },
      after: { linger: 'ended' },
    },
    ended: {
      entry: 'end',
      type: 'final',
    },
  },
})
