/** The command `log`, run as an operator runs it, beside servers that run and on folders that none holds. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { encodeLine } from '../src/log/log.ts'
import { openLmdbLog, openLmdbLogToRead } from '../src/log/log-lmdb.ts'
import { logCommand } from '../src/log/log-tools.ts'
import { flip } from './fixtures/damage.ts'
import { ROOT, type ServerProcess, startServer } from './fixtures/server.ts'
import { Service } from './fixtures/service.ts'
import { Tab } from './fixtures/tab.ts'

interface Result {
  readonly code: number
  /** Lines of stdout. */
  readonly said: string[]
  /** Lines of stderr. */
  readonly complained: string[]
}

/** What `chartroom log ...` says on a folder. */
async function log(data: string, ...words: string[]): Promise<Result> {
  const said: string[] = []
  try {
    await logCommand(words, data, (line) => said.push(line))
    return { code: 0, said, complained: [] }
  } catch (error) {
    return { code: 1, said, complained: (error as Error).message.split('\n').map((line) => `chartroom: ${line}`) }
  }
}

/** The same, in a process of its own, as an operator runs it. */
function command(data: string, ...words: string[]): Promise<Result> {
  const lines = (text: string) => text.split('\n').filter(Boolean)
  const args = ['bin/chartroom.js', 'log', ...words, '--data', data]
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { cwd: ROOT }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, said: lines(stdout), complained: lines(stderr) }),
    )
  })
}

function refusal(...complained: (string | RegExp)[]): object {
  return { code: 1, said: [], complained }
}

function newFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'chartroom-log-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A server with two messages in `chat/lobby`, and one for bob. */
async function serverWithChat(t: Test): Promise<ServerProcess> {
  const server = await startServer(t)
  const tab = await Tab.open(server, 'ann')
  for (const text of ['the first', 'the second']) await tab.post(text)
  t.match(await tab.ask({ type: 'message', to: 'bob', data: 1 }), { type: 'ok' })
  await tab.leave()
  return server
}

t.test('TOOL-1 beside a running server: what is there, what is in it, whether it is sound', async (t) => {
  const { data } = await serverWithChat(t)
  t.strictSame(await command(data, 'ls'), {
    code: 0,
    said: ['$inbox/bob  1 to 1', 'chat/lobby  1 to 3', '2 topics'],
    complained: [],
  })
  const { code, said } = await log(data, 'cat', 'chat/lobby')
  t.equal(code, 0)
  t.match(
    said.map((line) => JSON.parse(line)),
    [
      { seq: 1, event: { type: 'room.created' }, from: 'ann' },
      { seq: 2, event: { type: 'message.post', text: 'the first' }, from: 'ann', time: Number },
      { seq: 3, event: { type: 'message.post', text: 'the second' }, ops: Array },
    ],
  )
  t.strictSame(await log(data, 'verify'), { code: 0, said: [`${data}: everything is sound`], complained: [] })
})

t.test('TOOL-2 a mistake is told in one line, and leaves nothing behind', async (t) => {
  const folder = newFolder(t)
  const none = join(folder, 'none')
  for (const words of [['ls'], ['cat', 'chat/a'], ['verify'], ['backup', join(folder, 'copy')]]) {
    t.strictSame(await log(none, ...words), refusal(`chartroom: ${none} holds no log`), `${words[0]}`)
  }
  t.strictSame(await log(none, 'restore', none), refusal(`chartroom: ${none} holds no log`))
  t.match(
    await log(none, 'nope'),
    refusal(/^chartroom: log: there are ls, cat, verify, backup and restore, not "nope"$/),
  )
  t.strictSame(await command(none, 'verify'), refusal(`chartroom: ${none} holds no log`))
  t.match(await log(none, 'cat'), refusal(/^chartroom: log cat: which room\?$/))
  t.match(await log(none, 'backup'), refusal(/^chartroom: log backup: into which folder\?$/))
  t.match(await log(none, 'restore'), refusal(/^chartroom: log restore: from which folder\?$/))
  t.strictSame(readdirSync(folder), [])
  t.match(await log(none), {
    code: 0,
    said: [/^chartroom log ls /, /cat/, /verify/, /backup/, /restore/],
    complained: [],
  })
})

