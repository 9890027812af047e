/** A number that everybody can change: `increment {by?}`, `decrement {by?}`, `reset`. */
import { assign, setup } from 'xstate'
import { z } from 'zod'

type CounterEvent = { type: 'increment'; by?: number } | { type: 'decrement'; by?: number } | { type: 'reset' }

export default setup({
  types: { context: {} as { count: number }, events: {} as CounterEvent },
}).createMachine({
  id: 'counter',
  context: { count: 0 },
  on: {
    increment: { actions: assign({ count: ({ context, event }) => context.count + (event.by ?? 1) }) },
    decrement: { actions: assign({ count: ({ context, event }) => context.count - (event.by ?? 1) }) },
    reset: { actions: assign({ count: 0 }) },
  },
})

const step = z.looseObject({ by: z.number().optional() })

export const schemas = { events: { increment: step, decrement: step } }
