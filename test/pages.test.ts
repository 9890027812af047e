/** Pages of the operator's own, beside what the server has itself. */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { startServer } from '../src/testing/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'chartroom-pages-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const pages = join(folder, 'public')
mkdirSync(join(pages, 'sub'), { recursive: true })
mkdirSync(join(folder, 'public-not'))
for (const [name, content] of Object.entries({
  'public/index.html': '<title>Mine</title>',
  'public/a b.js': 'export {}',
  'public/sub/index.html': 'sub',
  'public/health': 'mine',
  'public/.env': 'SECRET',
  'public-not/secret.txt': 'SECRET',
}))
  writeFileSync(join(folder, name), content)
symlinkSync(join(folder, 'public-not'), join(pages, 'link'))

const server = await startServer({ public: pages })
t.teardown(() => server.stop())

/** The path goes out as it stands: `fetch` would tidy it. */
async function get(path: string, method = 'GET'): Promise<{ status: number; type: string; body: string }> {
  const [answer] = (await once(request({ port: server.port, path, method }).end(), 'response')) as [IncomingMessage]
  return { status: answer.statusCode ?? 0, type: answer.headers['content-type'] ?? '', body: await text(answer) }
}

t.test('a page is served by its path, a folder by its index.html, each as it is now', async (t) => {
  t.same(await get('/'), { status: 200, type: 'text/html; charset=utf-8', body: '<title>Mine</title>' })
  t.same(await get('/a%20b.js'), { status: 200, type: 'text/javascript; charset=utf-8', body: 'export {}' })
  t.match(await get('/sub/'), { status: 200, body: 'sub' })
  writeFileSync(join(pages, 'sub/index.html'), 'changed')
  t.match(await get('/sub/'), { status: 200, body: 'changed' })
  t.match(await get('/', 'POST'), { status: 405 })
})

t.test('what the server has itself comes first, and the playground stands aside', async (t) => {
  t.match(await get('/health'), { status: 200, body: /alive/ })
  t.match(await get('/playground'), { status: 200, body: /<title>Chartroom<\/title>/ })
  t.match(await get('/playground.js'), { status: 200 })
})

t.test('the client is a module for pages, kept by browsers as long as it is the same', async (t) => {
  const url = `http://127.0.0.1:${server.port}/client.js`
  const answer = await fetch(url)
  t.match(Object.fromEntries(answer.headers), {
    'content-type': 'text/javascript; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-cache',
  })
  const { createClient } = await import(`data:text/javascript,${encodeURIComponent(await answer.text())}`)
  t.throws(() => createClient({ url: 'nonsense', token: '' }), /not the URL of a WebSocket/)
  const tag = answer.headers.get('etag') ?? ''
  t.equal((await fetch(url, { headers: { 'if-none-match': tag } })).status, 304)
  for (const tags of [`W/${tag}`, `"another", ${tag}`, `"another" ,W/${tag}`, '*'])
    t.equal((await fetch(url, { headers: { 'if-none-match': tags } })).status, 304, tags)
  t.equal((await fetch(url, { headers: { 'if-none-match': '"another"' } })).status, 200)
  t.match(await get('/client.js', 'POST'), { status: 405 })
  writeFileSync(join(pages, 'client.js'), 'mine')
  t.match(await get('/client.js'), { status: 200, body: 'mine' }, 'a page may have a file of that name')
})

t.test('nothing outside the folder is served, and nothing hidden in it', async (t) => {
  const paths = ['/../public-not/secret.txt', '/%2e%2e/public-not/secret.txt', '/..%2fpublic-not%2fsecret.txt']
  const others = ['/link/secret.txt', '/.env', '/sub/..%5c.env', '/%00', '/%', '/sub', '/nothing', '//etc/passwd']
  for (const path of [...paths, ...others]) t.match(await get(path), { status: 404, body: 'nothing is here' }, path)
})
