/** A light on the stairs: whoever presses turns it on for everybody, and after half a minute it goes out by itself. */
import { assign, setup } from 'xstate'

export default setup({
  types: {
    context: {} as { by: string | null; presses: number },
    // Who sent an event, and when, is put there by the server.
    events: {} as { type: 'press'; from: string; time: number },
  },
  actions: {
    count: assign({ by: ({ event }) => event.from, presses: ({ context }) => context.presses + 1 }),
  },
}).createMachine({
  id: 'light',
  context: { by: null, presses: 0 },
  initial: 'off',
  states: {
    off: { on: { press: { target: 'on', actions: 'count' } } },
    on: { on: { press: { target: 'off', actions: 'count' } }, after: { 30000: 'off' } },
  },
})
