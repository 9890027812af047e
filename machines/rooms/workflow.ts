/**
 * A task that somebody submits, somebody else approves, and a service carries out: `submit {task, backoff?}`, `approve` or
 * `reject {why}`. A step that fails is tried again after `backoff` ms, then after twice as long; after the last attempt
 * anybody may say `retry`. The service is whatever takes a POST at $WORKFLOW_URL; without one the step is only played.
 */
import { assign, fromPromise, setup } from 'xstate'
import { z } from 'zod'

const ATTEMPTS = 4

interface Workflow {
  task: string | null
  author: string | null
  /** Who has said yes or no, and why it was no. */
  judge: string | null
  why: string | null
  backoff: number
  /** How often the step has failed in a row, and what it said last. */
  failures: number
  error: string | null
  receipt: unknown
}

type WorkflowEvent =
  | { type: 'submit'; task: string; backoff: number; from: string }
  | { type: 'approve' | 'retry'; from: string }
  | { type: 'reject'; why: string; from: string }

/** The step that may fail, or be cut off and begin again: by its key the service knows what it has already done. */
const carryOut = fromPromise<unknown, { task: string | null; idempotencyKey?: string }>(async ({ input, signal }) => {
  const { task, idempotencyKey = '' } = input
  const url = process.env.WORKFLOW_URL
  if (!url) return { played: task, key: idempotencyKey }
  const headers = { 'content-type': 'application/json', 'idempotency-key': idempotencyKey }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ task }), signal })
  if (!response.ok) throw new Error(`the service answered ${response.status}`)
  return response.json()
})

export default setup({
  types: { context: {} as Workflow, events: {} as WorkflowEvent, output: {} as Record<string, unknown> },
  actors: { carryOut },
  guards: {
    isAnother: ({ context, event }) => event.from !== context.author,
    isExhausted: ({ context }) => context.failures >= ATTEMPTS,
  },
  delays: { backoff: ({ context }) => context.backoff * 2 ** (context.failures - 1) },
}).createMachine({
  id: 'workflow',
  initial: 'empty',
  context: {
    task: null,
    author: null,
    judge: null,
    why: null,
    backoff: 0,
    failures: 0,
    error: null,
    receipt: null,
  },
  states: {
    empty: {
      on: {
        submit: {
          target: 'submitted',
          actions: assign(({ event: { task, backoff, from } }) => ({ task, backoff, author: from })),
        },
      },
    },
    submitted: {
      on: {
        approve: { guard: 'isAnother', target: 'running', actions: assign({ judge: ({ event }) => event.from }) },
        reject: {
          guard: 'isAnother',
          target: 'rejected',
          actions: assign({ judge: ({ event }) => event.from, why: ({ event }) => event.why }),
        },
      },
    },
    running: {
      invoke: {
        src: 'carryOut',
        id: 'carryOut',
        input: ({ context }) => ({ task: context.task }),
        onDone: { target: 'done', actions: assign({ receipt: ({ event }) => event.output, error: null }) },
        onError: {
          target: 'failed',
          actions: assign({
            failures: ({ context }) => context.failures + 1,
            error: ({ event }) => (event.error as Error).message,
          }),
        },
      },
    },
    failed: {
      initial: 'waiting',
      states: {
        waiting: {
          always: { guard: 'isExhausted', target: 'givenUp' },
          after: { backoff: '#workflow.running' },
        },
        givenUp: { on: { retry: { target: '#workflow.running', actions: assign({ failures: 0 }) } } },
      },
    },
    rejected: { type: 'final' },
    done: { type: 'final' },
  },
  output: ({ context: { receipt, why } }) => (why === null ? { receipt } : { why }),
})

export const schemas = {
  events: {
    submit: z.looseObject({ task: z.string().min(1), backoff: z.int().min(1).max(3_600_000).default(1000) }),
    reject: z.looseObject({ why: z.string().min(1) }),
  },
}
