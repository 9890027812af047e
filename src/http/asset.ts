/**
 * A file that is made for browsers and kept in memory, and the answer to who asks for it. Modules are bundled, from the
 * TypeScript of a checkout as from the JavaScript of the package: the only importer of esbuild.
 */
import { createHash } from 'node:crypto'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { HttpAnswer, RequestHead } from '../transport/transport.ts'

export interface Asset {
  readonly type: string
  readonly body: Uint8Array
  /** Another one where the body is another (RFC 9110 8.8.3). */
  readonly etag: string
}

export function asset(type: string, body: Uint8Array): Asset {
  const digest = createHash('sha256').update(body).digest('base64url')
  return { type: type.startsWith('text/') ? `${type}; charset=utf-8` : type, body, etag: `"${digest.slice(0, 16)}"` }
}

/** A module and all that it imports, as one. @param module its URL without the ending, which is that of this file */
export async function bundled(module: URL): Promise<Asset> {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(module) + extname(import.meta.url)],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    write: false,
  })
  return asset('text/javascript', outputFiles[0]?.contents ?? new Uint8Array())
}

/** Makes it when it is first asked for, and once; a failure is forgotten, so that whoever asks next has another chance. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make().catch((error) => {
      made = undefined
      throw error
    })
    return made
  }
}

/** The file, or that the browser has it: it asks each time, since a deploy may have changed it. */
export function answerWith(file: Asset, request: RequestHead, more: Readonly<Record<string, string>> = {}): HttpAnswer {
  const headers = {
    'Content-Type': file.type,
    ETag: file.etag,
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-cache',
    ...more,
  }
  return isKnown(file, request.header('if-none-match'))
    ? { status: 304, headers }
    : { status: 200, headers, body: file.body }
}

/** Weakly compared (RFC 9110 13.1.2): a proxy that compresses what it passes on marks the tag as weak. */
const isKnown = ({ etag }: Asset, tags: string): boolean =>
  tags.split(',').some((tag) => [etag, '*'].includes(tag.trim().replace(/^W\//, '')))
