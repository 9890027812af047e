/** One dies alone: faults put into the hands of charts, in a server of this very process, over real sockets. */
import t from 'tap'
import { Revocations } from '../src/auth/revocations.ts'
import { Connection } from '../src/connection/connection.ts'
import { Session } from '../src/connection/sessions.ts'
import { sabotage, serverHere } from './fixtures/here.ts'
import { tokenFor } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { Tab } from './fixtures/tab.ts'

const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))
process.on('uncaughtException', (error) => unhandled.push(error))

t.test('CLEAN-6 X2 a connection actor that crashes takes nobody with it', async (t) => {
  const server = await serverHere(t)
  const [ann, sibling, bob] = await Promise.all(['ann', 'ann', 'bob'].map((user) => Tab.open(server, user)))
  const tabs = [ann, sibling, bob] as Tab[]
  for (const tab of tabs) await tab.join('chat/crash')
  for (const hand of ['entered', 'refresh', 'warnOfExpiry', 'end'] as const) {
    t.test(`in ${hand}`, async (t) => {
      const victim = await Tab.open(server, 'ann')
      await victim.join('chat/crash')
      const { connection } = await victim.ask({ type: 'status' })
      sabotage(t, Connection.prototype, hand, (self) => self.id === connection)
      if (hand === 'end' || hand === 'entered') for (let i = 0; i < 20; i++) victim.socket.send('{')
      else victim.send({ type: 'auth', token: await tokenAgain(hand) })
      t.equal((await victim.close()).code, 1011)
      t.match(victim.frames.at(-1), { type: 'closing', code: 1011, reconnect: true }, 'told why')
      await ann?.until(async () => (await ann.ask({ type: 'status' })).session.connections === 2)
      for (const tab of tabs) await tab.post(`after ${hand}`, 'chat/crash')
      t.same(
        tabs.map((tab) => tab.closed),
        [undefined, undefined, undefined],
      )
    })
  }
})

const tokenAgain = (hand: string): Promise<string> => tokenFor('ann', { life: hand === 'warnOfExpiry' ? 2 : 3600 })

t.test('CONC-3 three tabs, one crashes: the two others exchange messages undisturbed', async (t) => {
  const server = await serverHere(t)
  const room = 'chat/three'
  const [first, second, third] = (await Promise.all(['ann', 'ann', 'ann'].map((user) => Tab.open(server, user)))) as [
    Tab,
    Tab,
    Tab,
  ]
  for (const tab of [first, second, third]) await tab.join(room)
  const { connection } = await third.ask({ type: 'status' })
  sabotage(t, Connection.prototype, 'refresh', ({ id }) => id === connection)
  const said: string[] = []
  const say = async (tab: Tab, text: string) => {
    said.push(text)
    t.equal((await tab.post(text, room)).type, 'ok')
  }
  for (let i = 0; i < 20; i++) {
    await say(i % 2 === 0 ? first : second, `message ${i}`)
    if (i === 5) third.send({ type: 'auth', token: await tokenFor('ann') })
    if (i === 10) t.equal((await third.close()).code, 1011)
  }
  for (const tab of [first, second]) {
    await tab.reaches(room, 22)
    t.same(
      tab.state(room).context.messages.map(({ text }: { text: string }) => text),
      said,
      'each has every message, once, in order',
    )
    t.same(tab.state(room).context.online, ['ann'])
    t.same(
      tab.frames.filter(({ type }) => type === 'error' || type === 'closing'),
      [],
    )
  }
  await first.until(async () => (await first.ask({ type: 'status' })).session.connections === 2)
})

t.test('E2 a request of the server API that fails inside is internal, and hurts nobody', async (t) => {
  const server = await serverHere(t)
  const [ann, service] = await Promise.all([Tab.open(server, 'ann'), Service.of(server)])
  await t.test('at its fault', async (t) => {
    sabotage(t, Revocations.prototype, 'revoke', () => true)
    const response = await service.fetch('DELETE', '/v1/tokens/one')
    t.equal(response.status, 503)
    t.match(await response.json(), { type: 'error', code: 'internal', retry: true })
  })
  t.match(await service.delete('/v1/tokens/one'), { type: 'ok' })
  t.match(await ann.ask({ type: 'status' }), { state: 'open' })
  t.same(unhandled, [])
})

t.test('X2 500 faults in connections and sessions: no neighbour notices, nothing is unhandled', async (t) => {
  t.setTimeout(60_000)
  const server = await serverHere(t)
  const neighbours = await Promise.all(Array.from({ length: 10 }, (_, i) => Tab.open(server, `neighbour${i}`)))
  for (const tab of neighbours) await tab.join('counter/neighbours')
  const isVictim = (user: string | null) => user?.startsWith('victim') === true
  const hands = ['welcome', 'admitted', 'enterSession', 'openSocket'] as const
  let faults = 0
  for (const hand of [...hands, 'session'] as const) {
    t.test(`in ${hand}`, async (t) => {
      if (hand === 'session') sabotage(t, Session.prototype, 'join', (self) => isVictim(self.user))
      else sabotage(t, Connection.prototype, hand, (self) => isVictim(self.user))
      const victims = Array.from({ length: 100 }, async (_, i) => {
        const tab = Tab.connect(server, { token: await tokenFor(`victim${i}`) })
        await tab.close()
        faults++
      })
      const increments = neighbours.map((tab) =>
        tab.ask({ type: 'send', room: 'counter/neighbours', event: { type: 'increment' } }),
      )
      await Promise.all([...victims, ...increments])
    })
  }
  t.test('afterwards', async (t) => {
    t.equal(faults, 500)
    t.same(unhandled, [])
    for (const tab of neighbours) t.equal((await tab.ask({ type: 'status' })).state, 'open')
    const { state } = await (neighbours[0] as Tab).ask({ type: 'get', room: 'counter/neighbours' })
    t.equal(state.context.count, 50, 'every event of a neighbour was taken')
    const alive = await server.metric('chartroom_connections{state="open"}')
    t.equal(alive, 10)
  })
})
