/** A room goes on under a newer version of its machine, or says that it cannot. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ROOT, startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

/** A folder of machines that a test writes anew. */
function machines(t: Test): { folder: string; write(text: string): void } {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-migrate-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  mkdirSync(join(folder, 'rooms'))
  return { folder: join(folder, 'rooms'), write: (text) => writeFileSync(join(folder, 'rooms/tally.js'), text) }
}

const machine = (field: string, extra = ''): string => `
  import { assign, setup } from 'xstate'
  export default setup({}).createMachine({
    id: 'tally', context: { ${field}: 0 }, initial: 'on',
    states: { on: { on: { add: { actions: assign({ ${field}: ({ context }) => context.${field} + 1 }) } } } },
  })
  ${extra}`

const SECOND = `export const version = '2'
  export const migrate = { 1: (room) => ({ ...room, context: { count: room.context.n } }) }`
const THIRD = `export const version = '3'
  export const migrate = {
    1: (room) => ({ ...room, context: { count: room.context.n } }),
    2: (room) => ({ ...room, context: { total: room.context.count * 10 } }),
  }`

t.test('L6 S3 a room of an older version is migrated once, as a record, through every version between', async (t) => {
  const { folder, write } = machines(t)
  write(machine('n'))
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: folder } })
  const add = (tab: Tab) => tab.ask({ type: 'send', room: 'tally/a', event: { type: 'add' } })
  const first = await Tab.open(server, 'ann')
  const { epoch } = await first.join('tally/a')
  t.match([await add(first), await add(first)], [{ seq: 2 }, { seq: 3 }])

  write(machine('total', THIRD))
  await server.crashAndRestart()
  const tab = await Tab.open(server, 'ann')
  t.match(await tab.ask({ type: 'join', room: 'tally/a', since: { epoch, seq: 3 } }), { seq: 4, recovered: false })
  t.match(await tab.next('snapshot'), { seq: 4, state: { context: { total: 20 } } })
  t.match(await add(tab), { seq: 5 })
  t.match((await tab.ask({ type: 'history', room: 'tally/a', since: 3 })).events, [
    { seq: 4, event: { type: 'room.migrated', from: '1', to: '3' }, from: null },
    { seq: 5, event: { type: 'add' } },
  ])
  await server.crashAndRestart()
  const back = await Tab.open(server, 'ann')
  t.match(
    await back.ask({ type: 'get', room: 'tally/a' }),
    { seq: 5, state: { context: { total: 21 } } },
    'and not again',
  )
})

t.test('S3 a resume from before a migration is a snapshot, however small a patch would be', async (t) => {
  const { folder, write } = machines(t)
  const padded = (extra = '') =>
    machine('n', extra).replace('context: { n: 0 }', `context: { n: 0, text: '${'x'.repeat(5000)}' }`)
  write(padded())
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: folder } })
  const { epoch } = await (await Tab.open(server, 'ann')).join('tally/a')
  write(
    padded(`export const version = '2'
    export const migrate = { 1: (room) => ({ ...room, context: { ...room.context, n: 7 } }) }`),
  )
  await server.crashAndRestart()
  const tab = await Tab.open(server, 'ann')
  t.match(await tab.ask({ type: 'join', room: 'tally/a', since: { epoch, seq: 1 } }), { seq: 2, recovered: false })
  const snapshot = await tab.next('snapshot')
  t.match(snapshot, { seq: 2, state: { context: { n: 7 } } })
  await tab.ask({ type: 'send', room: 'tally/a', event: { type: 'add' } })
  const behind = await Tab.open(server, 'bob')
  behind.hold('tally/a', 2, snapshot.state)
  t.match(await behind.ask({ type: 'join', room: 'tally/a', since: { epoch, seq: 2 } }), { seq: 3, recovered: true })
  await behind.reaches('tally/a', 3)
  t.same(behind.state('tally/a'), tab.state('tally/a'), 'behind the migration a patch leads on')
})

t.test('room_failed where no migration leads to this version, and nothing of the room is lost', async (t) => {
  const { folder, write } = machines(t)
  write(machine('n'))
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: folder } })
  const tab = await Tab.open(server, 'ann')
  await tab.ask({ type: 'send', room: 'tally/a', event: { type: 'add' } })
  write(machine('n', `export const version = 'other'`))
  await server.crashAndRestart()
  const refused = await Tab.open(server, 'ann')
  t.match(await refused.ask({ type: 'get', room: 'tally/a' }), { code: 'room_failed', retry: true })
  t.match(await refused.ask({ type: 'get', room: 'tally/b' }), { type: 'snapshot', seq: 0 })
  t.match(server.stderr, /stored by version 1 of tally, this is other; no migration leads there/)
  write(machine('count', SECOND))
  await server.crashAndRestart()
  const back = await Tab.open(server, 'ann')
  t.match(await back.ask({ type: 'get', room: 'tally/a' }), { seq: 3, state: { context: { count: 1 } } })
})
