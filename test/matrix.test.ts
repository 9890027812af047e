/**
 * Every cell: what a frame of each type, and an event of each type, does in each state of the connection chart.
 *
 * Always true: the tables below have a column for each leaf state that the chart has, a row for each event type that it
 * knows, and a row for each frame type of the protocol, or this fails. Silence is proven by an answer that comes after.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { clientTypes } from '../src/protocol.ts'
import { eventTypes, leaves, shortName } from './fixtures/chart.ts'
import { frame, TEXT } from './fixtures/raw.ts'
import { startServer } from './fixtures/server.ts'
import { PROOFS, type Resting, STATES, Stage, type State, type Subject } from './fixtures/states.ts'
import { type Frame, Tab } from './fixtures/tab.ts'
import { KeyServer } from './fixtures/tokens.ts'

/**
 * What becomes of a frame. A word of the protocol is the reply, or the code of the `error`; and
 * verifies: its token goes to be verified, and is answered then      waits: answered as in `open`, once the state is left
 * silent: never answered      unread: nobody reads it, and it does nothing      none: no frame can come
 */
const FRAMES = table(`
         arriving  waiting       verifying  knocking  entering  open         renewing     expiring     late         closing  closed
auth     none      verifies      waits      none      waits     verifies     waits        verifies     waits        unread   unread
ping     none      pong          waits      none      waits     pong         pong         pong         pong         unread   unread
pong     none      not_in_state  waits      none      waits     silent       silent       silent       silent       unread   unread
status   none      not_in_state  waits      none      waits     status       status       status       status       unread   unread
join     none      not_in_state  waits      none      waits     ok           ok           ok           ok           unread   unread
leave    none      not_in_state  waits      none      waits     not_joined   not_joined   not_joined   not_joined   unread   unread
send     none      not_in_state  waits      none      waits     ok           ok           ok           ok           unread   unread
get      none      not_in_state  waits      none      waits     snapshot     snapshot     snapshot     snapshot     unread   unread
history  none      not_in_state  waits      none      waits     history      history      history      history      unread   unread
message  none      not_in_state  waits      none      waits     ok           ok           ok           ok           unread   unread
ack      none      not_in_state  waits      none      waits     unknown_seq  unknown_seq  unknown_seq  unknown_seq  unread   unread
nack     none      not_in_state  waits      none      waits     unknown_seq  unknown_seq  unknown_seq  unknown_seq  unread   unread
`)

/** A frame of each type, as nothing but its type decides what becomes of it. */
const EXAMPLES: Record<string, Frame> = {
  auth: { token: '' },
  ping: { data: 1 },
  pong: {},
  status: {},
  join: { room: 'counter/matrix' },
  leave: { room: 'counter/nowhere' },
  send: { room: 'counter/matrix', event: { type: 'increment' } },
  get: { room: 'counter/matrix' },
  history: { room: 'counter/matrix' },
  message: { to: 'neighbour', data: 1 },
  ack: { seq: 999 },
  nack: { seq: 999 },
}

/**
 * What becomes of an event. A column is where it leads, a number how it ends: the close code, or the status of the
 * answer to the upgrade request; and
 * ignored: the chart hears it and stays      deaf: the actor has ended      none: it cannot come about
 */
