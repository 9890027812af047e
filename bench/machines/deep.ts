/** A number whose room forgets nothing, so that its log can be as deep as one likes: `increment`. */
import { assign, setup } from 'xstate'

export default setup({
  types: { context: {} as { count: number }, events: {} as { type: 'increment' } },
}).createMachine({
  id: 'deep',
  context: { count: 0 },
  on: { increment: { actions: assign({ count: ({ context }) => context.count + 1 }) } },
})

export const policy = { history: 100_000_000 }
