/**
 * Static pages of the operator's own, from a folder, each read when it is asked for.
 *
 * Always true: nothing outside the folder is served, whatever the path or a link says, and nothing whose name begins with a
 * dot.
 */
import { statSync } from 'node:fs'
import { readFile, realpath } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import type { HttpAnswer } from '../transport/transport.ts'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.txt': 'text/plain; charset=utf-8',
}

/** @throws where it is no folder: each of its pages would be missing. */
export function requireFolder(folder: string): void {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new Error(`public: there is no folder ${JSON.stringify(folder)}; name the one that your pages are in`)
}

/** The page at `path` of a URL, or `undefined`; a folder's is its `index.html`. */
export async function pageOf(folder: string, path: string): Promise<HttpAnswer | undefined> {
  const name = fileNamed(path)
  if (name === undefined) return undefined
  try {
    const [root, file] = await Promise.all([realpath(folder), realpath(join(folder, name))])
    if (!file.startsWith(root + sep)) return undefined
    const type = TYPES[extname(file).toLowerCase()] ?? 'application/octet-stream'
    const headers = { 'Content-Type': type, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-cache' }
    return { status: 200, headers, body: await readFile(file) }
  } catch {
    // No such file, or a folder: nothing is there.
    return undefined
  }
}

function fileNamed(path: string): string | undefined {
  try {
    const name = decodeURIComponent(path.endsWith('/') ? `${path}index.html` : path)
    return /[\\\0]|\/\./.test(name) ? undefined : name
  } catch {
    return undefined
  }
}