const EVENTS = table(`
                    arriving  waiting    verifying  knocking  entering  open      renewing  expiring  late      closing  closed
auth                none      verifying  ignored    ignored   ignored   renewing  ignored   late      ignored   ignored  deaf
joined              none      ignored    ignored    ignored   open      ignored   ignored   ignored   ignored   ignored  deaf
refused             none      ignored    ignored    ignored   4104      ignored   ignored   ignored   ignored   ignored  deaf
end                 none      4010       4010       503       4010      4010      4010      4010      4010      ignored  deaf
refreshed           none      ignored    ignored    ignored   ignored   open      renewing  open      renewing  ignored  deaf
socket.closed       none      closed     closed     closed    closed    closed    closed    closed    closed    closed   deaf
after authTimeout   none      4008       ignored    ignored   ignored   ignored   ignored   ignored   ignored   ignored  deaf
after untilWarning  none      ignored    ignored    ignored   ignored   expiring  late      ignored   ignored   ignored  deaf
after untilExpiry   none      ignored    ignored    ignored   ignored   ignored   ignored   4201      4201      ignored  deaf
proved              none      ignored    entering   entering  ignored   ignored   open      ignored   open      ignored  deaf
disproved           none      ignored    4001       401       ignored   ignored   open      ignored   expiring  ignored  deaf
`)

function table(text: string): Map<string, Map<State, string>> {
  const [head = [], ...rows] = text
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/ {2,}/))
  return new Map(rows.map(([row = '', ...cells]) => [row, new Map(cells.map((cell, i) => [head[i] as State, cell]))]))
}

const stage = await Stage.open(t)
const neighbour = await Tab.open(stage.server, 'neighbour')

/** Comes again where no new token did: the old one is as old as it was. */
const WARNING = { type: 'auth.expiring' }
/** What a connection is told of an event that leads somewhere, unless it is the end. */
const TOLD: Record<string, { type: string; [field: string]: string }> = {
  joined: { type: 'welcome' },
  'after untilWarning': WARNING,
  'proved entering': { type: 'welcome' },
  'proved open': { type: 'ok', id: 'held' },
  disproved: { type: 'error', code: 'unauthorized', id: 'held' },
}

const ending = { reason: 'revoked', message: 'the token was revoked' }
/** What an event says of itself where the test puts it into the actor's own mailbox, since nothing else would. */
const FORGED: Record<string, object> = {
  auth: { token: 'a.b.c' },
  proved: { proof: { principal: { user: 'mallory' }, issuedAt: 0, expiresAt: 0 } },
  disproved: { refusal: { code: 'unauthorized', message: 'the token was refused' } },
  refused: { ending },
  end: { ending },
  'socket.closed': { code: 1006, reason: '' },
}

const leafOf = (state: State): string => STATES[state].leaf
const isCode = (outcome: string): boolean => /^\d+$/.test(outcome)

t.test('C6 every leaf state, every event and every frame type has its cells, and nothing else has', async (t) => {
  const columns = Object.keys(STATES).sort()
  t.same([...new Set(Object.values(STATES).map(({ leaf }) => leaf))].sort(), [...leaves].sort(), 'leaf states')
  t.same([...EVENTS.keys()].sort(), eventTypes.map(shortName).sort(), 'events')
  t.same([...FRAMES.keys()].sort(), [...clientTypes].sort(), 'frame types')
  t.same(Object.keys(EXAMPLES).sort(), [...clientTypes].sort(), 'examples of frames')
  for (const [row, cells] of [...FRAMES, ...EVENTS]) t.same([...cells.keys()].sort(), columns, row)
  t.comment(`${columns.length} columns × (${FRAMES.size} frame types + ${EVENTS.size} events)`)
})

for (const [state, { rules, leaf }] of Object.entries(STATES)) {
  for (const [type, cells] of FRAMES) {
    const outcome = cells.get(state as State) ?? ''
    t.test(`${rules} ${leaf} (${state}), a frame ${type}: ${outcome}`, (t) =>
      state === 'arriving' ? passedThrough(t, leaf) : frameCell(t, state as Resting, type, outcome),
    )
  }
  for (const [event, cells] of EVENTS) {
    const outcome = cells.get(state as State) ?? ''
    t.test(`${rules} ${leaf} (${state}), the event ${event}: ${outcome}`, (t) =>
      state === 'arriving' ? passedThrough(t, leaf) : eventCell(t, state as Resting, event, outcome),
    )
  }
}

