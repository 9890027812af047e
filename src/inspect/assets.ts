/**
 * The files of the inspector's page, made in memory when they are first asked for: TypeScript bundled for browsers, the
 * stylesheet with the chart's own, and ELK as it comes, for a Worker. The only importer of esbuild.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chartStyle } from './chart-style.ts'

export interface Asset {
  readonly type: string
  readonly body: Buffer
  /** Another one where the body is another (RFC 9110 8.8.3). */
  readonly etag: string
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
    ['', asset('text/html', page)],
    ['icon.svg', asset('image/svg+xml', icon)],
    ['page.js', asset('text/javascript', script)],
    ['page.css', asset('text/css', Buffer.from(`${style}\n${chartStyle}`))],
    ['elk-worker.js', asset('text/javascript', elk)],
  ])
}

function asset(type: string, body: Buffer): Asset {
  const digest = createHash('sha256').update(body).digest('base64url')
  return { type: type.startsWith('text/') ? `${type}; charset=utf-8` : type, body, etag: `"${digest.slice(0, 16)}"` }
}

async function bundle(): Promise<Buffer> {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [here(`page${extname(import.meta.url)}`)],
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
