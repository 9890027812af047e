/** Machines that throw, machines that are not open to everybody, and machine files with mistakes. */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadMachineFiles } from '../src/check/load.ts'
import { ROOT, ServerProcess, startServer, tokenFor } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

const env = { CHARTROOM_MACHINES: join(ROOT, 'test/fixtures/machines') }

t.test('machines', async (t) => {
  const server = await startServer(t, { env })
  const send = (room: string, type: string) => ({ type: 'send', room, event: { type } })

  t.test('ERR-11 L5 a throw in a guard or an assign is event_failed, and the room serves the next event', async (t) => {
    const [tab, other] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    await tab.join('faulty/a')
    for (const type of ['fail.assign', 'fail.guard']) {
      const failed = await tab.ask(send('faulty/a', type))
      t.match(failed, { type: 'error', code: 'event_failed', retry: false }, type)
      t.notMatch(failed.message, /secret/)
    }
    t.match(await tab.ask(send('faulty/a', 'guard.no')), { code: 'not_accepted', value: {}, can: Array })
    t.match(await tab.ask(send('faulty/a', 'count')), { type: 'ok', seq: 2 })
    t.match(await other.ask(send('faulty/b', 'count')), { type: 'ok' }, 'other rooms never notice')
    t.match(await tab.ask({ type: 'get', room: 'faulty/a' }), { seq: 2, state: { context: { count: 1 } } })
  })

  t.test(
    'ERR-11 L5 a throw in a function action leaves the record and its ok, and is logged with room and seq',
    async (t) => {
      const tab = await Tab.open(server, 'ann')
      t.match(await tab.ask(send('faulty/action', 'fail.action')), { type: 'ok', seq: 2 })
      t.match(await tab.ask({ type: 'get', room: 'faulty/action' }), { seq: 2, state: { context: { count: 1 } } })
      const line = (await server.said(/an action threw.*\n/))
        .split('\n')
        .find((line) => line.includes('an action threw')) as string
      t.match(JSON.parse(line), { room: 'faulty/action', seq: 2, err: { message: /an action/ } })
    },
  )

  t.test('L5 an action that rejects later, or changes the state in place, is logged and changes nothing', async (t) => {
    const tab = await Tab.open(server, 'ann')
    t.match(await tab.ask(send('faulty/later', 'fail.later')), { type: 'ok', seq: 2 })
    t.match(await tab.ask(send('faulty/later', 'change.in.place')), { type: 'ok', seq: 3 })
    t.match(await tab.ask({ type: 'get', room: 'faulty/later' }), { seq: 3, state: { context: { count: 1 } } })
    t.ok(await server.said(/rejected later/))
    t.ok(await server.said(/read only/))
  })

  t.test('L5 an endless raise is stopped, and nobody else waits for it', async (t) => {
    const [tab, other] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    const [failed, pong] = await Promise.all([
      tab.ask(send('faulty/loop', 'raise.for.ever')),
      other.ask({ type: 'ping' }),
    ])
    t.match(failed, { code: 'event_failed' })
    t.equal(pong.type, 'pong')
  })

  t.test('L5 a state that is no JSON is its own event’s fault, and no other room’s', async (t) => {
    const [tab, other] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
    for (const type of ['make.bigint', 'make.nan', 'make.infinity', 'make.loop', 'make.date', 'make.function']) {
      const [failed, ok] = await Promise.all([
        tab.ask(send(`faulty/${type}`, type)),
        other.ask(send('faulty/c', 'count')),
      ])
      t.match(failed, { code: 'event_failed' }, type)
      t.match(ok, { type: 'ok' })
    }
    t.match(await tab.ask(send('faulty/json', 'count')), { type: 'ok', seq: 2 })
    t.match(await tab.ask(send('faulty/json', 'make.prototype')), { code: 'event_failed' })
    await server.crashAndRestart()
    const back = await Tab.open(server, 'ann')
    t.match(await back.ask(send('faulty/json', 'count')), { type: 'ok', seq: 3 }, 'the room can be read again')
  })

  t.test('S5 R4 access.join guards join, send and get; only true lets somebody in', async (t) => {
    const member = await Tab.open(server, 'ann', {
      token: await tokenFor('ann', { claims: { scope: 'member other' } }),
    })
    const stranger = await Tab.open(server, 'eve')
    const frames = [{ type: 'join', room: 'members/a' }, { type: 'get', room: 'members/a' }, send('members/a', 'say')]
    for (const frame of frames) {
      t.match(
        await stranger.ask(frame),
        { type: 'error', code: 'forbidden', retry: false },
        `a stranger: ${frame.type}`,
      )
      t.match(await member.ask(frame), { type: /ok|snapshot/ }, `a member: ${frame.type}`)
    }
    for (const key of ['broken', 'later', 'unsure']) {
      t.match(await member.ask({ type: 'join', room: `members/${key}` }), { code: 'forbidden' }, key)
    }
  })

  t.test('A5 scopes come from the claim scope, and access.send sees them', async (t) => {
    const by = async (scope: unknown) =>
      Tab.open(server, 'bob', { token: await tokenFor('bob', { claims: { scope } }) })
    const member = await by('member other')
    t.match(await member.ask(send('members/five', 'say')), { type: 'ok' })
    t.match(await member.ask(send('members/five', 'shout')), { code: 'forbidden' })
    t.match(await (await by('member loud')).ask(send('members/five', 'shout')), { type: 'ok' })
    for (const scope of ['members', 'MEMBER', '', ['member'], { member: true }, undefined]) {
      const other = await by(scope)
      t.match(await other.ask(send('members/five', 'say')), { code: 'forbidden' }, JSON.stringify(scope))
    }
  })

  t.test('A5 the rules see the whole principal: user, scopes, and every claim of the token', async (t) => {
    const token = await tokenFor('ann', { claims: { company: 'acme', deep: { er: 1 } } })
    const ann = await Tab.open(server, 'ann', { token })
    const join = async (room: string) => (await ann.ask({ type: 'join', room })).code ?? 'ok'
    t.equal(await join('members/of:ann'), 'ok', 'the user')
    t.equal(await join('members/of:bob'), 'forbidden')
    t.equal(await join('members/at:acme'), 'ok', 'a claim')
    t.equal(await join('members/at:other'), 'forbidden')
    const next = await tokenFor('ann', { claims: { company: 'other' } })
    t.equal((await ann.ask({ type: 'auth', token: next })).type, 'ok')
    t.equal(await join('members/at:other'), 'ok', 'of the token that is in force')
    t.equal(await join('members/at:acme'), 'forbidden')
  })

  t.test('A2 a token that is replaced while a join is under way: the new one decides who stays', async (t) => {
    const member = await tokenFor('ann', { claims: { scope: 'member' } })
    const room = 'members/under-way'
    for (const order of [
      ['join', 'auth'],
      ['auth', 'join'],
    ]) {
      const ann = await Tab.open(server, 'ann', { token: member })
      // Another one each time: one that was found good before is in force at once.
      const plain = await tokenFor('ann', { claims: { order } })
      const frames = { join: { type: 'join', room, id: 'join' }, auth: { type: 'auth', token: plain, id: 'auth' } }
      ann.burst(order.map((type) => frames[type as keyof typeof frames]))
      t.match(await ann.next(({ id }) => id === 'auth'), { type: 'ok' })
      t.match(await ann.next(({ id }) => id === 'join'), { type: 'ok' })
      t.match(await ann.next('error'), { code: 'forbidden', room }, `${order}`)
      t.same((await ann.ask({ type: 'status' })).rooms, [])
      await ann.leave()
    }
  })
})