/** No connection was ever seen there: the chart settles where the next step leads before it hears of anything. */
async function passedThrough(t: Test, leaf: string): Promise<void> {
  const tab = await Tab.open(stage.server, '', { token: null })
  await tab.leave()
  t.notOk(stage.lives.some(({ steps }) => steps.some(({ to }) => to === leaf)))
}

async function frameCell(t: Test, state: Resting, type: string, outcome: string): Promise<void> {
  const subject = await stage.reach(t, state)
  const token = await stage.heldToken(subject)
  const sent = { type, id: 'asked', ...EXAMPLES[type], ...(type === 'auth' && { token }) }
  const before = subject.life.steps.length
  if (outcome === 'none') return PROOFS[state](t, subject)
  if (outcome === 'unread') return unread(t, subject, sent)
  subject.tab.send(sent)
  if (outcome === 'verifies') await subject.life.hears('auth', before)
  else if (outcome === 'waits') await PROOFS[state](t, subject)
  if (outcome === 'verifies' || outcome === 'waits') subject.gate.open()
  else t.equal(subject.life.steps.length, before, 'the chart hears nothing of it')
  await answered(t, subject, type, outcome)
}

/** One reply with the id of the frame, or none, and the connection goes on. */
async function answered(t: Test, subject: Subject, type: string, outcome: string): Promise<void> {
  const { tab, state } = subject
  const expected = outcome === 'waits' ? (FRAMES.get(type)?.get('open') as string) : outcome
  if (expected !== 'silent') {
    const reply = await tab.next(({ id }) => id === 'asked')
    const word = expected === 'verifies' ? (state === 'waiting' ? 'welcome' : 'ok') : expected
    t.equal(reply.type === 'error' ? reply.code : reply.type, word)
    if (word === 'not_in_state') t.match(reply, { state: 'connecting', allowed: ['auth', 'ping'] })
  }
  t.equal((await tab.ask({ type: 'ping' })).type, 'pong')
  t.equal(tab.frames.filter(({ id }) => id === 'asked').length, expected === 'silent' ? 0 : 1, 'exactly one reply')
}

/** Neither by the socket, nor where a transport would still hand it over. */
async function unread(t: Test, subject: Subject, sent: Frame): Promise<void> {
  const { life, raw } = subject
  const before = life.steps.length
  const room = `counter/${randomUUID()}`
  const text = JSON.stringify({ ...sent, ...(sent.room && { room }) })
  raw.send(frame(TEXT, text))
  await raw.flushed()
  life.connection.frame(new TextEncoder().encode(text).buffer, false)
  await PROOFS[subject.state](t, subject)
  t.equal(life.steps.length, before, 'the chart hears nothing of it')
  t.equal((await neighbour.ask({ type: 'get', room })).seq, 0, 'nor does a room')
}

async function eventCell(t: Test, state: Resting, event: string, outcome: string): Promise<void> {
  const subject = await stage.reach(t, state, {
    isRefused: event === 'disproved' && outcome !== 'ignored' && outcome !== 'deaf',
    isHasty: event.startsWith('after') && outcome !== 'ignored' && outcome !== 'deaf',
    isCrowded: event === 'refused' && outcome !== 'ignored',
  })
  const type = eventTypes.find((type) => shortName(type) === event) as string
  if (outcome === 'none') await PROOFS[state](t, subject)
  else if (outcome === 'ignored' || outcome === 'deaf') await forge(t, subject, type, outcome)
  else await follow(t, subject, event, outcome)
}

/** What cannot come about by itself: the event is put into the mailbox, and changes nothing. */
async function forge(t: Test, subject: Subject, type: string, outcome: string): Promise<void> {
  const { life, state } = subject
  const [before, story] = [life.steps.length, await storyOf(subject)]
  life.actor.send({ type, ...FORGED[shortName(type)] })
  t.same(await storyOf(subject), story, 'no state is entered, be it again')
  const heard = life.steps.slice(before).map(({ from, to }) => [from, to])
  t.same(heard, outcome === 'deaf' ? [] : [[leafOf(state), leafOf(state)]])
  await PROOFS[state](t, subject)
}