t.test(
  'TOOL-3 a backup of a running server, restored: the rooms as they were, in another life of the log',
  async (t) => {
    const server = await serverWithChat(t)
    const copy = join(newFolder(t), 'copy')
    const tab = await Tab.open(server, 'ann')
    const { epoch } = await tab.join('chat/lobby')
    t.match(await log(server.data, 'backup', copy), {
      code: 0,
      said: [/: \d+ entries of .*, read again and verified$/],
    })
    t.strictSame(
      readdirSync(copy).filter((name) => !name.endsWith('-lock')),
      ['log.mdb'],
    )
    t.strictSame(
      await log(server.data, 'backup', copy),
      refusal(`chartroom: ${copy} holds a log already; name a new folder`),
    )
    t.match(await tab.post('after the backup'), { type: 'ok', seq: 5 })
    const held = tab.seq('chat/lobby') as number

    const inUse = refusal(/ is in use by another server; stop it, or choose another folder with --data$/)
    t.match(await log(server.data, 'restore', copy), inUse, 'not while a server runs')
    t.match(await tab.post('undisturbed'), { type: 'ok', seq: 6 })

    t.equal(await server.end('SIGTERM'), 0)
    const restored = await log(server.data, 'restore', copy)
    t.match(restored, {
      code: 0,
      said: [/: \d+ entries of .*; what was there is now .*log\.mdb\.replaced-/],
      complained: [],
    })
    server.stdout = ''
    await server.start()
    const back = await Tab.open(server, 'bob')
    const ok = await back.ask({ type: 'join', room: 'chat/lobby', since: { epoch, seq: held } })
    t.match(ok, { type: 'ok', recovered: false })
    t.not(ok.epoch, epoch)
    const { state } = await back.next('snapshot')
    t.strictSame(
      state.context.messages.map(({ text }: { text: string }) => text),
      ['the first', 'the second'],
    )
    t.match(await back.next('message'), { from: 'ann', data: 1 }, 'inboxes too')
    const [aside = ''] = readdirSync(server.data).filter((name) => name.includes('replaced'))
    t.ok(existsSync(join(server.data, aside)))
  },
)

t.test('TOOL-4 damage is named by its topic, and is neither copied nor restored', async (t) => {
  const server = await serverWithChat(t)
  const copy = join(newFolder(t), 'copy')
  t.match(await log(server.data, 'backup', copy), { code: 0 })
  await server.end('SIGKILL')
  for (const data of [server.data, copy]) flip(join(data, 'log.mdb'), 'the second')

  const verdict = await log(server.data, 'verify')
  t.match(verdict, { code: 1, said: [/^chat\/lobby: .*CRC32$/], complained: [/ is damaged in 1 place$/] })
  t.match(await log(server.data, 'ls'), { said: ['$inbox/bob  1 to 1', 'chat/lobby  1 to 3', '2 topics'] })
  const partial = await log(server.data, 'cat', 'chat/lobby')
  t.match(partial.complained, [/^chartroom: .*CRC32$/])
  t.match(await log(server.data, 'backup', `${copy}-2`), refusal(/^chartroom: .* is not sound: chat\/lobby: .*CRC32$/))
  t.notOk(existsSync(`${copy}-2`))
  const before = readdirSync(server.data)
  t.match(
    await log(server.data, 'restore', copy),
    refusal(/^chartroom: the backup is not sound: chat\/lobby: .*CRC32$/),
  )
  t.strictSame(readdirSync(server.data), before, 'the folder is as it was')
  writeFileSync(join(copy, 'log.mdb'), 'no log at all')
  t.match(await log(server.data, 'restore', copy), refusal(/^chartroom: the backup is not sound: the whole log: ./))
})

t.test('TOOL-5 whoever has read enough ends it without a complaint', async (t) => {
  const server = await startServer(t)
  const service = await Service.of(server)
  for (let i = 0; i < 30; i++) {
    await service.post('/v1/rooms/chat/long/events', { event: { type: 'message.post', text: 'long '.repeat(2000) } })
  }
  const args = ['bin/chartroom.js', 'log', 'cat', 'chat/long', '--data', server.data]
  const child = spawn(process.execPath, args, { cwd: ROOT })
  let complained = ''
  child.stderr.on('data', (chunk) => {
    complained += chunk
  })
  child.stdout.once('data', () => child.stdout.destroy())
  const [code] = await once(child, 'exit')
  t.strictSame([code, complained], [0, ''])
})

t.test('TOOL-6 a backup has the keyframes, and one that is damaged is named', async (t) => {
  const [data, copy] = [newFolder(t), join(newFolder(t), 'copy')]
  const made = openLmdbLog(data)
  for (let seq = 1; seq <= 4; seq++) {
    const lines = [encodeLine({ seq, event: { type: 'count' }, from: null, time: seq, ops: [] })]
    const snapshot = encodeLine({ seq, state: `state ${seq}` })
    await made.commit([{ topic: 'light/a', after: seq - 1, lines, snapshot, keep: true, trim: seq > 2 ? 2 : 0 }])
  }
  await made.close()
  t.match(await log(data, 'verify'), { code: 0 })
  t.match(await log(data, 'ls'), { said: ['light/a  3 to 4', '1 topic'] })
  t.match(await log(data, 'backup', copy), { code: 0 })
  const copied = openLmdbLogToRead(copy)
  t.strictSame(await copied.keyframes('light/a'), [2, 3, 4])
  t.strictSame(await copied.getSnapshot('light/a', 2), { seq: 2, state: 'state 2' })
  await copied.close()
  flip(join(data, 'log.mdb'), 'state 3')
  t.match(await log(data, 'verify'), {
    code: 1,
    said: [/^light\/a: .*CRC32$/],
    complained: [/ is damaged in 1 place$/],
  })
})
