/** What a machine's `view` hides never leaves the server. */
import t from 'tap'
import { holdNextCommit, serverHere } from './fixtures/here.ts'
import { ROOT, startServer, tokenFor } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { Tab } from './fixtures/tab.ts'

const CANARY = 'canary-7f3a91'
const env = { CHARTROOM_MACHINES: `${ROOT}/test/fixtures/machines`, CHARTROOM_LOG_LEVEL: 'trace' }
const room = 'secrets/vault'

const keep = (secret: string) => ({ type: 'send', room, event: { type: 'keep', secret } })

t.test(
  'S5 a canary that one user keeps never reaches another, in no frame, error, event, history or log line',
  async (t) => {
    const server = await startServer(t, { env })
    const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    await ann.ask({ type: 'join', room, mode: 'both' })
    await bob.ask({ type: 'join', room, mode: 'both' })
    t.match(await ann.ask(keep(CANARY)), { type: 'ok', seq: 2 })
    await bob.reaches(room, 2)
    t.match(ann.state(room), { mine: CANARY, count: 1 })
    t.same(bob.state(room), { mine: null, count: 1 })
    t.match(await bob.next('event'), { seq: 2, from: 'ann', event: { type: 'keep', secret: undefined } })
    t.match(await ann.next('event'), { seq: 2, from: 'ann', event: { type: 'keep', secret: CANARY } })
    t.match(await bob.ask({ type: 'get', room }), { state: { mine: null, count: 1 } })
    const history = await bob.ask({ type: 'history', room })
    t.same(
      history.events.map(({ seq, event }: { seq: number; event: object }) => [seq, event]),
      [[2, { type: 'keep' }]],
      'viewEvent says null of room.created',
    )
    const refused = await bob.ask({ type: 'send', room, event: { type: 'nothing' } })
    t.match(refused, { code: 'not_accepted', value: undefined, can: undefined })
    t.notMatch(refused.message, /closed|vault|open/)
    const service = await Service.of(server)
    t.match(await service.get(`/v1/rooms/${room}?as=bob`), { state: { mine: null } })
    const { connection } = await bob.ask({ type: 'status' })
    const story = JSON.stringify(await server.story(connection, 'open'))
    t.notMatch(JSON.stringify(bob.frames) + story + server.stderr + server.stdout, CANARY)
  },
)

t.test(
  'S5 S2 one view for each principal: the state value is hidden too, and a patch with empty ops tells of the rest',
  async (t) => {
    const server = await startServer(t, { env })
    const guard = await Tab.open(server, 'guard', { token: await tokenFor('guard', { claims: { scope: 'guard' } }) })
    const tabs = [guard, await Tab.open(server, 'ann'), await Tab.open(server, 'ann')]
    for (const tab of tabs) await tab.join(room)
    await guard.ask({ type: 'send', room, event: { type: 'open' } })
    for (const tab of tabs) await tab.reaches(room, 2)
    t.match(guard.state(room), { value: 'vault' })
    for (const tab of tabs.slice(1)) t.match(await tab.next('patch'), { base: 1, seq: 2, ops: [] })
    for (const tab of tabs) t.same(tab.state(room), (await tab.ask({ type: 'get', room })).state)
  },
)

t.test('S3 with a view a resume in state mode is a snapshot; in mode events it is what the view shows', async (t) => {
  const server = await startServer(t, { env })
  const tab = await Tab.open(server, 'ann')
  const { epoch } = await tab.join(room)
  await tab.ask(keep('x'))
  await tab.ask(keep('y'))
  const again = await Tab.open(server, 'bob')
  t.match(await again.ask({ type: 'join', room, since: { epoch, seq: 3 } }), { recovered: false, seq: 3 })
  t.match(await again.next('snapshot'), { state: { mine: null } })
  t.match(await again.ask({ type: 'join', room, mode: 'events', since: { epoch, seq: 1 } }), { recovered: true })
  t.match(await again.next('event'), { seq: 2, event: { type: 'keep', secret: undefined } })
  t.match(await again.next('event'), { seq: 3 })
})

