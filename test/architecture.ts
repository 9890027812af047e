/** The house rules that a machine can hold: who may import whom. Run by `npm run check`. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** From the words and shapes at the bottom to the composition root at the top; imports go downwards only. */
const FLOORS = [
  [
    'errors',
    'patch',
    'transport',
    'wheel',
    'lock',
    'logger',
    'dedupe',
    'limits',
    'members',
    'retention',
    'nearest',
    'check/config',
    'check/names',
    'cork-holder',
    'json',
    'subprotocol',
    'init',
    'inspect/shapes',
    'inspect/text',
    'inspect/chart-style',
    'inspect/page/html',
    'inspect/page/places',
    'inspect/page/keys',
    'inspect/page/theme',
    'inspect/page/phrases',
    'inspect/names',
  ],
  [
    'addresses',
    'forwarded',
    'port-uws',
    'asset',
    'certificate',
    'pages',
    'config',
    'intensity',
    'journal',
    'check/reach',
    'check/source',
    'check/targets',
    'check/keys',
    'inspect/wording',
    'inspect/told',
    'inspect/page/tree',
    'inspect/page/states',
    'inspect/chart',
    'inspect/configuration',
  ],
  [
    'protocol',
    'auth',
    'development',
    'link',
    'metrics',
    'explain',
    'activations',
    'system',
    'inspect/layout',
    'inspect/page/feed-client',
    'inspect/page/written-event',
    'inspect/page/population',
    'inspect/page/endings',
    'inspect/assets',
    'inspect/taken',
    'inspect/definition',
    'inspect/mermaid',
    'inspect/own-charts',
  ],
  [
    'wire',
    'log',
    'handshake',
    'remembered',
    'heartbeat',
    'glance',
    'pending',
    'letters',
    'view',
    'folded',
    'inspect/ways',
    'inspect/elk',
    'inspect/page/camera',
    'inspect/page/edges',
    'inspect/page/listing',
    'inspect/page/state-panel',
    'inspect/page/watching',
    'inspect/frames',
  ],
  [
    'client/clock',
    'client/refusal',
    'client/life',
    'client/listeners',
    'client/patch',
    'client/websocket',
    'client/shape',
  ],
  ['client/token', 'client/line', 'client/replica'],
  ['client/outbox', 'client/inbox', 'client/feed', 'client/lifeline'],
  ['client/stay'],
  ['client/room'],
  ['client/client'],
  [
    'seal',
    'alarm',
    'api',
    'intake',
    'commits',
    'event-cursor',
    'event-pages',
    'round',
    'fold-run',
    'uptime',
    'transport-uws',
    'http',
    'log-memory',
    'inspect/drawing',
    'inspect/page/focus',
    'inspect/page/lights',
    'inspect/page/minimap',
    'inspect/page/timeline',
    'inspect/page/log',
    'inspect/page/actors',
    'inspect/page/events',
    'inspect/page/desk',
    'inspect/gate',
    'inspect/tongue',
    'inspect/seats',
    'inspect/sight',
  ],
  [
    'lmdb-store',
    'subscription',
    'dead-letters',
    'fold',
    'inbox-draft',
    'turns',
    'sessions',
    'revocations',
    'inspect/page/placing',
    'inspect/page/header',
  ],
  ['document', 'lmdb-topics', 'inspect/page/chart-view', 'inspect/watch'],
  ['live', 'recovery', 'machine-file', 'inspect/page/page', 'inspect/redact'],
  ['machine', 'check/findings', 'inspect/moments', 'inspect/traffic', 'check/import'],
  ['check/birth', 'inspect/fork'],
  ['audience', 'blocking', 'supervisor', 'check/occasion', 'check/load'],
  ['aftermath'],
  ['changes'],
  ['occurrences', 'attendance'],
  ['draft'],
  ['dead-letter-office', 'room-requests'],
  ['log-lmdb', 'log-verify', 'room', 'inbox', 'check/replay', 'check/strays'],
  ['log-check'],
  ['inspection', 'inspect/lookout'],
  ['custody', 'log-tools', 'check/deploy', 'inspect/chart-command'],
  ['check/check'],
  ['rooms', 'inboxes', 'inspect/life-sight'],
  ['repertoire', 'inspect/census'],
  ['machine-watch'],
  ['routes', 'conversation', 'inspect/room-sight', 'inspect/overview'],
  ['peer', 'inspect/export'],
  ['connection'],
  ['connections'],
  ['inspect/population'],
  ['inspect/feed'],
  ['inspect/inspector', 'inspect/stately'],
  ['inspect/inspectors', 'inspect/replay-command'],
  ['server'],
  ['testing/clock', 'testing/free-port', 'testing/tab'],
  ['testing/server'],
  ['testing/index'],
  ['index', 'main'],
]

/** Each outside library of the product, and the one file that imports it. */
const IMPORTERS: Record<string, string[]> = {
  'uWebSockets.js': ['src/port-uws.ts'],
  lmdb: ['src/lmdb-store.ts'],
  jose: ['src/auth.ts'],
  'fast-json-patch': ['src/patch.ts'],
  pino: ['src/logger.ts'],
  'prom-client': ['src/metrics.ts'],
  ws: ['src/testing/tab.ts'],
  'tsx/esm/api': ['src/check/import.ts'],
  esbuild: ['src/asset.ts'],
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
  const floorOf = (file: string): number => FLOORS.findIndex((floor) => floor.includes(file.slice(4, -3)))
  for (const file of sources.filter((file) =>
    /^src\/((check|client|testing)\/|inspect\/(page\/)?)?[^/]+\.ts$/.test(file),
  )) {
    assert.notEqual(floorOf(file), -1, `${file} stands on no floor; give it one`)
    for (const next of neighbours(file).filter((next) => next.startsWith('src/'))) {
      assert(floorOf(next) < floorOf(file), `${file} imports ${next}, which is not below it`)
    }
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
