/** A conversation: `message.post {text}`. Keeps the last 200 messages, and knows who is here. */
import { assign, setup } from 'xstate'
import { z } from 'zod'

const KEPT = 200

interface Message {
  /** The seq of the record that posted it. */
  id: number
  from: string
  text: string
  /** Unix epoch milliseconds. */
  time: number
}

type ChatEvent =
  | { type: 'message.post'; text: string; from: string; time: number; seq: number }
  | { type: 'room.joined'; user: string }
  | { type: 'room.left'; user: string }

export default setup({
  types: { context: {} as { messages: Message[]; online: string[] }, events: {} as ChatEvent },
}).createMachine({
  id: 'chat',
  context: { messages: [], online: [] },
  on: {
    'message.post': {
      actions: assign({
        messages: ({ context, event: { seq, from, text, time } }) =>
          [...context.messages, { id: seq, from, text, time }].slice(-KEPT),
      }),
    },
    'room.joined': { actions: assign({ online: ({ context, event }) => [...context.online, event.user] }) },
    'room.left': {
      actions: assign({ online: ({ context, event }) => context.online.filter((user) => user !== event.user) }),
    },
  },
})

export const schemas = { events: { 'message.post': z.looseObject({ text: z.string().min(1) }) } }
