/**
 * Every way in which a token can be right or wrong, in tables: what it is, the token, and what must become of it. Each is
 * tried at both doors, with the upgrade and in the first frame.
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { EncryptJWT } from 'jose'
import t, { type Test } from 'tap'
import { createVerifier } from '../src/auth/auth.ts'
import { remembering } from '../src/auth/remembered.ts'
import { isFailure } from '../src/errors.ts'
import { SECRET, type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { type Frame, Tab } from './fixtures/tab.ts'
import {
  type Case,
  ecdsa,
  eddsa,
  forge,
  good,
  hmac,
  introduce,
  KeyServer,
  knock,
  now,
  part,
  pss,
  respelled,
  rsa,
  type Sign,
  seal,
  swap,
  tryAll,
} from './fixtures/tokens.ts'

const IN = 'in ann'
const NO = 'unauthorized'
const LATE = 'token_expired'
const HS256 = { alg: 'HS256', typ: 'JWT' }
const DAY = 86_400

/** A good token but for these claims; a text is the whole payload. */
const claims = (given: object | string): string =>
  forge(HS256, typeof given === 'string' ? given : { ...good(), ...given })
/** A good token but for these header members; a text is the whole header. */
const header = (given: object | string): string =>
  forge(typeof given === 'string' ? given : { ...HS256, ...given }, good())
const without = (name: string, from: object = good()): object =>
  Object.fromEntries(Object.entries(from).filter(([key]) => key !== name))

/** The server of every test that asks for nothing special; its tolerance is wide, so that no edge of it is hit by chance. */
const server = await startServer(t, { env: { CHARTROOM_CLOCK_TOLERANCE: '60000' } })
/** One without any, and without patience. */
const strict = await startServer(t, { env: { CHARTROOM_CLOCK_TOLERANCE: '0', CHARTROOM_AUTH_TIMEOUT: '500' } })

t.test('AUTH-5 A1 what has not the form of a token is refused', async (t) => {
  const token = claims({})
  const signature = token.split('.')[2] as string
  const jwe = await new EncryptJWT(good())
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
    .encrypt(Buffer.from(SECRET).subarray(0, 32))
  /** A good token of exactly this many characters. */
  const long = (length: number): string => {
    for (let pad = Math.floor(length * 0.75) - 200; ; pad++) {
      const token = claims({ pad: 'x'.repeat(pad) })
      if (token.length >= length) return token
    }
  }
  const spared = (name: string) => {
    for (let pad = ''; ; pad += 'x')
      if (part({ ...HS256, ...good(), [name]: pad }).length % 4 > 1) return { [name]: pad }
  }
  const payload = part({ ...HS256, ...good(), ...spared('pad') })
  const head = part({ ...HS256, ...good(), ...spared('pad') })
  const plain = part(good())

  const cases: Case[] = [
    ['a good one', token, IN],
    ['an empty text', '', NO],
    ['one part', 'abc', NO],
    ['two parts', 'a.b', NO],
    ['header and payload alone', token.slice(0, token.lastIndexOf('.')), NO],
    ['four parts', `${token}.x`, NO],
    ['a fourth part that is empty', `${token}.`, NO],
    ['five parts', 'a.b.c.d.e', NO],
    ['an encrypted token', jwe, NO],
    ['nothing but dots', '..', NO],
    ['an empty header', swap(token, 0, () => ''), NO],
    ['an empty payload', swap(token, 1, () => ''), NO],
    ['an empty payload, signed', seal(part(HS256), '', hmac()), NO],
    ['an empty signature', swap(token, 2, () => ''), NO],
    ['8192 characters', long(8192), IN],
    ['8193 characters', long(8193), NO],
    ['9 KB', `${token}${'a'.repeat(9000)}`, NO],
    ['15 KB', long(15_000), NO],

    ['the header padded', seal(`${head}${'='.repeat(4 - (head.length % 4))}`, plain, hmac()), NO],
    ['the payload padded', seal(part(HS256), `${payload}${'='.repeat(4 - (payload.length % 4))}`, hmac()), NO],
    ['the signature padded', `${token}=`, NO],
    ['a header with bits to spare', seal(head, plain, hmac()), IN],
    ['the same, its spare bits not zero', seal(respelled(head), plain, hmac()), NO],
    ['a payload with bits to spare', seal(part(HS256), payload, hmac()), IN],
    ['the same, its spare bits not zero', seal(part(HS256), respelled(payload), hmac()), NO],
    ['the signature spelled otherwise', swap(token, 2, respelled), NO],
    [
      'base64 that is not base64url',
      seal(part(HS256), `${Buffer.from('{"a":"??>>"}').toString('base64')}`, hmac()),
      NO,
    ],
    ['a digit that base64 has not', swap(token, 1, (payload) => `!!${payload}`), NO],
    ['a space within', swap(token, 1, (payload) => `${payload.slice(0, 8)} ${payload.slice(8)}`), NO],
    ['a space behind', `${token} ! `, NO],
    ['a line break behind', `${token}\n`, NO],
    ['a zero byte behind', `${token}\0`, NO],
    ['letters of another alphabet', token.replace('e', 'е'), NO],
    ['a digit alone behind the signature', `${token}${signature.length % 4 === 0 ? 'A' : 'AA'}`, NO],

    ['a header that is no JSON', forge('no', good()), NO],
    ['a header that is a list', forge([HS256], good()), NO],
    ['a header that is null', forge('null', good()), NO],
    ['a header that is no UTF-8', forge(Buffer.from('{"alg":"HS256","x":"\xff"}', 'latin1'), good()), NO],
    ['a payload that is no JSON', claims('no'), NO],
    ['a payload that is a list', claims(JSON.stringify([good()])), NO],
    ['a payload that is null', claims('null'), NO],
    ['a payload that is a number', claims('1'), NO],
    ['a payload with something behind', claims(`${JSON.stringify(good())}x`), NO],
    ['a payload that is no UTF-8', forge(HS256, Buffer.from(`{"sub":"\xff","exp":${now() + 60}}`, 'latin1')), NO],
    ['a payload that is another token', forge({ ...HS256, cty: 'JWT' }, token), NO],
  ]
  t.comment(`${await tryAll(t, server, cases)} forms`)
})