t.test(
  'A2 S5 a token with another scope brings a fresh snapshot where the view differs, and none where it does not',
  async (t) => {
    const server = await startServer(t, { env })
    const tab = await Tab.open(server, 'ann')
    await tab.join(room)
    await tab.ask({ type: 'auth', token: await tokenFor('ann', { claims: { scope: 'guard' } }) })
    t.match(await tab.next('snapshot'), { room, seq: 1, state: { value: 'closed' } })
    await tab.ask({ type: 'auth', token: await tokenFor('ann', { claims: { scope: 'guard', more: 1 } }) })
    await tab.ask({ type: 'get', room })
    t.notOk(tab.hasUnread('snapshot'))
    await tab.ask(keep('z'))
    t.match(tab.state(room), { mine: 'z', value: 'closed' })
  },
)

t.test('S5 a view that throws shows nothing to that one, and hurts nobody', async (t) => {
  const server = await startServer(t, { env })
  const [blind, ann] = [await Tab.open(server, 'blind'), await Tab.open(server, 'ann')]
  t.match(await blind.ask({ type: 'join', room }), { type: 'ok' })
  await ann.join(room)
  t.match(await ann.ask(keep('a')), { type: 'ok', seq: 2 })
  t.equal(ann.state(room).mine, 'a')
  t.match(await blind.ask({ type: 'get', room }), { seq: 2, state: null })
  t.match(await server.said(/the view of the machine threw/), /secrets\/vault/)
})

t.test(
  'S5 E2 one whose view throws or is nothing cannot make the room fail: what is not accepted is told so',
  async (t) => {
    const server = await startServer(t, { env })
    const [blind, ann] = [await Tab.open(server, 'blind'), await Tab.open(server, 'ann')]
    for (let i = 0; i < 6; i++) {
      const refused = await blind.ask({ type: 'send', room, event: { type: 'close' } })
      t.match(refused, { code: 'not_accepted', value: undefined, can: undefined })
    }
    t.match(await ann.ask({ type: 'send', room, event: { type: 'open' } }), { type: 'ok' })
    const service = await Service.of(server)
    t.match(await service.get(`/v1/rooms/${room}/dead-letters`), { letters: [] })
  },
)

t.test('A2 S5 behind the ok of a renewed token nothing comes in the view of the old one', async (t) => {
  const server = await serverHere(t, env)
  const ann = await Tab.open(server, 'ann', { token: await tokenFor('ann', { claims: { scope: 'guard' } }) })
  const bob = await Tab.open(server, 'bob')
  await ann.join(room)
  const gate = await holdNextCommit(t)
  bob.send({ type: 'send', room, event: { type: 'open' } })
  await gate.reached.opened
  const renewed = ann.ask({ type: 'auth', token: await tokenFor('ann') })
  await ann.ask({ type: 'ping' })
  gate.passage.open()
  const ok = await renewed
  t.notOk('value' in ann.state(room), 'the new view was there before the ok')
  await bob.ask({ type: 'send', room, event: { type: 'close' } })
  await ann.reaches(room, 3)
  const behind = ann.frames.slice(ann.frames.indexOf(ok))
  t.notMatch(JSON.stringify(behind), /value":"(closed|vault)|\/value"/)
})

t.test('A2 in mode events nothing is missed where a token is renewed while events are under way', async (t) => {
  const server = await serverHere(t, env)
  const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
  await ann.ask({ type: 'join', room, mode: 'events' })
  await bob.ask({ type: 'join', room })
  const gate = await holdNextCommit(t)
  bob.send(keep('1'))
  await gate.reached.opened
  const renewed = ann.ask({ type: 'auth', token: await tokenFor('ann', { claims: { scope: 'guard' } }) })
  await ann.ask({ type: 'ping' })
  bob.send(keep('2'))
  await bob.ask({ type: 'ping' })
  gate.passage.open()
  t.match(await renewed, { type: 'ok' })
  for (const seq of [2, 3]) t.match(await ann.next('event'), { seq, event: { type: 'keep' } })
  t.match(await bob.ask(keep('3')), { type: 'ok', seq: 4 })
  t.match(await ann.next('event'), { seq: 4, event: { type: 'keep' } })
})

t.test('S5 S2 a view that gives back nothing shows null, and its patches are those of RFC 6902', async (t) => {
  const server = await startServer(t, { env })
  const nobody = await Tab.open(server, 'nobody')
  t.match(await nobody.ask({ type: 'join', room }), { type: 'ok' })
  t.equal((await nobody.next('snapshot')).state, null)
  t.match(await nobody.ask({ type: 'send', room, event: { type: 'open' } }), { type: 'ok' })
  t.match(await nobody.next('patch'), { ops: [] })
  t.equal((await nobody.ask({ type: 'get', room })).state, null)
})
