/**
 * A JSON document that everybody edits: `document.patch {ops}`, RFC 6902 with paths relative to the document, all
 * operations or none. A `test` that fails and a path that leads nowhere refuse the event: whoever sent it is wrong, and
 * not the room, which therefore never fails.
 */
import { applyPatch, type Operation } from 'chartroom/patch'
import { assign, setup } from 'xstate'
import { z } from 'zod'

export default setup({
  types: {
    context: {} as { document: unknown },
    events: {} as { type: 'document.patch'; ops: Operation[] },
  },
}).createMachine({
  id: 'document',
  context: { document: {} },
  on: {
    'document.patch': {
      actions: assign({ document: ({ context, event }) => applyPatch(context.document, event.ops) }),
    },
  },
})

const path = z.string().regex(/^(\/.*)?$/, 'a JSON Pointer (RFC 6901)')
const value = z.unknown().refine((given) => given !== undefined, 'expected a value')

const operation = z.discriminatedUnion('op', [
  z.object({ op: z.enum(['add', 'replace', 'test']), path, value }),
  z.object({ op: z.literal('remove'), path }),
  z.object({ op: z.enum(['move', 'copy']), from: path, path }),
])

export const schemas = { events: { 'document.patch': z.looseObject({ ops: z.array(operation).min(1) }) } }

export const policy = { maxFailures: 0 }
