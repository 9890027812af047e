/** A list of as many items as one likes: `fill {count}`, and `touch`, which changes one of them by as many bytes each time. */
import { assign, setup } from 'xstate'

interface Item {
  id: number
  text: string
}

type ItemsEvent = { type: 'fill'; count: number } | { type: 'touch'; seq: number }

/** About 100 bytes of JSON each. */
const item = (id: number, mark: number): Item => ({ id, text: `${mark}`.padStart(10, '0').padEnd(76, '.') })

export default setup({
  types: { context: {} as { items: Item[] }, events: {} as ItemsEvent },
}).createMachine({
  id: 'items',
  context: { items: [] },
  on: {
    fill: { actions: assign({ items: ({ event }) => Array.from({ length: event.count }, (_, id) => item(id, 0)) }) },
    touch: {
      actions: assign({
        items: ({ context, event: { seq } }) => {
          const items = [...context.items]
          const id = seq % items.length
          items[id] = item(id, seq)
          return items
        },
      }),
    },
  },
})