t.test('AUTH-10 A1 what the header says is not believed', async (t) => {
  const trap = await KeyServer.open(t)
  const own = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwk = own.publicKey.export({ format: 'jwk' })
  const foreign = (given: object): string => forge({ alg: 'RS256', ...given }, good(), rsa(own.privateKey))
  const weak = { kty: 'oct', k: 'AAAA' }
  const unencoded = JSON.stringify(good()).replaceAll('.', '')

  const none = ['none', 'None', 'NONE', 'nOnE'].flatMap((alg): Case[] => [
    [`alg ${alg}, unsigned`, `${part({ alg })}.${part(good())}.`, NO],
    [`alg ${alg}, with something for a signature`, `${part({ alg })}.${part(good())}.AAAA`, NO],
    [`alg ${alg}, signed`, forge({ alg }, good()), NO],
  ])
  const others = ['HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA', 'hs256', 'HS256 ', 'dir', '', '__proto__']
  const notText = { 'a number': 256, 'a list': ['HS256'], null: null, 'an object': { HS256: true }, true: true }
  const cases: Case[] = [
    ...none,
    ...others.map((alg): Case => [`alg "${alg}"`, forge({ alg }, good()), NO]),
    ['HS384, signed with it', forge({ alg: 'HS384' }, good(), hmac(SECRET, 'sha384')), NO],
    ['HS512, signed with it', forge({ alg: 'HS512' }, good(), hmac(SECRET, 'sha512')), NO],
    ...Object.entries(notText).map(([what, alg]): Case => [`alg as ${what}`, forge({ alg }, good()), NO]),
    ['no alg', forge({ typ: 'JWT' }, good()), NO],

    ['alg twice, the first none', header('{"alg":"none","alg":"HS256"}'), NO],
    ['alg twice, the last none', header('{"alg":"HS256","alg":"none"}'), NO],
    ['alg twice, the same', header('{"alg":"HS256","alg":"HS256"}'), NO],
    ['alg twice, once escaped', header('{"alg":"HS256","\\u0061lg":"HS256"}'), NO],
    ['kid twice', header('{"alg":"HS256","kid":"a","kid":"b"}'), NO],
    ['a name twice, deeper', header('{"alg":"HS256","x":[{"a":1,"a":2}]}'), NO],
    ['the same name at two depths', header('{"alg":"HS256","x":{"alg":"none"}}'), IN],

    [
      'a kid that is a path, signed with an empty file',
      forge({ ...HS256, kid: '../../dev/null' }, good(), hmac('')),
      NO,
    ],
    ['the same, rightly signed', header({ kid: '../../../../dev/null' }), IN],
    ['a kid that is SQL, signed with its result', forge({ ...HS256, kid: "' UNION SELECT 'k" }, good(), hmac('k')), NO],
    ['the same, rightly signed', header({ kid: "' UNION SELECT 'k" }), IN],
    ['a kid of 4000 characters, rightly signed', header({ kid: 'k'.repeat(4000) }), IN],
    ['a kid of 4000 characters, wrongly', forge({ ...HS256, kid: 'k'.repeat(4000) }, good(), hmac('k')), NO],

    ['jku', foreign({ jku: trap.url }), NO],
    ['jku with HS256, rightly signed', header({ jku: trap.url }), IN],
    ['x5u', foreign({ x5u: trap.url }), NO],
    ['x5u with HS256, rightly signed', header({ x5u: trap.url }), IN],
    ['jwk', foreign({ jwk }), NO],
    ['jwk with a secret, signed with it', forge({ ...HS256, jwk: weak }, good(), hmac(Buffer.alloc(3))), NO],
    ['x5c', foreign({ x5c: [own.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')] }), NO],
    ['iss as the place of the keys', foreign({ iss: trap.url, kid: trap.url }), NO],

    ['crit of what nobody knows', header({ crit: ['x'], x: 1 }), NO],
    ['crit of exp', header({ crit: ['exp'], exp: now() + 60 }), NO],
    ['crit of a name that is missing', header({ crit: ['b64'] }), NO],
    ['an empty crit', header({ crit: [] }), NO],
    ['crit as text', header({ crit: 'b64', b64: true }), NO],
    ['crit as null', header({ crit: null }), NO],
    ['b64 true and crit', header({ crit: ['b64'], b64: true }), IN],
    ['b64 false and crit', header({ crit: ['b64'], b64: false }), NO],
    ['b64 false, signed as it stands', seal(part({ ...HS256, crit: ['b64'], b64: false }), unencoded, hmac()), NO],
    ['b64 false without crit', header({ b64: false }), NO],
    ['b64 as text', header({ crit: ['b64'], b64: 'false' }), NO],

    ['no typ', forge({ alg: 'HS256' }, good()), IN],
    ...['jwt', 'at+jwt', 'application/at+jwt', ''].map((typ): Case => [`typ "${typ}"`, header({ typ }), IN]),
    ['cty', header({ cty: 'application/json' }), IN],
    ['members that nobody knows', header({ x5t: 'a', apu: {}, zip: 'none' }), IN],
  ]
  t.comment(`${await tryAll(t, server, cases)} headers`)
  t.same(trap.requests, [], 'nobody was asked for a key')
})

t.test('AUTH-10 A1 a token is signed as a whole', async (t) => {
  const token = claims({})
  const flip = (at: (length: number) => number) => (text: string) => {
    const bytes = Buffer.from(text, 'base64url')
    bytes[at(bytes.length)] = (bytes[at(bytes.length)] as number) ^ 1
    return bytes.toString('base64url')
  }
  const places = { first: () => 0, middle: (length: number) => length >> 1, last: (length: number) => length - 1 }
  const parts = ['header', 'payload', 'signature']
  const flipped = Object.entries(places).flatMap(([place, at]) =>
    ([0, 1, 2] as const).map((i): Case => [`the ${place} byte of the ${parts[i]}`, swap(token, i, flip(at)), NO]),
  )
  const cut = (bytes: number) => (text: string) =>
    Buffer.from(text, 'base64url').subarray(0, bytes).toString('base64url')
  const cases: Case[] = [
    ...flipped,
    ['a header with a member more', swap(token, 0, () => part({ ...HS256, kid: 'x' })), NO],
    ['a header of the same meaning', swap(token, 0, () => part({ typ: 'JWT', alg: 'HS256' })), NO],
    ['another sub', swap(token, 1, () => part({ ...good(), sub: 'root' })), NO],
    ['another exp', swap(token, 1, () => part({ ...good(), exp: now() + DAY })), NO],
    ['the signature without its last byte', swap(token, 2, cut(31)), NO],
    ['half of the signature', swap(token, 2, cut(16)), NO],
    ['one byte of the signature', swap(token, 2, cut(1)), NO],
    ['the signature twice', swap(token, 2, (text) => part(Buffer.alloc(64, Buffer.from(text, 'base64url')))), NO],
    ['a signature of zeros', swap(token, 2, () => part(Buffer.alloc(32))), NO],
    ['the signature of another token', swap(token, 2, () => claims({ sub: 'bob' }).split('.')[2] as string), NO],
    ['the two first parts for each other', token.replace(/^([^.]+)\.([^.]+)/, '$2.$1'), NO],
    ['an empty secret', forge(HS256, good(), hmac('')), NO],
    ['another secret', forge(HS256, good(), hmac('another secret, of more than 32 bytes too')), NO],
    ['the secret and a line break', forge(HS256, good(), hmac(`${SECRET}\n`)), NO],
    ['the secret in base64', forge(HS256, good(), hmac(Buffer.from(SECRET).toString('base64'))), NO],
    ['the payload alone is signed', forge(HS256, good(), (signed) => hmac()(signed.split('.')[1] as string)), NO],
    ['SHA-1', forge(HS256, good(), hmac(SECRET, 'sha1')), NO],
    ['SHA-512, cut', forge(HS256, good(), (signed) => hmac(SECRET, 'sha512')(signed).subarray(0, 32)), NO],
  ]
  t.comment(`${await tryAll(t, server, cases)} signatures`)
})

t.test('AUTH-10 A1 every claim is there and is what it should be', async (t) => {
  const raw = (text: string): string => claims(`{"sub":"ann","exp":${now() + 600},${text}}`)
  const notNumbers = { text: `${now() + 600}`, 'a list': [now() + 600], 'an object': {}, null: null, true: true }
  const instants = ['exp', 'nbf', 'iat'].flatMap((name) =>
    Object.entries(notNumbers).map(([what, value]): Case => [`${name} as ${what}`, claims({ [name]: value }), NO]),
  )
  const notTexts = { 'a number': 1, zero: 0, 'a list': ['ann'], 'an object': { a: 1 }, null: null, true: true }
  const texts = ['sub', 'jti'].flatMap((name) =>
    Object.entries(notTexts).map(([what, value]): Case => [`${name} as ${what}`, claims({ [name]: value }), NO]),
  )
  const names = [
    'x',
    'n'.repeat(128),
    '😀'.repeat(64),
    'two\nlines',
    '\u0000\u001b[31m',
    'é',
    ' ',
    '@me',
    '../..',
    '"}',
  ]
  const inherited = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']
  const cases: Case[] = [
    ['sub and exp alone', claims(JSON.stringify({ sub: 'ann', exp: now() + 600 })), IN],
    ['no claims', claims('{}'), NO],
    ['no sub', forge(HS256, without('sub')), NO],
    ['no exp', forge(HS256, without('exp')), NO],
    ['no iat', forge(HS256, without('iat')), IN],
    ['sub and exp of a prototype', claims(`{"__proto__":{"sub":"ann","exp":${now() + 60}}}`), NO],
    ...instants,
    ...texts,

    ['exp in 40 days', claims({ exp: now() + 40 * DAY }), IN],
    ['exp in 1000 years', claims({ exp: now() + 365_000 * DAY }), IN],
    ['exp at the last instant of a Date', claims({ exp: 8.64e12 }), IN],
    ['exp beyond it', claims({ exp: 8.64e12 + 1 }), NO],
    ['exp 2^53', claims({ exp: 2 ** 53 }), NO],
    ['exp 1e300', claims({ exp: 1e300 }), NO],
    ['exp 1e400', claims(`{"sub":"ann","exp":1e400}`), NO],
    ['exp -1e400', claims(`{"sub":"ann","exp":-1e400}`), LATE],
    ['exp NaN', claims(`{"sub":"ann","exp":NaN}`), NO],
    ['exp 0', claims({ exp: 0 }), LATE],
    ['exp -0', claims(`{"sub":"ann","exp":-0}`), LATE],
    ['exp -1', claims({ exp: -1 }), LATE],
    ['exp with a fraction', claims({ exp: now() + 60.123456 }), IN],
    ['exp within the tolerance', claims({ exp: now() - 30 }), IN],
    ['exp before it', claims({ exp: now() - 61 }), LATE],
    ['exp an hour ago', claims({ exp: now() - 3600 }), LATE],

    ['nbf long ago', claims({ nbf: now() - 3600 }), IN],
    ['nbf negative', claims({ nbf: -1 }), IN],
    ['nbf with a fraction', claims({ nbf: now() - 0.5 }), IN],
    ['nbf within the tolerance', claims({ nbf: now() + 30 }), IN],
    ['nbf ahead', claims({ nbf: now() + 120 }), NO],
    ['nbf behind exp', claims({ nbf: now() + 900 }), NO],
    ['nbf 2^53', claims({ nbf: 2 ** 53 }), NO],
    ['nbf 1e300', claims({ nbf: 1e300 }), NO],
    ['nbf 1e400', raw('"nbf":1e400'), NO],

    ['iat long ago', claims({ iat: 0 }), IN],
    ['iat negative', claims({ iat: -1 }), IN],
    ['iat with a fraction', claims({ iat: now() - 0.123456 }), IN],
    ['iat within the tolerance', claims({ iat: now() + 30 }), IN],
    ['iat ahead', claims({ iat: now() + 120 }), NO],
    ['iat 2^53', claims({ iat: 2 ** 53 }), NO],
    ['iat 1e300', claims({ iat: 1e300 }), NO],
    ['iat 1e400', raw('"iat":1e400'), NO],

    ['an empty sub', claims({ sub: '' }), NO],
    ['sub of 129 characters', claims({ sub: 'n'.repeat(129) }), NO],
    ['sub of 65 emoji, two characters each', claims({ sub: '😀'.repeat(65) }), NO],
    ...[...names, ...inherited].map((sub): Case => [`sub ${JSON.stringify(sub)}`, claims({ sub }), `in ${sub}`]),

    ['jti', claims({ jti: 'a/1' }), IN],
    ['scope as a list', claims({ scope: ['service'] }), IN],
    ['iss and aud, where none is asked for', claims({ iss: 'there', aud: ['them'] }), IN],

    ['sub twice', raw('"sub":"bob"'), NO],
    ['sub twice, the same', raw('"sub":"ann"'), NO],
    ['sub twice, once escaped', raw('"\\u0073\\u0075b":"bob"'), NO],
    ['sub twice, with space before the colon', raw('"sub" \n\t: "bob"'), NO],
    ['exp twice, the last past', raw('"exp":1'), LATE],
    ['exp twice, the last far', raw(`"exp":${now() + DAY}`), NO],
    ['iat twice', raw('"iat":1,"iat":2'), NO],
    ['__proto__ twice', raw('"__proto__":1,"__proto__":2'), NO],
    ['a claim of nobody twice', raw('"x":1,"y":2,"x":1'), NO],
    ['a name twice, deeper', raw('"x":{"y":[{"a":1},{"a":1,"b":{},"a":2}]}'), NO],
    ['a name twice, behind what is deeper', raw('"x":{"y":{}},"x":1'), NO],
    ['an empty name twice', raw('"":1,"":2'), NO],
    ['the same name in two objects', raw('"x":[{"a":1},{"a":1}],"y":{"sub":"bob","exp":1}'), IN],
    ['a name that is a value as well', raw('"x":"x","y":["x","x","exp","sub"]'), IN],
    ['names within a text', raw('"x":"{\\"sub\\":1,\\"sub\\":2}","y":"\\\\","z":"\\"sub\\":"'), IN],
    ['names that differ in case', raw('"Sub":"bob","EXP":1'), IN],
    ['a claim __proto__', raw('"__proto__":{"sub":"root","scope":"service"}'), IN],
  ]
  t.comment(`${await tryAll(t, server, cases)} claims`)

  const revoke = (token: string) =>
    fetch(`http://127.0.0.1:${server.port}/v1/users/nobody/connections`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${token}` },
    })
  t.equal((await revoke(claims({ scope: 'other service' }))).status, 200, 'the scope that it takes')
  for (const token of [
    claims({ scope: ['service'] }),
    claims({ scope: 'services' }),
    raw('"__proto__":{"scope":"service"}'),
  ])
    t.equal((await revoke(token)).status, 403, 'no scope by another form')
})

t.test('A1 a user may be called like a property of every object', async (t) => {
  for (const user of ['__proto__', 'constructor', 'two\nlines']) {
    const tab = await Tab.open(server, user)
    await tab.join('chat/names')
    t.match(await tab.post('here', 'chat/names'), { type: 'ok' }, user)
    t.ok(tab.state('chat/names').context.online.includes(user))
    t.equal(tab.state('chat/names').context.messages.at(-1).from, user)
    t.match(await tab.ask({ type: 'status' }), { user, session: { connections: 1 } })
    await tab.leave()
  }
})

t.test('A1 every instant that the client is told is whole milliseconds', async (t) => {
  const exp = now() + 600.1234567
  const tab = await Tab.open(server, 'ann', { token: claims({ exp, iat: now() - 0.1234567 }) })
  t.equal(tab.frames[0]?.expiresAt, Math.floor(exp * 1000))
  t.equal((await tab.ask({ type: 'auth', token: claims({ exp }) })).expiresAt, Math.floor(exp * 1000))
})

/** The kinds of public key, how each signs, and what else its signature could be taken for. */
function kinds() {
  const pair = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve })
  const [bits, p256, p384, ed] = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    pair('P-256'),
    pair('P-384'),
    generateKeyPairSync('ed25519'),
  ]
  return {
    RSA: {
      key: bits.publicKey,
      good: [
        ['RS256', rsa(bits.privateKey)],
        ['RS512', rsa(bits.privateKey, 'sha512')],
        ['PS256', pss(bits.privateKey)],
      ] as [string, Sign][],
      bad: [
        ['RS256', pss(bits.privateKey)],
        ['PS256', rsa(bits.privateKey)],
        ['RS256', rsa(bits.privateKey, 'sha1')],
        ['RS256', rsa(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)],
        ['ES256', ecdsa(p256.privateKey)],
      ] as [string, Sign][],
    },
    'P-256': {
      key: p256.publicKey,
      good: [['ES256', ecdsa(p256.privateKey)]] as [string, Sign][],
      bad: [
        ['ES256', ecdsa(p256.privateKey, 'sha256', 'der')],
        ['ES256', ecdsa(p256.privateKey, 'sha384')],
        ['ES256', ecdsa(pair('P-256').privateKey)],
        ['ES384', ecdsa(p256.privateKey, 'sha384')],
        ['ES256K', ecdsa(p256.privateKey)],
        ['RS256', rsa(bits.privateKey)],
      ] as [string, Sign][],
    },
    'P-384': {
      key: p384.publicKey,
      good: [['ES384', ecdsa(p384.privateKey, 'sha384')]] as [string, Sign][],
      bad: [
        ['ES384', ecdsa(p384.privateKey, 'sha384', 'der')],
        ['ES256', ecdsa(p384.privateKey)],
        ['ES512', ecdsa(p384.privateKey, 'sha512')],
        ['ES384', ecdsa(pair('P-384').privateKey, 'sha384')],
      ] as [string, Sign][],
    },
    Ed25519: {
      key: ed.publicKey,
      good: [
        ['EdDSA', eddsa(ed.privateKey)],
        ['Ed25519', eddsa(ed.privateKey)],
      ] as [string, Sign][],
      bad: [
        ['EdDSA', eddsa(generateKeyPairSync('ed25519').privateKey)],
        ['Ed448', eddsa(ed.privateKey)],
        ['ES256', eddsa(ed.privateKey)],
        ['eddsa', eddsa(ed.privateKey)],
      ] as [string, Sign][],
    },
  }
}

/** A public key in each encoding that an attacker may have of it, as the secret of an HMAC. */
function confusions(key: KeyObject, payload: object): Case[] {
  const pem = key.export({ type: 'spki', format: 'pem' }) as string
  const jwk = key.export({ format: 'jwk' })
  const secrets: Record<string, string | Buffer> = {
    PEM: pem,
    'PEM without its last line break': pem.trimEnd(),
    'PEM with escaped line breaks': pem.replaceAll('\n', '\\n'),
    DER: key.export({ type: 'spki', format: 'der' }),
    'DER in base64': key.export({ type: 'spki', format: 'der' }).toString('base64'),
    JWK: JSON.stringify(jwk),
    'the numbers of the JWK': Buffer.from((jwk.n ?? jwk.x) as string, 'base64url'),
    'an empty text': '',
  }
  return Object.entries(secrets).flatMap(([what, secret]): Case[] => [
    [`HS256 with ${what}`, forge(HS256, payload, hmac(secret)), NO],
    [`HS512 with ${what}`, forge({ alg: 'HS512' }, payload, hmac(secret, 'sha512')), NO],
  ])
}

t.test('AUTH-10 A1 a public key takes signatures of its own kind, and no HMAC', async (t) => {
  const tried = Object.entries(kinds()).map(async ([kind, { key, good: rightly, bad }]) => {
    const pem = key.export({ type: 'spki', format: 'pem' }) as string
    const server = await startServer(t, { ownKey: true, env: { CHARTROOM_JWT_PUBLIC_KEY: pem } })
    const [alg, by] = rightly[0] as [string, Sign]
    const token = forge({ alg }, good(), by)
    const size = by('').length
    return tryAll(t, server, [
      ...rightly.map(([alg, by]): Case => [`${kind}: ${alg}`, forge({ alg, kid: 'any' }, good(), by), IN]),
      ...bad.map(([alg, by], i): Case => [`${kind}: ${alg}, wrong in way ${i}`, forge({ alg }, good(), by), NO]),
      ...confusions(key, good()).map(([what, token, outcome]): Case => [`${kind}: ${what}`, token, outcome]),
      [`${kind}: none`, `${part({ alg: 'none' })}.${part(good())}.`, NO],
      [`${kind}: another sub`, swap(token, 1, () => part({ ...good(), sub: 'root' })), NO],
      [`${kind}: another header`, swap(token, 0, () => part({ alg, kid: 'x' })), NO],
      [`${kind}: the signature cut`, forge({ alg }, good(), (signed) => by(signed).subarray(0, -1)), NO],
      [`${kind}: a signature of zeros`, forge({ alg }, good(), () => Buffer.alloc(size)), NO],
      [`${kind}: a signature of ones`, forge({ alg }, good(), () => Buffer.alloc(size, 255)), NO],
      [`${kind}: no exp`, forge({ alg }, without('exp'), by), NO],
      [`${kind}: expired`, forge({ alg }, { ...good(), exp: now() - 60 }, by), LATE],
      [`${kind}: expired, and wrongly signed`, forge({ alg }, { ...good(), exp: 1 }, () => Buffer.alloc(size)), NO],
      [`${kind}: sub twice`, forge({ alg }, `{"sub":"bob","sub":"ann","exp":${now() + 60}}`, by), NO],
    ])
  })
  t.comment(`${(await Promise.all(tried)).reduce((a, b) => a + b)} signatures by public keys`)
})

t.test('AUTH-10 A1 a token is by the configured issuer, for the configured audience', async (t) => {
  const issuer = 'https://here.example'
  const server = await startServer(t, { env: { CHARTROOM_JWT_ISSUER: issuer, CHARTROOM_JWT_AUDIENCE: 'us' } })
  const both = { ...good(), iss: issuer, aud: 'us' }
  const iss = (iss: unknown): string => forge(HS256, { ...both, iss })
  const aud = (aud: unknown): string => forge(HS256, { ...both, aud })
  const cases: Case[] = [
    ['both', forge(HS256, both), IN],
    ['no iss', forge(HS256, without('iss', both)), NO],
    ['a foreign iss', iss('https://there.example'), NO],
    ['iss with a slash more', iss(`${issuer}/`), NO],
    ['iss in capitals', iss(issuer.toUpperCase()), NO],
    ['an empty iss', iss(''), NO],
    ['iss as a list', iss([issuer]), NO],
    ['iss as an object', iss({ toString: issuer }), NO],
    ['iss as null', iss(null), NO],
    ['iss as a number', iss(1), NO],
    ['no aud', forge(HS256, without('aud', both)), NO],
    ['a foreign aud', aud('them'), NO],
    ['aud in capitals', aud('US'), NO],
    ['aud that begins so', aud('us2'), NO],
    ['aud of two, as text', aud('us them'), NO],
    ['an empty aud', aud(''), NO],
    ['aud as a list', aud(['us']), IN],
    ['aud as a list of two', aud(['them', 'us']), IN],
    ['aud as a list of others', aud(['them', 'you']), NO],
    ['aud as an empty list', aud([]), NO],
    ['aud as a list in a list', aud([['us']]), NO],
    ['aud as an object', aud({ us: true }), NO],
    ['aud as null', aud(null), NO],
    ['aud as a number', aud(0), NO],
    ['iss twice', forge(HS256, `{"iss":"x",${JSON.stringify(both).slice(1)}`), NO],
    ['aud twice', forge(HS256, `{"aud":"x",${JSON.stringify(both).slice(1)}`), NO],
  ]
  t.comment(`${await tryAll(t, server, cases)} issuers and audiences`)
})

/** Stops the time of this process at an instant that the test moves; timers go on. */
function stopDate(t: Test): { now: number } {
  const Real = Date
  const clock = { now: Math.floor(Real.now() / 1000) * 1000 }
  globalThis.Date = class extends Real {
    constructor(...given: []) {
      super(...((given.length > 0 ? given : [clock.now]) as []))
    }
    static override now(): number {
      return clock.now
    }
  } as DateConstructor
  t.teardown(() => {
    globalThis.Date = Real
  })
  return clock
}

const rules = {
  jwtSecret: undefined,
  jwtPublicKey: undefined,
  jwksUrl: undefined,
  jwtIssuer: undefined,
  jwtAudience: undefined,
}

t.test('A1 exp, nbf and iat are held to the second at the edge of the tolerance', async (t) => {
  const clock = stopDate(t)
  const second = clock.now / 1000
  const verify = await createVerifier({ ...rules, jwtSecret: SECRET, clockTolerance: 5000 })
  const edges: [what: string, claims: object, outcome: string][] = [
    ['exp 4 s ago', { exp: second - 4 }, IN],
    ['exp 4.9 s ago', { exp: second - 4.9 }, IN],
    ['exp 5 s ago', { exp: second - 5 }, LATE],
    ['exp now', { exp: second }, IN],
    ['nbf in 5 s', { nbf: second + 5 }, IN],
    ['nbf in 5.1 s', { nbf: second + 5.1 }, NO],
    ['nbf in 6 s', { nbf: second + 6 }, NO],
    ['iat in 5 s', { iat: second + 5 }, IN],
    ['iat in 5.1 s', { iat: second + 5.1 }, NO],
    ['iat in 6 s', { iat: second + 6 }, NO],
  ]
  const outcome = async (token: string): Promise<string> => {
    const proven = await verify(token)
    return isFailure(proven) ? proven.code : `in ${proven.principal.user}`
  }
  for (const [what, given, expected] of edges) t.equal(await outcome(claims(given)), expected, what)
  const token = claims({ exp: second + 10 })
  clock.now += 14_000
  t.equal(await outcome(token), IN, 'while time passes')
  clock.now += 1000
  t.equal(await outcome(token), LATE)
})

t.test(
  'A1 a token that was good is good without being verified again, while time can have changed nothing',
  async (t) => {
    const clock = stopDate(t)
    const [began, second] = [clock.now, clock.now / 1000]
    const byKey = await createVerifier({ ...rules, jwtSecret: SECRET, clockTolerance: 5000 })
    let asked = 0
    const verify = remembering((token) => {
      asked++
      return byKey(token)
    })
    const token = claims({ nbf: second, exp: second + 10 })
    const [head, payload] = token.split('.')
    const steps: [what: string, at: number, token: string, outcome: string, asked: number][] = [
      ['the first time', 0, token, IN, 1],
      ['again', 0, token, IN, 1],
      ['to the last millisecond', 9999, token, IN, 1],
      ['at its expiry, for the tolerance', 10_000, token, IN, 2],
      ['beyond the tolerance', 15_000, token, LATE, 3],
      ['where the clock went back to before its nbf', -6000, token, NO, 4],
      ['its claims with another signature', 1000, `${head}.${payload}.${part('forged')}`, NO, 5],
      ['what was refused is verified again', 1000, `${head}.${payload}.${part('forged')}`, NO, 6],
    ]
    for (const [what, at, given, outcome, expected] of steps) {
      clock.now = began + at
      const proven = await verify(given)
      t.equal(isFailure(proven) ? proven.code : `in ${proven.principal.user}`, outcome, what)
      t.equal(asked, expected, `${what}: how often keys were asked`)
    }
  },
)

t.test('A1 of 10,000 tokens that were good the first is forgotten', async (t) => {
  let asked = 0
  const credential = { principal: { user: 'ann', scopes: [], claims: {} }, tokenId: undefined, issuedAt: undefined }
  const verify = remembering(async () => {
    asked++
    return { ...credential, expiresAt: Date.now() + DAY * 1000 }
  })
  for (let i = 0; i <= 10_000; i++) await verify(`${i}`)
  await verify('1')
  t.equal(asked, 10_001, 'the second is known')
  await verify('0')
  t.equal(asked, 10_002)
})

t.test('C1 C2 A4 a tab comes back with the token that it had, until that is revoked', async (t) => {
  const server = await startServer(t)
  const token = await tokenFor('ann', { claims: { jti: 'kept' } })
  for (let i = 0; i < 20; i++) {
    const tab = await Tab.open(server, 'ann', { token })
    t.match(await tab.ask({ type: 'ping', data: i }), { data: i })
    const other = await Tab.open(server, '', { token: null })
    t.match(await other.ask({ type: 'auth', token }), { type: 'welcome', user: 'ann' })
    await Promise.all([tab.leave(), other.leave()])
  }
  await (await Service.of(server)).delete('/v1/tokens/kept')
  t.same([await knock(server, token), await introduce(server, token)], [NO, NO])
})

t.test('AUTH-6 A2 a token of 60 minutes is replaced in place by one of 120', async (t) => {
  const [first, second] = [now() + 3600, now() + 7200]
  const tab = await Tab.open(server, 'ann', { token: claims({ exp: first }) })
  t.equal(tab.frames[0]?.expiresAt, first * 1000)
  await tab.join('counter/refresh')
  t.match(await tab.ask({ type: 'auth', token: claims({ exp: second }) }), { type: 'ok', expiresAt: second * 1000 })
  t.match(await tab.ask({ type: 'status' }), { state: 'open', user: 'ann', rooms: ['counter/refresh'] })
  t.match(await tab.ask({ type: 'send', room: 'counter/refresh', event: { type: 'increment' } }), { type: 'ok' })
  t.equal(tab.state('counter/refresh').context.count, 1)
  t.equal(tab.frames.filter(({ type }) => type === 'welcome').length, 1)
})

t.test('AUTH-6 A2 six refreshes in a row lose and reorder nothing of a stream of sends', async (t) => {
  const REFRESHES = 6
  const EACH = 25
  const watcher = await Tab.open(server, 'bob')
  await watcher.join('chat/stream')
  const tab = await Tab.open(server, 'ann')
  await tab.join('chat/stream')
  const begin = tab.seq('chat/stream') as number
  const lives = Array.from({ length: REFRESHES }, (_, i) => now() + 3600 + 600 * i)
  const texts: string[] = []
  const sends = (): Frame[] =>
    Array.from({ length: EACH }, () => {
      texts.push(`${texts.length}`)
      return {
        type: 'send',
        room: 'chat/stream',
        event: { type: 'message.post', text: texts.at(-1) },
        id: texts.length,
      }
    })
  for (const [i, exp] of lives.entries()) {
    tab.burst([...sends(), { type: 'auth', token: claims({ exp }), id: `auth ${i}` }])
    if (i === 3) tab.burst([{ type: 'auth', token: claims({ exp: 1 }), id: 'refused' }])
  }
  tab.burst(sends())

  await tab.next((frame) => frame.id === texts.length)
  for (const [i, exp] of lives.entries())
    t.match(await tab.next((frame) => frame.id === `auth ${i}`), { type: 'ok', expiresAt: exp * 1000 })
  t.match(await tab.next((frame) => frame.id === 'refused'), { type: 'error', code: 'token_expired' })
  const replies = tab.frames.filter(({ id }) => typeof id === 'number')
  const inOrder = texts.map((_, i) => ({ type: 'ok', id: i + 1, seq: begin + i + 1 }))
  t.strictSame(
    replies.map(({ type, id, seq }) => ({ type, id, seq })),
    inOrder,
    'each send has one reply, in order',
  )
  const auths = tab.frames.filter(({ id }) => typeof id === 'string' && id.startsWith('auth '))
  t.strictSame(
    auths.map(({ id }) => id),
    lives.map((_, i) => `auth ${i}`),
    'so has each refresh',
  )
  const seq = begin + texts.length
  for (const one of [tab, watcher]) {
    await one.reaches('chat/stream', seq)
    const { messages } = one.state('chat/stream').context
    t.strictSame(
      messages.map(({ text }: Frame) => text),
      texts,
      'and the room has them in order',
    )
  }
  t.equal((await tab.ask({ type: 'status' })).state, 'open')
})

t.test('AUTH-6 A3 a refresh outlives its first token, and one of 40 days disconnects nobody', async (t) => {
  const short = () => claims({ exp: now() + 2 })
  const refreshed = await Tab.open(strict, 'ann', { token: short() })
  const far = await Tab.open(strict, 'ann', { token: claims({ exp: now() + 40 * DAY }) })
  const farther = await Tab.open(strict, 'ann', { token: claims({ exp: 8.64e12 }) })
  const left = await Tab.open(strict, 'ann', { token: short() })
  for (let days = 10; days <= 60; days += 10) {
    const exp = now() + days * DAY
    t.match(await refreshed.ask({ type: 'auth', token: claims({ exp }) }), { type: 'ok', expiresAt: exp * 1000 })
  }
  t.match(await refreshed.ask({ type: 'auth', token: claims({ exp: 1 }) }), { code: 'token_expired' })
  t.equal((await left.close()).code, 4201, 'by now a short token is over')
  for (const tab of [refreshed, far, farther]) {
    t.match(await tab.ask({ type: 'status' }), { state: 'open', session: { connections: 3 } })
    t.notOk(
      tab.frames.some(({ type }) => type === 'auth.expiring' || type === 'closing'),
      'nobody was warned',
    )
  }
  for (const tab of [refreshed, far, farther]) await tab.leave()
})

t.test('AUTH-7 three users at once are each themselves, and none another', async (t) => {
  const users = ['ann', 'bob', 'cid']
  const doors = [
    async (user: string) => Tab.open(server, user),
    async (user: string) =>
      Tab.open(server, user, { token: null, protocols: ['chartroom.v1', `bearer.${claims({ sub: user })}`] }),
    async (user: string) => {
      const tab = await Tab.open(server, user, { token: null })
      tab.send({ type: 'auth', token: claims({ sub: user }) })
      return tab
    },
  ]
  const all = await Promise.all(doors.flatMap((open) => users.map(async (user) => ({ user, tab: await open(user) }))))
  await Promise.all(
    all.map(async ({ user, tab }) => {
      t.match(await tab.ask({ type: 'status' }), { user, state: 'open' })
      t.equal(tab.frames.find(({ type }) => type === 'welcome')?.user, user)
      await tab.join('chat/three')
      await tab.post(user, 'chat/three')
      t.match(await tab.ask({ type: 'auth', token: claims({ sub: `${user}2` }) }), { code: 'subject_mismatch' })
    }),
  )
  const watcher = await Tab.open(server, 'dan')
  const { state } = await watcher.ask({ type: 'get', room: 'chat/three' })
  t.equal(state.context.messages.length, all.length)
  t.ok(state.context.messages.every(({ from, text }: Frame) => from === text))
  t.strictSame([...state.context.online].sort(), users)
})

t.test('AUTH-8 valid, invalid, expired, missing: each has its own outcome; no refusal leaves a trace', async (t) => {
  const missing = async (): Promise<string> => {
    const tab = await Tab.open(strict, '', { token: null })
    return `closed ${(await tab.close()).code}`
  }
  const attempts: [string, () => Promise<string>][] = [
    [IN, () => knock(strict, claims({}))],
    [NO, () => knock(strict, forge(HS256, good(), hmac('another')))],
    [LATE, () => knock(strict, claims({ exp: 1 }))],
    ['closed 4008', missing],
    [NO, () => introduce(strict, forge(HS256, good(), hmac('another')))],
    [LATE, () => introduce(strict, claims({ exp: 1 }))],
    [IN, () => introduce(strict, claims({}))],
  ]
  for (const round of [attempts, [...attempts].reverse()])
    for (const [outcome, attempt] of round) t.equal(await attempt(), outcome)

  const tab = await Tab.open(strict, 'ann')
  await tab.until(async () => (await tab.ask({ type: 'status' })).session.connections === 1)
  await tab.join('chat/trace')
  t.strictSame(tab.state('chat/trace').context, { messages: [], online: ['ann'] })
})

t.test('AUTH-9 what authentication costs', async (t) => {
  const ROUNDS = 40
  const costs: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const token = await tokenFor('ann')
    const began = performance.now()
    t.equal(await knock(server, token), IN)
    costs.push(performance.now() - began)
  }
  costs.sort((a, b) => a - b)
  t.comment(`from the request to the welcome: ${costs[ROUNDS / 2]?.toFixed(2)} ms at the median of ${ROUNDS}`)
})

/** A key set with a good key of each kind, and keys that are not for signatures of tokens. */
const set = (() => {
  const rsaPair = () => generateKeyPairSync('rsa', { modulusLength: 2048 })
  const [r1, r2, enc, ops, open, twinA, twinB] = Array.from({ length: 7 }, rsaPair) as ReturnType<typeof rsaPair>[]
  if (!r1 || !r2 || !enc || !ops || !open || !twinA || !twinB) throw new Error('too few keys')
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ed = generateKeyPairSync('ed25519')
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const jwk = ({ publicKey }: { publicKey: KeyObject }, members: object) => ({
    ...publicKey.export({ format: 'jwk' }),
    ...members,
  })
  const secret = Buffer.from('a symmetric key that somebody published')
  return {
    r1,
    r2,
    p256,
    ed,
    enc,
    ops,
    open,
    twinA,
    weak,
    secret,
    jwkOf: jwk,
    keys: [
      jwk(r1, { kid: 'r1', use: 'sig', alg: 'RS256' }),
      jwk(p256, { kid: 'e1' }),
      jwk(ed, { kid: 'ed', use: 'sig' }),
      jwk(enc, { kid: 'enc', use: 'enc' }),
      jwk(ops, { kid: 'ops', key_ops: ['encrypt'] }),
      { ...open.privateKey.export({ format: 'jwk' }), kid: 'open' },
      jwk(twinA, { kid: 'twin' }),
      jwk(twinB, { kid: 'twin' }),
      jwk(weak, { kid: 'weak' }),
      { kty: 'oct', kid: 'oct', k: secret.toString('base64url'), alg: 'HS256', use: 'sig' },
      { kty: 'of no kind', kid: 'odd' },
      { kid: 'empty' },
    ],
  }
})()

t.test('AUTH-11 A1 keys are found at a JWKS URL, cached, rotated, and outlive their endpoint', async (t) => {
  const keys = await KeyServer.open(t)
  const trap = await KeyServer.open(t)
  keys.keys = set.keys
  const server = await startServer(t, { ownKey: true, env: { CHARTROOM_JWKS_URL: keys.url } })
  const r1 = forge({ alg: 'RS256', kid: 'r1' }, good(), rsa(set.r1.privateKey))
  const r2 = forge({ alg: 'RS256', kid: 'r2' }, good(), rsa(set.r2.privateKey))
  const e1 = forge({ alg: 'ES256', kid: 'e1' }, good(), ecdsa(set.p256.privateKey))
  const unknown = () => forge({ alg: 'RS256', kid: 'unknown' }, good(), rsa(set.r2.privateKey))
  /** Knocks until the outcome is this, within the time that a scenario may take. */
  const until = async (token: string, outcome: string): Promise<void> => {
    const deadline = Date.now() + 5000
    while ((await knock(server, token)) !== outcome) if (Date.now() > deadline) throw new Error(`never ${outcome}`)
  }
  /** Knocks with a key that nobody knows until the endpoint was asked, and gives back the knock that is waiting. */
  const askedFor = async <T>(asked: Promise<T>): Promise<{ asked: T; knocks: Promise<string>[] }> => {
    const knocks: Promise<string>[] = []
    for (;;) {
      const knocking = knock(server, unknown())
      knocks.push(knocking)
      const first = await Promise.race([asked.then((asked) => ({ asked })), knocking.then(() => undefined)])
      if (first) return { ...first, knocks }
    }
  }

  t.test('a key is found and cached', async (t) => {
    t.equal(keys.requests.length, 0, 'nobody is asked before a token comes')
    t.strictSame(await Promise.all(Array.from({ length: 20 }, () => knock(server, r1))), Array(20).fill(IN))
    await tryAll(t, server, [
      ['RS256', r1, IN],
      ['ES256', e1, IN],
      ['EdDSA', forge({ alg: 'EdDSA', kid: 'ed' }, good(), eddsa(set.ed.privateKey)), IN],
      ['no kid where one key fits', forge({ alg: 'ES256' }, good(), ecdsa(set.p256.privateKey)), IN],
    ])
    t.equal(keys.requests.length, 1, 'it was asked once')
  })

  t.test('a key of the set is used for what it is for, and for nothing else', async (t) => {
    const by = (kid: unknown, { privateKey }: { privateKey: KeyObject }, alg = 'RS256', more = {}) =>
      forge({ alg, kid, ...more }, good(), alg.startsWith('P') ? pss(privateKey) : rsa(privateKey))
    const own = set.r2.publicKey.export({ format: 'jwk' })
    const published = JSON.stringify(set.keys[0])
    await tryAll(t, server, [
      ['an unknown kid', unknown(), NO],
      ['a kid of another key', by('r1', set.r2), NO],
      ['a kid of a key of another kind', by('e1', set.r1), NO],
      ['no kid where several keys fit', forge({ alg: 'RS256' }, good(), rsa(set.r1.privateKey)), NO],
      ['a kid of two keys', by('twin', set.twinA), NO],
      ['a kid as a number', by(1, set.r1), NO],
      ['a kid as a list', by(['r1'], set.r1), NO],
      ['a kid that is a path', by('../r1', set.r1), NO],
      ['a kid that is a name of every object', by('__proto__', set.r1), NO],
      ['a kid that is a URL', by(trap.url, set.r2), NO],
      ['another alg than the key says', by('r1', set.r1, 'PS256'), NO],
      ['a key for encryption', by('enc', set.enc), NO],
      ['a key whose operations are others', by('ops', set.ops), NO],
      ['a private key that was published', by('open', set.open), NO],
      ['a key of 1024 bits', by('weak', set.weak), NO],
      ['a key of no kind', by('odd', set.r1), NO],
      ['the symmetric key of the set', forge({ alg: 'HS256', kid: 'oct' }, good(), hmac(set.secret)), NO],
      ['the same without a kid', forge({ alg: 'HS256' }, good(), hmac(set.secret)), NO],
      ['HMAC with a published key', forge({ alg: 'HS256', kid: 'r1' }, good(), hmac(published)), NO],
      ...confusions(set.r1.publicKey, good()),
      ['none', `${part({ alg: 'none', kid: 'r1' })}.${part(good())}.`, NO],
      ['jku', by('unknown', set.r2, 'RS256', { jku: trap.url }), NO],
      ['jku beside a kid that is known', by('r1', set.r2, 'RS256', { jku: trap.url }), NO],
      ['x5u', by('unknown', set.r2, 'RS256', { x5u: trap.url }), NO],
      ['jwk', by('unknown', set.r2, 'RS256', { jwk: own }), NO],
      ['jwk beside a kid that is known', by('r1', set.r2, 'RS256', { jwk: own }), NO],
      ['a tampered payload', swap(r1, 1, () => part({ ...good(), sub: 'root' })), NO],
      ['expired', forge({ alg: 'RS256', kid: 'r1' }, { ...good(), exp: 1 }, rsa(set.r1.privateKey)), LATE],
      ['and one that is good', r1, IN],
    ])
    t.same(trap.requests, [], 'no other endpoint was asked')
  })

  t.test('unknown keys, however many, ask the endpoint about once a second', async (t) => {
    const [before, began] = [keys.requests.length, performance.now()]
    for (let round = 0; round < 10; round++) {
      const outcomes = await Promise.all(Array.from({ length: 10 }, () => knock(server, unknown())))
      t.ok(outcomes.every((outcome) => outcome === NO))
    }
    const most = 1 + Math.ceil((performance.now() - began) / 1000)
    t.ok(keys.requests.length - before <= most, `asked ${keys.requests.length - before} times, at most ${most}`)
  })

  t.test('a slow endpoint holds up those whose key is not known, and nobody else', async (t) => {
    const { asked, knocks } = await askedFor(keys.hold())
    t.equal(await knock(server, r1), IN)
    t.equal(await introduce(server, e1), IN)
    t.equal(await Promise.race([knocks.at(-1), knock(server, r1)]), IN, 'while the other is waiting')
    keys.respond = keys.publish
    keys.publish(asked)
    t.equal(await knocks.at(-1), NO)
  })

  t.test('an endpoint that never answers is given up', async (t) => {
    const { knocks } = await askedFor(keys.hold())
    const began = performance.now()
    t.equal(await knocks.at(-1), NO)
    t.ok(performance.now() - began < 4500, 'before the client gives up')
    keys.respond = keys.publish
  })

  t.test('a new key is found by one request more, and one that was withdrawn is refused', async (t) => {
    await until(r1, IN)
    const before = keys.requests.length
    keys.keys = [set.jwkOf(set.r2, { kid: 'r2' })]
    await until(r2, IN)
    t.equal(keys.requests.length, before + 1)
    t.equal(await knock(server, r1), NO)
    keys.keys = set.keys
    await until(r1, IN)
  })

  t.test('the endpoint is down: known keys go on, unknown ones are refused', async (t) => {
    await keys.down()
    for (let i = 0; i < 5; i++) {
      t.equal(await knock(server, unknown()), NO)
      t.equal(await knock(server, r1), IN)
      t.equal(await introduce(server, e1), IN)
      t.equal(await knock(server, r2), NO)
    }
    keys.keys = [...set.keys, set.jwkOf(set.r2, { kid: 'r2' })]
    await keys.up()
    await until(r2, IN)
  })
})

t.test('AUTH-11 A1 an endpoint that answers badly refuses every token, and is asked again', async (t) => {
  const keys = await KeyServer.open(t)
  const trap = await KeyServer.open(t)
  const { r1, jwkOf } = set
  const token = forge({ alg: 'RS256', kid: 'r1' }, good(), rsa(r1.privateKey))
  const server = await startServer(t, { ownKey: true, env: { CHARTROOM_JWKS_URL: keys.url } })
  trap.keys = [jwkOf(r1, { kid: 'r1' })]
  const say =
    (status: number, body: string): KeyServer['respond'] =>
    (response) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  const published = JSON.stringify({ keys: trap.keys })
  const faults: [string, KeyServer['respond']][] = [
    ['404, with a key set', say(404, published)],
    ['500', say(500, '')],
    ['204', (response) => response.writeHead(204).end()],
    ['a redirection', (response) => response.writeHead(302, { location: trap.url }).end()],
    ['nothing', say(200, '')],
    ['a page', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>')],
    ['half a key set', say(200, published.slice(0, -9))],
    ['a list', say(200, JSON.stringify(trap.keys))],
    ['null', say(200, 'null')],
    ['an object', say(200, '{}')],
    ['keys that are no list', say(200, '{"keys":{}}')],
    ['keys that are null', say(200, '{"keys":[null]}')],
    ['a hang-up', (response) => response.destroy()],
    [
      'a hang-up on the way',
      (response) => response.writeHead(200).write(published.slice(0, 9), () => response.destroy()),
    ],
  ]
  for (const [what, respond] of faults) {
    keys.respond = respond
    const before = keys.requests.length
    t.equal(await knock(server, token), NO, what)
    t.equal(keys.requests.length, before + 1, `${what}: it was asked`)
  }
  t.same(trap.requests, [], 'no redirection was followed')

  keys.respond = say(200, '{"keys":[]}')
  t.equal(await knock(server, token), NO, 'an empty key set')
  keys.keys = trap.keys
  keys.respond = (response) => keys.publish(response, 'text/plain')
  const deadline = Date.now() + 5000
  while ((await knock(server, token)) !== IN) if (Date.now() > deadline) throw new Error('the key was never found')
  t.pass('the content type is not looked at: what is there is')
  t.equal((await fetch(`http://127.0.0.1:${server.port}/health`)).status, 200)
})

t.test('AUTH-11 A1 known keys go on for as long as the endpoint is down, and are looked for anew', async (t) => {
  const keys = await KeyServer.open(t)
  const clock = stopDate(t)
  keys.keys = set.keys
  const verify = await createVerifier({ ...rules, jwksUrl: keys.url, clockTolerance: 5000 })
  const lasting = { sub: 'ann', exp: now() + DAY }
  const r1 = forge({ alg: 'RS256', kid: 'r1' }, lasting, rsa(set.r1.privateKey))
  const isIn = async (): Promise<boolean> => !isFailure(await verify(r1))
  t.ok(await isIn())
  await keys.down()
  for (let hour = 0; hour < 3; hour++) {
    clock.now += 3_600_000
    t.ok(await isIn(), 'an hour later')
  }
  keys.keys = [set.jwkOf(set.r2, { kid: 'r2' })]
  await keys.up()
  const before = keys.requests.length
  let asked: ServerResponse | undefined
  keys.hold().then((response) => {
    asked = response
  })
  while (!asked) {
    clock.now += 1000
    t.ok(await isIn(), 'nobody waits until the endpoint is back')
    await new Promise(setImmediate)
  }
  t.ok(await isIn(), 'nor for its answer')
  keys.publish(asked)
  const deadline = performance.now() + 5000
  while ((await isIn()) && performance.now() < deadline) await new Promise(setImmediate)
  t.notOk(await isIn(), 'a key that was withdrawn meanwhile')
  t.equal(keys.requests.length, before + 1)
})

/** So many characters in a row are enough to know a token by. */
const RUN = 12
const runsOf = (text: string): string[] =>
  Array.from({ length: Math.max(0, text.length - RUN + 1) }, (_, i) => text.slice(i, i + RUN))

t.test('A1 no part of a token is in the log, in a frame, in an HTTP answer, or on disk', async (t) => {
  const keys = await KeyServer.open(t)
  keys.keys = set.keys
  const seen: string[] = []
  const traced = { CHARTROOM_LOG_LEVEL: 'trace', NODE_ENV: 'production' }
  const servers = await Promise.all([
    startServer(t, { env: { ...traced, CHARTROOM_QUERY_TOKEN: 'true' } }),
    startServer(t, { ownKey: true, env: { ...traced, CHARTROOM_JWKS_URL: keys.url } }),
  ])
  const canary = { jti: 'canary-jti', iss: 'canary-issuer', scope: 'canary-scope service', secret: 'canary-claim' }
  const signers: [object, Sign][] = [
    [{ ...HS256, kid: 'canary-kid' }, hmac()],
    [{ alg: 'RS256', kid: 'r1', x5t: 'canary-x5t' }, rsa(set.r1.privateKey)],
    [{ alg: 'RS256', kid: 'canary-unknown-kid' }, rsa(set.r1.privateKey)],
    [{ alg: 'none', kid: 'canary-none' }, hmac()],
    [{ ...HS256, crit: ['canary-crit'], 'canary-crit': 1 }, hmac()],
  ]
  const tokens = signers.flatMap(([head, by]) => {
    const token = forge(head, { ...good(), ...canary }, by)
    return [
      token,
      forge(head, { ...good(), ...canary, exp: 1 }, by),
      forge(head, { ...good(), ...canary, nbf: now() + 600 }, by),
      forge(head, { ...good(), ...canary, sub: { canary: 'canary-object' } }, by),
      forge(head, `{"sub":"ann","exp":${now() + 60},"canary-name":1,"canary-name":2}`, by),
      swap(token, 2, (signature) => [...signature].reverse().join('')),
      `${token}.canary-fourth`,
      `${token}${part('canary-long'.repeat(800))}`,
      swap(token, 1, (payload) => `${payload}=canary!`),
    ]
  })

  const ways: ((server: ServerProcess, token: string) => Promise<void>)[] = [
    async (server, token) => drain(Tab.connect(server, { token })),
    async (server, token) => {
      const protocols = ['chartroom.v1', `bearer.${token}`]
      if (/^[\w.-]+$/.test(token)) await drain(Tab.connect(server, { protocols }))
    },
    async (server, token) => drain(Tab.connect(server, { query: `?access_token=${encodeURIComponent(token)}` })),
    async (server, token) => drain(Tab.connect(server, {}), { type: 'auth', token, id: 1 }),
    async (server, token) => {
      const response = await fetch(`http://127.0.0.1:${server.port}/v1/tokens/none`, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${token}` },
      })
      seen.push(JSON.stringify([...response.headers]), await response.text())
    },
  ]
  /** Sees everything that comes until a socket is refused or has answered, and what is said to it there. */
  async function drain(tab: Tab, first?: Frame): Promise<void> {
    const { socket } = tab
    await new Promise<void>((done) => {
      socket.on('upgrade', ({ headers }) => seen.push(JSON.stringify(headers)))
      socket.on('unexpected-response', async (_, response) => {
        seen.push(JSON.stringify(response.headers))
        for await (const chunk of response) seen.push(String(chunk))
        done()
      })
      socket.on('open', () => {
        if (first) {
          tab.send(first)
          tab.burst([`{"type":"auth","token":${first.token}}`, JSON.stringify(first).slice(0, -1)])
          tab.burst([JSON.stringify({ ...first, token: [first.token] }), JSON.stringify({ ...first, room: 1 })])
        }
        tab.send({ type: 'status' })
      })
      socket.on('message', (data) => {
        const frame = String(data)
        seen.push(frame)
        if (/"type":"(status|closing)"|not_in_state/.test(frame)) socket.close()
      })
      socket.on('close', (code, reason) => {
        seen.push(`${code} ${reason}`)
        done()
      })
    })
  }

  for (const server of servers) for (const way of ways) for (const token of tokens) await way(server, token)
  const [first, second] = servers as [ServerProcess, ServerProcess]
  const tab = await Tab.open(first, 'ann', { token: tokens[0] as string })
  await tab.join('chat/canary')
  await tab.post('a record, so that there is something on disk', 'chat/canary')
  for (const token of tokens) await tab.ask({ type: 'auth', token })
  seen.push(...tab.frames.map((frame) => JSON.stringify(frame)))
  t.equal(await knock(second, tokens[9] as string), IN)

  const folders = servers.map(({ data }) => data)
  const disk = folders.flatMap((data) =>
    readdirSync(data, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')),
  )
  const places: Record<string, string> = {
    'the log': servers.map(({ stdout, stderr }) => stdout + stderr).join('\n'),
    'an answer': seen.join('\n'),
    'the disk': disk.join('\n'),
    'a request for keys': keys.requests.join('\n'),
  }
  t.ok(/"msg":"connection"/.test(places['the log'] ?? ''), 'the log does say something')
  t.ok(/token_expired.*unauthorized/s.test(places['an answer'] ?? ''), 'so do the answers')
  t.ok(places['the disk']?.includes('so that there is something on disk'), 'and the disk')
  t.ok(keys.requests.length > 0, 'and keys were asked for')
  const runs = new Set(tokens.flatMap(runsOf))
  for (const [where, text] of Object.entries(places)) {
    t.strictSame(
      runsOf(text).filter((run) => runs.has(run)),
      [],
      `no run of ${RUN} characters of any token is in ${where}`,
    )
    t.notOk(/canary-/.test(text), `no claim or header member is in ${where}`)
  }
})
