/** The house rules that a machine can hold: who may import whom. Run by `npm run check`. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * The floors, from the words and shapes at the bottom to the composition root at the top: a folder of src/, or a file that
 * stands beside them. Each imports from those before it only.
 */
const FLOORS = [
  'errors',
  'json',
  'limits',
  'logger',
  'nearest',
  'patch',
  'subprotocol',
  'wheel',
  'config',
  'dedupe',
  'init',
  'intensity',
  'protocol',
  'wire',
  'client',
  'transport',
  'log',
  'auth',
  'activations',
  'turns',
  'machine',
  'room',
  'inbox',
  'connection',
  'metrics',
  'http',
  'check',
  'machine-watch',
  'inspect',
  'server',
  'testing',
  'index',
  'main',
]

/** Each outside library of the product, and the one file that imports it. */
const IMPORTERS: Record<string, string[]> = {
  'uWebSockets.js': ['src/transport/port-uws.ts'],
  lmdb: ['src/log/lmdb-store.ts'],
  jose: ['src/auth/auth.ts'],
  'fast-json-patch': ['src/patch.ts'],
  pino: ['src/logger.ts'],
  'prom-client': ['src/metrics.ts'],
  ws: ['src/testing/tab.ts'],
  'tsx/esm/api': ['src/check/import.ts'],
  esbuild: ['src/http/asset.ts'],
  preact: ['src/inspect/page/html.ts'],
  'preact/hooks': ['src/inspect/page/html.ts'],
  htm: ['src/inspect/page/html.ts'],
  // Its types are the shape of what is laid out; the page starts its worker.
  'elkjs/lib/elk.bundled.js': ['src/inspect/elk.ts'],
  'elkjs/lib/elk-api.js': ['src/inspect/layout.ts', 'src/inspect/page/placing.ts'],
}

const sources = [...list('src'), ...list('machines')].filter((file) => file.endsWith('.ts'))

function list(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? list(`${folder}/${entry.name}`) : [`${folder}/${entry.name}`],
  )
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/^\s*(?:import|export)\b[^'"]*?from '([^']+)'|import\('([^']+)'\)/gm)].map(
    ([, from, dynamic]) => (from ?? dynamic) as string,
  )
}

/** The project's own files that a file imports, by their path from the root. */
function neighbours(file: string): string[] {
  const relative = importsOf(file).filter((from) => from.startsWith('.'))
  return relative.map((from) => normalize(join(dirname(file), from)))
}

/** `src/log/seal.ts` is a part of `log`, `src/wheel.ts` stands by itself. */
const partOf = (file: string): string => (file.split('/')[1] as string).replace(/\.ts$/, '')

test('no import cycle', () => {
  const done = new Set<string>()
  const visit = (file: string, way: string[]): void => {
    assert(!way.includes(file), `a cycle: ${[...way, file].join(' -> ')}`)
    if (done.has(file)) return
    for (const next of neighbours(file)) visit(next, [...way, file])
    done.add(file)
  }
  for (const file of sources) visit(file, [])
})

test('imports go downwards only', () => {
  const floorOf = (file: string): number => FLOORS.indexOf(partOf(file))
  for (const file of sources.filter((file) => file.startsWith('src/'))) {
    assert.notEqual(floorOf(file), -1, `${file} stands on no floor; give it one`)
    for (const next of neighbours(file).filter((next) => next.startsWith('src/') && partOf(next) !== partOf(file)))
      assert(floorOf(next) < floorOf(file), `${file} imports ${next}, which is not below it`)
  }
})

test('the client takes shapes of the server, and nothing else', () => {
  for (const file of sources.filter((file) => file.startsWith('src/client/'))) {
    const text = readFileSync(join(root, file), 'utf8')
    for (const [, type, from] of text.matchAll(/^(?:import|export)( type)?\b[^'"]*?from '([^']+)'/gm)) {
      if (!from?.startsWith('./')) assert(type, `${file} loads ${from}`)
      if (from?.startsWith('../'))
        assert(['../errors.ts', '../patch.ts', '../protocol.ts'].includes(from), `${file} imports ${from}`)
    }
  }
})

test('one importer for each outside library', () => {
  for (const [library, importers] of Object.entries(IMPORTERS)) {
    assert.deepEqual(
      sources.filter((file) => importsOf(file).includes(library)),
      importers,
      library,
    )
  }
})

test('machines import xstate, a schema library and the patch module, nothing of the server', () => {
  for (const file of sources.filter((file) => file.startsWith('machines/'))) {
    for (const from of importsOf(file))
      assert(['xstate', 'zod', 'chartroom/patch'].includes(from), `${file} imports ${from}`)
  }
})

test('no file is longer than a reader can hold', () => {
  for (const file of sources) {
    const lines = readFileSync(join(root, file), 'utf8').split('\n').length
    assert(lines <= 340, `${file} has ${lines} lines; where does its sentence have an "and"?`)
  }
})
