/** docs/testing.md, run: each test on it passes in an app as `chartroom init` makes it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { initApp } from '../src/init.ts'
import { blocks } from './fixtures/as-written.ts'
import { ROOT } from './fixtures/server.ts'

const folder = mkdtempSync(join(tmpdir(), 'chartroom-app-'))
t.teardown(() => rmSync(folder, { recursive: true }))

/** The app, with this checkout as its chartroom. */
function makeApp(): void {
  initApp(folder)
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const paths = { 'chartroom/testing': [join(ROOT, 'src/testing/index.ts')] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { paths } }))
}

t.test('every test of the page passes, and so does the one that the app begins with', async (t) => {
  makeApp()
  const tests = blocks(readFileSync(join(ROOT, 'docs/testing.md'), 'utf8'), 'ts')
  assert(tests.length >= 3, 'the page has its tests')
  const names = tests.map((text) => {
    const [, name] = /^\/\/ (test\/[\w-]+\.test\.ts)\n/.exec(text) ?? []
    assert(name, `a block says whose file it is: ${text.slice(0, 60)}`)
    writeFileSync(join(folder, name), text)
    return name
  })
  const args = ['--import', 'tsx', '--test', 'test/light.test.ts', ...names]
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const told = execFileSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8' })
  t.match(told, new RegExp(`^# pass ${tests.length + 1}\n# fail 0$`, 'm'))
})