const storyOf = ({ life }: Subject) => stage.server.story(life.connection.id, 'connecting')

/** What can come about is brought about, and watched from both sides. */
async function follow(t: Test, subject: Subject, event: string, outcome: string): Promise<void> {
  const { life, state, tab } = subject
  const before = life.steps.length
  const refusal = state === 'knocking' && isCode(outcome) ? statusOf(tab) : undefined
  await BRING[event]?.(subject)
  const { from, to } = await life.hears(event, before)
  t.same({ from, to }, { from: leafOf(state), to: isCode(outcome) ? 'closing' : leafOf(outcome as State) })
  if (refusal) t.equal(await refusal, Number(outcome))
  const told =
    TOLD[`${event} ${outcome}`] ??
    TOLD[event] ??
    (event === 'refreshed' && from.includes('expiring') ? WARNING : undefined)
  if (told && !refusal) t.match(await tab.next(({ type }) => type === told.type), told)
  if (isCode(outcome) && !refusal) await closes(t, subject, Number(outcome))
  if (isCode(outcome) || outcome === 'closed') await life.reaches('closed')
  else await PROOFS[outcome === 'entering' ? 'open' : (outcome as Resting)](t, subject)
}

/** How an event is brought about where it can be; those that time brings are waited for. */
const BRING: Record<string, (subject: Subject) => unknown> = {
  auth: async ({ tab, user, gate }) => tab.send({ type: 'auth', token: await stage.heldToken({ user, gate }) }),
  joined: ({ gate }) => gate.open(),
  refused: ({ gate }) => gate.open(),
  end: ({ life }) => life.connection.close('revoked', 'the token was revoked'),
  refreshed: ({ life }) => life.actor.send({ type: 'refreshed' }),
  'socket.closed': ({ state, tab, gate }) => (state === 'closing' ? gate.open() : tab.socket.terminate()),
  proved: ({ gate }) => gate.open(),
  disproved: ({ gate }) => gate.open(),
}

/** The status with which the upgrade request is answered. */
async function statusOf({ socket }: Tab): Promise<number> {
  const [, response] = await once(socket, 'unexpected-response', { signal: AbortSignal.timeout(5000) })
  return response.statusCode
}

/** The client is told why, in a frame and by the close code. */
async function closes(t: Test, { tab }: Subject, code: number): Promise<void> {
  t.match(await tab.next('closing'), { code, reconnect: code >= 4100 })
  t.equal((await tab.close()).code, code)
}

/** A key of the key server, and tokens that are signed with it. */
async function signer(kid: string) {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256' }
  const token = (user: string) =>
    new SignJWT({ sub: user })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey)
  return { jwk, token }
}

/** One frame of each type but `auth`, each with its type as id. */
const oneOfEach = clientTypes.filter((type) => type !== 'auth').map((type) => ({ type, id: type, ...EXAMPLES[type] }))

/** The replies to them that a state owes, in order. */
const owed = (state: State): string[][] =>
  oneOfEach.map(({ type }) => [type, FRAMES.get(type)?.get(state) ?? '']).filter(([, word]) => word !== 'silent')

/** What a state owes to one frame of each type came, once each, and nothing else that names one of them. */
async function owes(t: Test, tab: Tab, state: State, before = 0): Promise<void> {
  for (const [id] of owed(state)) await tab.next((frame) => frame.id === id)
  await tab.ask({ type: 'ping' })
  const replies = tab.frames.slice(before).filter(({ id }) => oneOfEach.some((frame) => frame.id === id))
  t.same(replies.map(({ id, type, code }) => [id, code ?? type]).sort(), owed(state).sort())
}

