/** One dies alone: faults put into the hands of charts, in a server of this very process, over real sockets. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readConfig } from '../src/config.ts'
import { Connection } from '../src/connection.ts'
import { start } from '../src/server.ts'
import { Session } from '../src/sessions.ts'
import { SECRET, ServerProcess } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

/** A server here, at an address that the clients of the tests understand. */
async function serverHere(t: Test): Promise<ServerProcess> {
  const data = mkdtempSync(join(tmpdir(), 'chartroom-test-'))
  const env = { CHARTROOM_DATA: data, CHARTROOM_JWT_SECRET: SECRET, CHARTROOM_PORT: '0', CHARTROOM_LOG_LEVEL: 'silent' }
  const server = await start(readConfig({ args: [], env }).config)
  t.teardown(async () => {
    await server.stop()
    rmSync(data, { recursive: true })
  })
  const address = new ServerProcess({})
  t.teardown(() => address.dispose())
  address.port = server.port
  return address
}

/** Lets a method throw for whoever `hits`, until the test ends. */
function sabotage<T extends object>(t: Test, prototype: T, method: keyof T & string, hits: (self: T) => boolean): void {
  const whole = prototype[method] as (...args: unknown[]) => unknown
  prototype[method] = function (this: T, ...args: unknown[]) {
    if (hits(this)) throw new Error(`sabotaged ${method}`)
    return whole.apply(this, args)
  } as never
  t.teardown(() => {
    prototype[method] = whole as never
  })
}

const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))
process.on('uncaughtException', (error) => unhandled.push(error))

t.test('CLEAN-6 CONC-3 X2 a connection actor that crashes takes nobody with it', async (t) => {
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
      await ann?.until(async () => (await ann.ask({ type: 'status' })).session.connections === 2)
      for (const tab of tabs) await tab.post(`after ${hand}`, 'chat/crash')
      t.same(
        tabs.map((tab) => tab.closed),
        [undefined, undefined, undefined],
      )
    })
  }
})

const tokenAgain = async (hand: string): Promise<string> => {
  const { tokenFor } = await import('./fixtures/server.ts')
  return tokenFor('ann', { life: hand === 'warnOfExpiry' ? 2 : 3600 })
}

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
        const { tokenFor } = await import('./fixtures/server.ts')
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
