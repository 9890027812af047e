/**
 * The `id` of a frame that is refused unread: enough to answer it (rule R1), at a fraction of what reading it costs.
 *
 * Always true: one pass over the bytes that ends at the `id`, and nothing is parsed but that.
 */
import { type CorrelationId, correlationOf } from '../protocol.ts'

const SPACE = 0x20
const QUOTE = 0x22
const COLON = 0x3a
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** A colon, then a string (RFC 8259 7) or an integer, and the end of the field. */
const ID_VALUE = /^\s*:\s*("(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*))\s*[,}]/u
/** 128 characters, each of them escaped, and space around. */
const MAX_ID_BYTES = 1024

/** @returns nothing where the frame has no `id` that its sender would know again. */
export function idOf(bytes: ArrayBuffer): CorrelationId | undefined {
  const text = Buffer.from(bytes)
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const unit = text[at]
    if (unit === QUOTE) {
      const opening = at
      at = closingQuote(text, opening)
      if (depth === 1 && isId(text, opening, at)) return idAt(text, at + 1)
    } else if (unit === OPEN_BRACE || unit === OPEN_BRACKET) depth++
    else if (unit === CLOSE_BRACE || unit === CLOSE_BRACKET) depth--
  }
  return undefined
}

function closingQuote(text: Buffer, opening: number): number {
  let at = opening + 1
  while (at < text.length && text[at] !== QUOTE) at += text[at] === BACKSLASH ? 2 : 1
  return at
}

/** Whether these quotes hold the key "id": a value has no colon behind it. */
function isId(text: Buffer, opening: number, closing: number): boolean {
  if (closing - opening !== 3 || text.toString('latin1', opening + 1, closing) !== 'id') return false
  let at = closing + 1
  while ((text[at] ?? COLON) <= SPACE) at++
  return text[at] === COLON
}

function idAt(text: Buffer, start: number): CorrelationId | undefined {
  const [, id] = ID_VALUE.exec(text.toString('utf8', start, start + MAX_ID_BYTES)) ?? []
  return id === undefined ? undefined : correlationOf(JSON.parse(id))
}