t.test('a mistake in a machine file is told at start, with the file and what to do', async (t) => {
  const folder = machineFolder(t)
  const files = {
    'no-machine.ts': 'export const x = 1',
    'Upper.ts': 'export default 1',
    'broken.js': 'export default {',
    'acces.js': `import { createMachine } from 'xstate'; export default createMachine({}); export const acces = {}`,
    'rule.js': `import { createMachine } from 'xstate'; export default createMachine({}); export const access = { jion: () => false }`,
    'fine.js': `import { createMachine, fromPromise } from 'xstate'
      export default createMachine({ invoke: { src: fromPromise(async () => 1) }, after: { 10: {} } })`,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  const error = (await loadMachineFiles(folder).catch((error: unknown) => error)) as Error
  const lines = error.message.split('\n')
  t.match(lines, [
    /\/Upper\.ts {2}.*lower case/,
    /\/Upper\.ts:1 {2}.*default export.*createMachine/,
    /\/acces\.js:1 {2}acces: no such name; did you mean access\?/,
    /\/broken\.js:1 {2}it is no JavaScript: ./,
    /\/no-machine\.ts {2}.*default export.*createMachine/,
    /\/rule\.js:1 {2}access\.jion: no such name; did you mean access\.join\?/,
  ])
  t.equal(lines.length, 6, 'one line a mistake, and none for the file that is fine')
})

t.test('a policy that cannot be is told at start, with the file, the setting and the value', async (t) => {
  const policies: Record<string, string> = {
    'history: -1': 'policy.history: expected a whole number of at least 0, got -1',
    'history: 1.5': 'policy.history: expected a whole number of at least 0, got 1.5',
    "history: '10'": 'policy.history: expected a whole number of at least 0, got "10"',
    'historyAge: NaN': 'policy.historyAge: expected a whole number of at least 0, got NaN',
    'historyAge: Infinity': 'policy.historyAge: expected a whole number of at least 0, got Infinity',
    'idle: null': 'policy.idle: expected a whole number of at least 0, got null',
    'snapshotEvery: 0': 'policy.snapshotEvery: expected a whole number of at least 1, got 0',
    'hystory: 10': 'policy.hystory: no such name; did you mean policy.history?',
    'toString: 1':
      'policy.toString: no such name; there are idle, timers, snapshotEvery, history, historyAge, maxFailures, redact',
    "timers: 'pause'": 'policy.timers: expected absolute, restart, resume, got "pause"',
    'timers: 5': 'policy.timers: expected absolute, restart, resume, got 5',
    'maxFailures: -1': 'policy.maxFailures: expected a whole number of at least 0, got -1',
    "history: 0, historyAge: 0, idle: 0, snapshotEvery: 1, timers: 'resume'": '',
  }
  const machine = `import { createMachine } from 'xstate'; export default createMachine({}); export const policy = `
  const folder = machineFolder(t)
  const wanted = Object.entries(policies).flatMap(([policy, mistake], i) => {
    const file = `room-${String(i).padStart(2, '0')}.js`
    writeFileSync(join(folder, file), `${machine}{ ${policy} }`)
    return mistake === '' ? [] : [`${folder}/${file}:1  ${mistake}`]
  })
  const error = (await loadMachineFiles(folder).catch((error: unknown) => error)) as Error
  t.strictSame(error.message.split('\n'), wanted)
  const refused = new ServerProcess({ env: { CHARTROOM_MACHINES: folder } })
  t.teardown(() => refused.dispose())
  await t.rejects(refused.start(), {
    message: /^the server ended with 1: chartroom: \/.*\/room-00\.js:1 {2}policy\.history: /,
  })
})

function machineFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-machines-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  return folder
}