t.test('C3 A2 while a key server takes its time, frames behind a first token wait, behind a second not', async (t) => {
  const [keys, one, two] = [await KeyServer.open(t), await signer('one'), await signer('two')]
  keys.keys = [one.jwk]
  const server = await startServer(t, { ownKey: true, env: { CHARTROOM_JWKS_URL: keys.url } })
  const [first, tab] = [keys.hold(), await Tab.open(server, '', { token: null })]
  tab.burst([{ type: 'auth', token: await one.token('ann') }, ...oneOfEach])
  const knocking = Tab.connect(server, { token: await one.token('bob') })
  const response = await first
  tab.socket.ping()
  await once(tab.socket, 'pong')
  t.same([tab.frames, knocking.socket.readyState], [[], knocking.socket.CONNECTING])
  keys.publish(response)
  await Promise.all([tab.next('welcome'), knocking.next('welcome')])
  await owes(t, tab, 'open')

  keys.keys = [one.jwk, two.jwk]
  const { renewed, held } = await renewal(tab, keys, await two.token('ann'))
  const before = tab.frames.length
  tab.burst(oneOfEach)
  await owes(t, tab, 'renewing', before)
  keys.publish(held)
  t.equal((await renewed).type, 'ok')
})

/** An `auth` that waits for the key server, which is asked for a key it did not have a second ago. */
async function renewal(tab: Tab, keys: KeyServer, token: string) {
  const asked = keys.hold()
  for (;;) {
    const renewed = tab.ask({ type: 'auth', token })
    const held = await Promise.race([asked, renewed.then(() => undefined)])
    if (held) return { renewed, held }
  }
}

t.test('X1 SIGTERM while a token is being verified: 503 with Retry-After answers the upgrade, exit 0', async (t) => {
  const [keys, one] = [await KeyServer.open(t), await signer('one')]
  const server = await startServer(t, { ownKey: true, env: { CHARTROOM_JWKS_URL: keys.url } })
  const asked = keys.hold()
  const { socket } = Tab.connect(server, { token: await one.token('ann') })
  const answer = once(socket, 'unexpected-response', { signal: AbortSignal.timeout(5000) })
  await asked
  const ended = server.end('SIGTERM')
  const [, { statusCode, headers }] = await answer
  t.equal(statusCode, 503)
  t.match(headers['retry-after'], /^\d+$/)
  socket.terminate()
  t.equal(await ended, 0)
})

t.test('A2 R1 a token behind one that is refused is verified in its turn', async (t) => {
  const subject = await stage.reach(t, 'renewing', { isRefused: true })
  const { tab, gate } = subject
  tab.send({ type: 'auth', token: await stage.heldToken({ ...subject, isRefused: false }), id: 'behind' })
  await PROOFS.renewing(t, subject)
  gate.open()
  t.match(await tab.next(({ id }) => id === 'held'), { code: 'unauthorized' })
  t.match(await tab.next(({ id }) => id === 'behind'), { type: 'ok' })
})

t.test('X2 a verdict that comes when the connection is over is nobody’s', async (t) => {
  for (const state of ['verifying', 'renewing'] as const) {
    const { tab, life, gate, user } = await stage.reach(t, state)
    tab.socket.terminate()
    await life.reaches('closed')
    const before = life.steps.length
    gate.open()
    const next = await Tab.open(stage.server, user)
    t.equal((await next.ask({ type: 'status' })).session.connections, 1, 'its place is free')
    t.equal(life.steps.length, before)
    await next.leave()
  }
})

t.test('X2 after all of them the server counts the neighbour alone', async (t) => {
  const states = ['connecting', 'authenticated', 'open', 'closing']
  const left = () => Promise.all(states.map((state) => stage.server.metric(`chartroom_connections{state="${state}"}`)))
  await neighbour.until(async () => (await left()).join() === '0,0,1,0')
  t.equal(await stage.server.metric('chartroom_subscriptions'), 0)
})
