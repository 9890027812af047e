/** docs/machines.md, run: each machine file on it is loaded as it stands, each conversation is had frame for frame. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadMachineFiles } from '../src/check/load.ts'
import { asWritten, blocks, machineFolder } from './fixtures/as-written.ts'
import { ROOT, startServer, tokenFor } from './fixtures/server.ts'
import { type Frame, Tab } from './fixtures/tab.ts'

const page = readFileSync(join(ROOT, 'docs/machines.md'), 'utf8')

const machines = Object.fromEntries(
  blocks(page, 'ts').map((text) => {
    const [, name] = /^\/\/ machines\/rooms\/([\w-]+)\.ts\n/.exec(text) ?? []
    assert(name, `a block says whose file it is: ${text.slice(0, 60)}`)
    return [name, text]
  }),
)
const names = Object.keys(machines)
const folder = machineFolder(t, machines)

t.test('every machine file of the page can be loaded, and is spoken to on it', async (t) => {
  assert(names.length >= 5, 'the page has its machines')
  t.same([...(await loadMachineFiles(folder)).keys()], [...names].sort())
  for (const name of names) t.match(page, new RegExp(`^> .*"room":"${name}/`, 'm'), name)
})

t.test('each conversation of the page, as it stands there', async (t) => {
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: folder } })
  for (const block of blocks(page, 'wscat')) {
    let current: Tab | undefined
    for (const line of block.split('\n').filter(Boolean)) {
      const rest = line.slice(2)
      if (line.startsWith('# ')) {
        const [user = '', ...scopes] = rest.split(' ')
        const token = await tokenFor(user, { claims: { scope: scopes.join(' ') } })
        current = await Tab.open(server, user, { token })
      } else if (line.startsWith('> ')) current?.socket.send(rest)
      else t.same(...compared(await current?.next(() => true), JSON.parse(rest)), line.slice(0, 60))
    }
  }
})

const compared = (got: Frame | undefined, written: Frame): [unknown, unknown] => [asWritten(got, written), written]
