import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from 'chartroom/testing'

test('the light is on for everybody, and goes out by itself', async (t) => {
  const server = await startServer()
  t.after(() => server.stop())
  const [ann, bob] = [await server.tab('ann'), await server.tab('bob')]
  for (const tab of [ann, bob]) await tab.join('light/stairs')

  await ann.emit('light/stairs', { type: 'press' })
  await bob.sees('light/stairs', ({ value }) => value === 'on')
  assert.equal(bob.state('light/stairs').context.by, 'ann')

  await server.clock.move(30_000)
  await bob.sees('light/stairs', ({ value }) => value === 'off')
})
