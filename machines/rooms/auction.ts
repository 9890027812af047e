/**
 * An auction of one lot. Who sends `offer {lot, price?, lasts?, grace?}` is its seller; everybody else may
 * `bid {amount}`, above the highest. It closes after `lasts` ms, and never within `grace` ms of a bid: the last moment
 * wins nothing.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'

interface Auction {
  lot: string | null
  seller: string | null
  /** The least that a bid may be. */
  price: number
  highest: { amount: number; from: string } | null
  /** Milliseconds that are left after each bid at least. */
  grace: number
  /** Unix epoch milliseconds. */
  closesAt: number | null
}

type Offer = { type: 'offer'; lot: string; price: number; lasts: number; grace: number }
type Bid = { type: 'bid'; amount: number }
type AuctionEvent = (Offer | Bid) & { from: string; time: number }

export default setup({
  types: {
    context: {} as Auction,
    events: {} as AuctionEvent,
    output: {} as { lot: string | null; buyer: string | null; amount: number | null },
  },
  guards: {
    isSold: ({ context }) => context.highest !== null,
    beats: ({ context: { seller, price, highest }, event }) =>
      event.type === 'bid' && event.from !== seller && event.amount >= price && event.amount > (highest?.amount ?? 0),
  },
  delays: { closing: ({ context, event }) => (context.closesAt ?? event.time) - event.time },
}).createMachine({
  id: 'auction',
  initial: 'empty',
  context: { lot: null, seller: null, price: 0, highest: null, grace: 0, closesAt: null },
  states: {
    empty: {
      on: {
        offer: {
          target: 'open',
          actions: assign(({ event: { lot, price, lasts, grace, from, time } }) => {
            return { lot, price, grace, seller: from, closesAt: time + lasts }
          }),
        },
      },
    },
    open: {
      after: { closing: [{ guard: 'isSold', target: 'sold' }, { target: 'unsold' }] },
      on: {
        bid: {
          guard: 'beats',
          target: 'open',
          reenter: true, // The delay begins anew, with what is left of it now.
          actions: assign(({ context, event: { amount, from, time } }) => {
            return { highest: { amount, from }, closesAt: Math.max(context.closesAt ?? 0, time + context.grace) }
          }),
        },
      },
    },
    sold: { type: 'final' },
    unsold: { type: 'final' },
  },
  output: ({ context: { lot, highest } }) => ({ lot, buyer: highest?.from ?? null, amount: highest?.amount ?? null }),
})

const DAY = 86_400_000
const milliseconds = z
  .int()
  .min(1)
  .max(30 * DAY)

export const schemas = {
  events: {
    offer: z.looseObject({
      lot: z.string().min(1),
      price: z.number().positive().default(1),
      lasts: milliseconds.default(DAY),
      grace: milliseconds.default(60_000),
    }),
    bid: z.looseObject({ amount: z.number().positive() }),
  },
}
