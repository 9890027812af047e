/**
 * The files of the inspector's page, made in memory when they are first asked for: TypeScript bundled for browsers, the
 * stylesheet with the chart's own, and ELK as it comes, for a Worker. The only importer of esbuild.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chartStyle } from './chart-style.ts'

export interface Asset {
  readonly type: string
  readonly body: Buffer
}

let made: Promise<ReadonlyMap<string, Asset>> | undefined

/** By file name; the page itself has none. */
export function assets(): Promise<ReadonlyMap<string, Asset>> {
  made ??= makeAssets()
  return made
}

async function makeAssets(): Promise<ReadonlyMap<string, Asset>> {
  const worker = createRequire(import.meta.url).resolve('elkjs/lib/elk-worker.min.js')
  const [page, icon, script, style, elk] = await Promise.all([
    readFile(here('index.html')),
    readFile(here('icon.svg')),
    bundle(),
    readFile(here('page.css'), 'utf8'),
    readFile(worker),
  ])
  return new Map([
    ['', { type: 'text/html; charset=utf-8', body: page }],
    ['icon.svg', { type: 'image/svg+xml', body: icon }],
    ['page.js', { type: 'text/javascript; charset=utf-8', body: script }],
    ['page.css', { type: 'text/css; charset=utf-8', body: Buffer.from(`${style}\n${chartStyle}`) }],
    ['elk-worker.js', { type: 'text/javascript; charset=utf-8', body: elk }],
  ])
}

async function bundle(): Promise<Buffer> {
  const { outputFiles } = await build({
    entryPoints: [here('page.ts')],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    write: false,
  })
  return Buffer.from(outputFiles[0]?.contents ?? '')
}

const here = (file: string): string => fileURLToPath(new URL(`./page/${file}`, import.meta.url))
