/**
 * Snapshot + patches = `get`, for every view, at every seq: random histories over all shipped machines and over charts
 * that nobody wrote. `npm run torture -- histories` plays many more of them; what failed once is played for ever.
 */
import t from 'tap'
import { assign, fromPromise, setup } from 'xstate'
import { MemoryLog } from '../src/log/log-memory.ts'
import type { MachineFile } from '../src/machine/machine-file.ts'
import type { Tally } from './histories/outsider.ts'
import { play } from './histories/stage.ts'
import type { History, Step } from './histories/steps.ts'
import { run } from './torture/histories.ts'

t.setTimeout(120_000)

t.test(
  'S1 S2 S3 S5 S7 L1 random histories: what each client patched together is what get answers, at every seq',
  async (t) => {
    const { violations } = await run(400, () => {}, { seed: 1, keeps: false })
    t.same(violations, [])
  },
)

const join: Step = { do: 'join', tab: 0, mode: 'state', back: null }
const send: Step = { do: 'send', tab: 0, event: { type: 'go' } }

/** Plays `turns` on a machine of the test's own. */
const playOn = (machine: unknown, turns: Step[][], tally: Tally = {}): Promise<void> => {
  const history: History = { machine: 'own', policy: { snapshotEvery: 100, history: 100 }, turns }
  return play(history, { files: new Map([['own', { default: machine } as MachineFile]]), log: new MemoryLog() }, tally)
}

t.test(
  'L2 a context that is changed in place is refused after a restart as before it, and the log stays right',
  async (t) => {
    const machine = setup({ types: { context: {} as { list: number[] } } }).createMachine({
      context: { list: [] },
      on: {
        go: {
          actions: assign(({ context }) => {
            context.list.push(1)
            return {}
          }),
        },
      },
    })
    const tally: Tally = {}
    await playOn(machine, [[join], [send], [{ do: 'restart' }], [join], [send]], tally)
    t.equal(tally.event_failed, 2)
  },
)

t.test('S6 invoked work that is done, in a state that is not left by that, does not begin again', async (t) => {
  const machine = setup({ actors: { work: fromPromise(async () => 'done') } }).createMachine({
    context: { done: 0 },
    initial: 'rest',
    states: {
      rest: { on: { go: 'busy' } },
      busy: { invoke: { src: 'work', onDone: { actions: assign({ done: ({ context }) => context.done + 1 }) } } },
    },
  })
  const tally: Tally = {}
  await playOn(machine, [[join], [send]], tally)
  t.equal(tally.records, 3, 'created, go, done')
})
