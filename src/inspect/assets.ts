/**
 * The files of the inspector's page, made in memory when they are first asked for: TypeScript bundled for browsers, the
 * stylesheet with the chart's own, and ELK as it comes, for a Worker.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { type Asset, asset, bundled, once } from '../http/asset.ts'
import { chartStyle } from './chart-style.ts'

/** By file name; the page itself has none. */
export const assets = once(async (): Promise<ReadonlyMap<string, Asset>> => {
  const worker = createRequire(import.meta.url).resolve('elkjs/lib/elk-worker.min.js')
  const [page, icon, script, style, elk] = await Promise.all([
    readFile(here('index.html')),
    readFile(here('icon.svg')),
    bundled(here('page')),
    readFile(here('page.css'), 'utf8'),
    readFile(worker),
  ])
  return new Map([
    ['', asset('text/html', page)],
    ['icon.svg', asset('image/svg+xml', icon)],
    ['page.js', script],
    ['page.css', asset('text/css', Buffer.from(`${style}\n${chartStyle}`))],
    ['elk-worker.js', asset('text/javascript', elk)],
  ])
})

const here = (file: string): URL => new URL(`./page/${file}`, import.meta.url)
