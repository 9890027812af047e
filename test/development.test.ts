/** What a server gives away in development, so that nobody has to make a token by hand: to whom, and when not. */
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { type ServerOptions, type ServerProcess, startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

/** Asks for a token as a browser would, under a `Host` of one's choice. */
async function ask(
  server: ServerProcess,
  user: string,
  headers: Record<string, string> = {},
): Promise<IncomingMessage> {
  const asked = request(`${server.origin}/dev/token?user=${encodeURIComponent(user)}`, { headers })
  asked.end()
  const [response] = await once(asked, 'response')
  return response
}

t.test('a development server makes a token for this machine, under a name of this machine', async (t) => {
  const server = await startServer(t, { ownKey: true })
  const given = await ask(server, 'ann', { origin: 'https://evil.example' })
  t.equal(given.statusCode, 200)
  t.notOk(
    Object.keys(given.headers).some((name) => name.startsWith('access-control-')),
    'no other page may read it',
  )
  await Tab.open(server, 'ann', { token: JSON.parse(await text(given)).token })
  t.equal((await ask(server, 'ann', { host: `localhost:${server.port}` })).statusCode, 200)
  t.equal((await ask(server, 'ann', { host: `evil.example:${server.port}` })).statusCode, 404, 'DNS rebinding')
  t.equal((await ask(server, 'ann', { host: `[::1]:${server.port}` })).statusCode, 200)
  for (const name of ['X-Forwarded-For', 'Forwarded', 'Via', 'X-Forwarded-Host', 'CF-Connecting-IP'])
    t.equal((await ask(server, 'ann', { [name]: '' })).statusCode, 404, `${name}: who asks a proxy is elsewhere`)
  t.equal((await ask(server, '<b>')).statusCode, 400)
  t.equal(statSync(join(server.data, 'development-secret')).mode & 0o777, 0o600, 'the secret is its owner’s alone')
})

t.test('no token is made in production, nor where others can reach the server', async (t) => {
  const cases: ServerOptions[] = [{ env: { NODE_ENV: 'production' } }, { env: { CHARTROOM_HOST: '0.0.0.0' } }]
  for (const options of cases) {
    const response = await ask(await startServer(t, options), 'ann')
    t.equal(response.statusCode, 404)
    t.notMatch(await text(response), /ey[\w-]+\./)
  }
})
