/**
 * Tic-tac-toe, for any game in turns. The first two who `sit {turnTime?}` play, the first of them begins: `move {cell}`,
 * 0 to 8. Who lets `turnTime` ms go by has lost. Who goes away keeps the seat, and finds the game as it is on coming back.
 * After it, a player says `again`, and the other one begins.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'

type Cell = 'X' | 'O' | null

interface Game {
  /** X, then O. */
  seats: string[]
  board: Cell[]
  /** Who is to move. */
  turn: string | null
  /** Milliseconds for one move; the first to sit decides. */
  turnTime: number
  /** `null` while it goes on, and where nobody has won. */
  winner: string | null
  online: string[]
}

type GameEvent =
  | { type: 'sit'; turnTime: number; from: string }
  | { type: 'move'; cell: number; from: string }
  | { type: 'again'; from: string }
  | { type: 'room.joined' | 'room.left'; user: string; from: null }

const EMPTY: Cell[] = Array(9).fill(null)

const LINES = ['012', '345', '678', '036', '147', '258', '048', '246'].map((line) => [...line].map(Number))

const isLine = ({ board }: Game): boolean =>
  LINES.some((line) => ['XXX', 'OOO'].includes(line.map((cell) => board[cell]).join('')))

const other = ({ seats, turn }: Game): string | null => seats.find((user) => user !== turn) ?? null

export default setup({
  types: { context: {} as Game, events: {} as GameEvent },
  guards: {
    isNew: ({ context, event }) => event.from !== null && !context.seats.includes(event.from),
    isPlayer: ({ context, event }) => event.from !== null && context.seats.includes(event.from),
    isTheirMove: ({ context, event }) =>
      event.type === 'move' && event.from === context.turn && context.board[event.cell] === null,
    isComplete: ({ context }) => context.seats.length === 2,
    isWon: ({ context }) => isLine(context),
    isFull: ({ context }) => !context.board.includes(null),
  },
  actions: {
    begin: assign({ board: EMPTY, winner: null, turn: ({ context }) => context.seats[0] ?? null }),
    // Once a move is made or its time is over, it is the other one's turn, or victory.
    pass: assign({ turn: ({ context }) => other(context) }),
    otherWins: assign({ winner: ({ context }) => other(context) }),
  },
  delays: { turnTime: ({ context }) => context.turnTime },
}).createMachine({
  id: 'turns',
  initial: 'seating',
  context: { seats: [], board: EMPTY, turn: null, turnTime: 0, winner: null, online: [] },
  on: {
    'room.joined': { actions: assign({ online: ({ context, event }) => [...context.online, event.user] }) },
    'room.left': {
      actions: assign({ online: ({ context, event }) => context.online.filter((user) => user !== event.user) }),
    },
  },
  states: {
    seating: {
      always: { guard: 'isComplete', target: 'playing', actions: 'begin' },
      on: {
        sit: {
          guard: 'isNew',
          actions: assign(({ context: { seats, turnTime }, event }) => {
            return { seats: [...seats, event.from], turnTime: turnTime || event.turnTime }
          }),
        },
      },
    },
    playing: {
      always: [
        { guard: 'isWon', target: 'over', actions: 'otherWins' },
        { guard: 'isFull', target: 'over' },
      ],
      after: { turnTime: { target: 'over', actions: 'otherWins' } },
      on: {
        move: {
          guard: 'isTheirMove',
          target: 'playing',
          reenter: true, // Each turn has its own time.
          actions: [
            assign({
              board: ({ context: { board, seats }, event }) =>
                board.with(event.cell, event.from === seats[0] ? 'X' : 'O'),
            }),
            'pass',
          ],
        },
      },
    },
    over: {
      entry: assign({ turn: null }),
      on: {
        again: {
          guard: 'isPlayer',
          target: 'playing',
          actions: [assign({ seats: ({ context }) => context.seats.toReversed() }), 'begin'],
        },
      },
    },
  },
})

export const schemas = {
  events: {
    sit: z.looseObject({ turnTime: z.int().min(1).max(86_400_000).default(60_000) }),
    move: z.looseObject({ cell: z.int().min(0).max(8) }),
  },
}
