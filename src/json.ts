/**
 * JSON as text: what is looked at in one that came from outside, and how a value is written.
 *
 * Always true: nothing here knows a frame; a text that cannot break a rule costs a few searches, and one that might is
 * looked at once.
 */

/** A path as JSON Pointer (RFC 6901). */
export function pointer(path: readonly PropertyKey[]): string {
  return path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** As `JSON.stringify`, at half its cost where the value is a number or a plain word. */
export function written(value: unknown): string | undefined {
  if (Number.isFinite(value)) return `${value}`
  return typeof value === 'string' && PLAIN.test(value) ? `"${value}"` : JSON.stringify(value)
}

/** ASCII in which nothing is escaped (RFC 8259 7). */
const PLAIN = /^[ !#-[\]-~]*$/

/** Whether brackets outside strings nest deeper than `limit`. */
export function nestsDeeper(text: string, limit: number): boolean {
  if (!opensMore(text, limit)) return false
  let depth = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (quoted) {
      if (unit === BACKSLASH) at++
      else if (unit === QUOTE) quoted = false
    } else if (unit === QUOTE) quoted = true
    else if (unit === OPEN_BRACE || unit === OPEN_BRACKET) {
      if (++depth > limit) return true
    } else if (unit === CLOSE_BRACE || unit === CLOSE_BRACKET) depth--
  }
  return false
}

/** Whether more than `limit` brackets open in the text, those in strings among them. */
function opensMore(text: string, limit: number): boolean {
  let left = limit
  for (const bracket of '{[') {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) if (left-- === 0) return true
  }
  return false
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d

/** The first key of `value`, as JSON Pointer, that could reach a prototype (rule E4); `text` is what it was read from. */
export function prototypeKey(text: string, value: unknown): string | undefined {
  return PROTOTYPE_KEYS.test(text) ? prototypePath(value, '') : undefined
}

/** A text without any of these cannot hold such a key; one with them is looked at closely. */
const PROTOTYPE_KEYS = /__proto__|constructor|prototype|\\u/

function prototypePath(value: unknown, path: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  for (const [key, inner] of Object.entries(value)) {
    const at = path + pointer([key])
    if (key === '__proto__' || key === 'constructor' || key === 'prototype') return at
    const found = prototypePath(inner, at)
    if (found !== undefined) return found
  }
  return undefined
}
