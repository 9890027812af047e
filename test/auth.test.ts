/** Who gets in, and who does not: real tokens, really signed. */
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { SignJWT } from 'jose'
import t from 'tap'
import { SECRET, startServer, tokenFor } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token made by hand, with whatever header and claims, signed with HMAC. */
function handMade(header: object, claims: object, key: string | Buffer = SECRET): string {
  const signed = `${base64url(header)}.${base64url(claims)}`
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`
}

const HS256 = { alg: 'HS256', typ: 'JWT' }
const now = (): number => Math.floor(Date.now() / 1000)
const good = (): object => ({ sub: 'ann', iat: now(), exp: now() + 600 })

/** What the server answers to an upgrade with this token: 101, or the status and code of the refusal. */
async function knock(port: number, token: string): Promise<{ status: number; code?: string }> {
  const asked = request({
    port,
    path: '/ws',
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      Authorization: `Bearer ${token}`,
    },
  })
  asked.end()
  const [response, socket] = await Promise.race([once(asked, 'upgrade'), once(asked, 'response')])
  if (socket) {
    socket.destroy()
    return { status: 101 }
  }
  let body = ''
  for await (const chunk of response) body += chunk
  return { status: response.statusCode, code: JSON.parse(body).code }
}

t.test('tokens', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_AUTH_TIMEOUT: '300' } })

  t.test('AUTH-1 a valid token opens a connection that names its sub as user', async (t) => {
    const tab = await Tab.open(server, 'ann-ée')
    t.equal(tab.frames[0]?.user, 'ann-ée')
  })

  t.test('AUTH-2 a token with a bad signature is refused: 401, no socket', async (t) => {
    const token = await tokenFor('ann', { secret: 'another secret, of more than 32 bytes too' })
    t.same(await knock(server.port, token), { status: 401, code: 'unauthorized' })
  })

  t.test('AUTH-3 an expired token is refused as token_expired', async (t) => {
    const token = await tokenFor('ann', { life: -3600 })
    t.same(await knock(server.port, token), { status: 401, code: 'token_expired' })
  })

  t.test('AUTH-4 C3 no token: everything but auth and ping is not_in_state, then 4008', async (t) => {
    const tab = await Tab.open(server, '', { token: null })
    t.match(await tab.ask({ type: 'ping', data: 1 }), { type: 'pong', data: 1 })
    const frames = [
      { type: 'status' },
      { type: 'join', room: 'chat/lobby' },
      { type: 'send', room: 'chat/lobby', event: { type: 'message.post', text: 'x' } },
      { type: 'get', room: 'chat/lobby' },
      { type: 'leave', room: 'chat/lobby' },
    ]
    for (const frame of frames) {
      const refused = await tab.ask(frame)
      t.match(
        refused,
        { code: 'not_in_state', state: 'connecting', allowed: ['auth', 'ping'], retry: false },
        frame.type,
      )
    }
    t.match(await tab.next('closing'), { code: 4008, reconnect: false })
    t.same(await tab.close(), { code: 4008, reason: 'auth_timeout' })
  })

  t.test('C3 a refused first auth: error, closing, 4001', async (t) => {
    const tab = await Tab.open(server, '', { token: null })
    t.match(await tab.ask({ type: 'auth', token: await tokenFor('ann', { life: -60 }) }), { code: 'token_expired' })
    t.match(await tab.next('closing'), { code: 4001, reconnect: false })
    t.equal((await tab.close()).code, 4001)
  })

  t.test('AUTH-5 A1 malformed tokens are refused', async (t) => {
    const token = await tokenFor('ann')
    const malformed = {
      empty: '',
      'one part': 'abc',
      'two parts': 'a.b',
      'four parts': `${token}.x`,
      'five parts': 'a.b.c.d.e',
      'bad base64': token.replace('.', '.!!'),
      'an empty signature': token.replace(/[^.]+$/, ''),
      '9 KB': `${token}${'a'.repeat(9000)}`,
      'a header that is no JSON': `${Buffer.from('no').toString('base64url')}.${token.split('.').slice(1).join('.')}`,
    }
    for (const [what, text] of Object.entries(malformed)) {
      t.same(await knock(server.port, text), { status: 401, code: 'unauthorized' }, what)
    }
  })

  t.test('A1 signature, algorithm, exp, nbf, iat and sub are each looked at', async (t) => {
    const refused = {
      'alg none': `${base64url({ alg: 'none' })}.${base64url(good())}.x`,
      'another HMAC': handMade({ alg: 'HS512' }, good()),
      'no exp': handMade(HS256, { sub: 'ann' }),
      'exp as text': handMade(HS256, { sub: 'ann', exp: '2999' }),
      'exp beyond any date': handMade(HS256, { sub: 'ann', exp: 1e300 }),
      'no sub': handMade(HS256, { exp: now() + 60 }),
      'empty sub': handMade(HS256, { ...good(), sub: '' }),
      'long sub': handMade(HS256, { ...good(), sub: 'a'.repeat(129) }),
      'sub as object': handMade(HS256, { ...good(), sub: { a: 1 } }),
      'nbf ahead': handMade(HS256, { ...good(), nbf: now() + 60 }),
      'iat ahead': handMade(HS256, { ...good(), iat: now() + 60 }),
      'a tampered payload': handMade(HS256, good()).replace(/\.[^.]+\./, `.${base64url({ ...good(), sub: 'root' })}.`),
      'an unknown critical header': handMade({ ...HS256, crit: ['x'], x: 1 }, good()),
      'a key in the header': handMade({ ...HS256, jwk: { kty: 'oct', k: 'AAAA' } }, good(), Buffer.from([0, 0, 0])),
    }
    for (const [what, token] of Object.entries(refused)) {
      t.same(await knock(server.port, token), { status: 401, code: 'unauthorized' }, what)
    }
    const accepted = {
      plain: handMade(HS256, good()),
      'within the tolerance': handMade(HS256, { ...good(), exp: now() - 2 }),
      'with a kid': handMade({ ...HS256, kid: '../../etc/passwd' }, good()),
      'in 40 days': handMade(HS256, { ...good(), exp: now() + 40 * 86_400 }),
    }
    for (const [what, token] of Object.entries(accepted)) t.same(await knock(server.port, token), { status: 101 }, what)
  })

  t.test('A1 a public key takes tokens of its own kind only', async (t) => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
    const keyed = await startServer(t, {
      ownKey: true,
      env: { CHARTROOM_JWT_PUBLIC_KEY: pem, CHARTROOM_JWT_ISSUER: 'here', CHARTROOM_JWT_AUDIENCE: 'us' },
    })
    const sign = (claims: object, alg = 'RS256') =>
      new SignJWT({ ...good(), iss: 'here', aud: 'us', ...claims })
        .setProtectedHeader({ alg, kid: 'any' })
        .sign(privateKey)
    t.same(await knock(keyed.port, await sign({})), { status: 101 })
    t.same(await knock(keyed.port, await sign({}, 'PS256')), { status: 101 })
    const refused = { status: 401, code: 'unauthorized' }
    t.same(await knock(keyed.port, await sign({ iss: 'there' })), refused, 'a foreign issuer')
    t.same(await knock(keyed.port, await sign({ aud: 'them' })), refused, 'a foreign audience')
    t.same(
      await knock(keyed.port, handMade(HS256, { ...good(), iss: 'here', aud: 'us' }, pem)),
      refused,
      'HMAC with the public key',
    )
  })

  t.test('A2 auth on an open connection replaces the token in place', async (t) => {
    const tab = await Tab.open(server, 'ann', { token: await tokenFor('ann', { life: 60 }) })
    await tab.join('counter/refresh')
    const longer = now() + 7200
    const token = await tokenFor('ann', { claims: { exp: longer } })
    tab.burst([
      { type: 'send', room: 'counter/refresh', event: { type: 'increment' }, id: 1 },
      { type: 'auth', token, id: 2 },
      { type: 'send', room: 'counter/refresh', event: { type: 'increment' }, id: 3 },
    ])
    t.match(await tab.next((frame) => frame.id === 2), { type: 'ok', expiresAt: longer * 1000 })
    t.match(await tab.next((frame) => frame.id === 1), { type: 'ok', seq: 2 })
    t.match(await tab.next((frame) => frame.id === 3), { type: 'ok', seq: 3 })
    t.equal(tab.state('counter/refresh').context.count, 2)
  })

  t.test(
    'A2 R1 tokens at once: as many as may wait are verified in their turns, the others are told to come again',
    async (t) => {
      const tab = await Tab.open(server, 'ann')
      const tokens = Array.from({ length: 40 }, (_, jti) => tokenFor('ann', { claims: { jti: `${jti}` } }))
      const [token] = await Promise.all(tokens)
      tab.burst((await Promise.all(tokens)).map((token, id) => ({ type: 'auth', token, id })))
      const replies = []
      for (let id = 0; id < 40; id++) replies.push(await tab.next((frame) => frame.id === id))
      const refused = replies.filter(({ type }) => type === 'error')
      t.ok(refused.length > 0 && refused.length <= 40 - 17, `${refused.length} of 40`)
      for (const reply of refused) t.match(reply, { code: 'overloaded', retry: true })
      t.match(await tab.ask({ type: 'auth', token }), { type: 'ok' })
      t.equal(tab.frames.length, 1 + 40 + 1)
    },
  )

  t.test('A2 a token of another subject, or a refused one, leaves the old one in force', async (t) => {
    const tab = await Tab.open(server, 'ann')
    t.match(await tab.ask({ type: 'auth', token: await tokenFor('bob') }), { code: 'subject_mismatch' })
    t.match(await tab.ask({ type: 'auth', token: 'a.b.c' }), { code: 'unauthorized' })
    t.match(await tab.ask({ type: 'status' }), { user: 'ann', state: 'open' })
  })

  t.test('A3 at exp without a refresh: a warning, then closing and 4201', async (t) => {
    const strict = await startServer(t, { env: { CHARTROOM_CLOCK_TOLERANCE: '0' } })
    const tab = await Tab.open(strict, 'ann', { token: await tokenFor('ann', { life: 2 }) })
    t.match(await tab.next('auth.expiring'), { expiresAt: tab.frames[0]?.expiresAt })
    t.match(await tab.next('closing'), { code: 4201, reconnect: true })
    t.same(await tab.close(), { code: 4201, reason: 'token_expired' })
    t.ok(Date.now() >= tab.frames[0]?.expiresAt, 'not before its time')
  })

  t.test('A4 a revoked token, or all of a user’s, ends its connections at once and for good', async (t) => {
    const own = await startServer(t)
    const service = await tokenFor('backend', { claims: { scope: 'service' } })
    const revoke = (path: string, token = service) =>
      fetch(`http://127.0.0.1:${own.port}/v1/${path}`, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${token}` },
      })
    const [one, two] = [
      await tokenFor('ann', { claims: { jti: 'a/1' } }),
      await tokenFor('ann', { claims: { jti: 'a2' } }),
    ]
    const [first, second] = [await Tab.open(own, 'ann', { token: one }), await Tab.open(own, 'ann', { token: two })]

    t.equal((await revoke('tokens/a2', await tokenFor('eve'))).status, 403, 'not without the scope')
    t.equal((await revoke('tokens/a2', 'a.b.c')).status, 401)
    t.equal((await revoke('tokens/%ff')).status, 400)
    t.equal((await revoke('nothing')).status, 404)
    t.match(await (await revoke('tokens/a%2F1')).json(), { type: 'ok', connections: 1 })
    t.match(await first.next('closing'), { code: 4010, reconnect: false })
    t.same(await first.close(), { code: 4010, reason: 'revoked' })
    t.equal((await second.ask({ type: 'status' })).state, 'open', 'the other token goes on')

    t.match(await (await revoke('users/ann/connections')).json(), { connections: 1 })
    t.equal((await second.close()).code, 4010)
    const refused = { status: 401, code: 'unauthorized' }
    for (const round of ['at once', 'after a restart']) {
      t.same(await knock(own.port, one), refused, round)
      t.same(await knock(own.port, two), refused, round)
      t.same(await knock(own.port, handMade(HS256, { sub: 'ann', exp: now() + 60 })), refused, `${round}, without iat`)
      t.same(await knock(own.port, await tokenFor('bob')), { status: 101 }, round)
      await own.crashAndRestart()
    }
    const later = handMade(HS256, { sub: 'ann', iat: now() + 1, exp: now() + 60 })
    t.same(await knock(own.port, later), { status: 101 }, 'a token that was issued afterwards')
  })

  t.test('no token is in the log', async (t) => {
    t.notMatch(server.stderr, /eyJ[\w-]+\.[\w-]+\./)
  })
})
