/**
 * A poll. Who sends `ask {question, options, lasts?}` is its owner; everybody has one vote, `vote {option}` (its index),
 * and may change it until the owner says `close` or `lasts` ms have passed.
 */
import { assign, setup } from 'xstate'
import { z } from 'zod'

interface Poll {
  question: string | null
  owner: string | null
  options: { text: string; voters: string[] }[]
  lasts: number
}

type Ask = { type: 'ask'; question: string; options: string[]; lasts: number }
type PollEvent = (Ask | { type: 'vote'; option: number } | { type: 'close' }) & { from: string }

export default setup({
  types: {
    context: {} as Poll,
    events: {} as PollEvent,
    output: {} as { question: string | null; votes: { option: string; count: number }[] },
  },
  guards: {
    isOwner: ({ context, event }) => event.from === context.owner,
    isThere: ({ context, event }) => event.type === 'vote' && event.option < context.options.length,
  },
  delays: { lasts: ({ context }) => context.lasts },
}).createMachine({
  id: 'poll',
  initial: 'empty',
  context: { question: null, owner: null, options: [], lasts: 0 },
  states: {
    empty: {
      on: {
        ask: {
          target: 'open',
          actions: assign(({ event: { question, options, lasts, from } }) => {
            return { question, lasts, owner: from, options: options.map((text) => ({ text, voters: [] })) }
          }),
        },
      },
    },
    open: {
      after: { lasts: 'closed' },
      on: {
        vote: {
          guard: 'isThere',
          actions: assign({ options: ({ context, event }) => voted(context.options, event.option, event.from) }),
        },
        close: { guard: 'isOwner', target: 'closed' },
      },
    },
    closed: { type: 'final' },
  },
  output: ({ context: { question, options } }) => {
    return { question, votes: options.map(({ text, voters }) => ({ option: text, count: voters.length })) }
  },
})

/** The options with the user's one vote on `chosen`, and on no other. */
function voted(options: Poll['options'], chosen: number, user: string): Poll['options'] {
  return options.map(({ text, voters }, i) => {
    const others = voters.filter((voter) => voter !== user)
    return { text, voters: i === chosen ? [...others, user] : others }
  })
}

const DAY = 86_400_000

export const schemas = {
  events: {
    ask: z.looseObject({
      question: z.string().min(1),
      options: z.array(z.string().min(1)).min(2).max(20),
      lasts: z
        .int()
        .min(1)
        .max(30 * DAY)
        .default(DAY),
    }),
    vote: z.looseObject({ option: z.int().min(0) }),
  },
}
