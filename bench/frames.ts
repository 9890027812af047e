/**
 * WebSocket frames (RFC 6455 5.2) as a load generator needs them: built once, sent often, read without a copy.
 *
 * Always true: what a client sends is masked; a frame that came in pieces is read when it is whole. Refused: fragmented
 * messages, which no server here sends.
 */
export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

const MASK = Buffer.from('a1b2c3d4', 'hex')

/** One masked frame, whole. */
export function clientFrame(payload: string | Buffer, opcode = TEXT): Buffer {
  const bytes = Buffer.from(payload)
  const head = Buffer.from([0x80 | opcode, ...lengthField(bytes.length)])
  return Buffer.concat([head, MASK, bytes.map((byte, at) => byte ^ (MASK[at % 4] as number))])
}

function lengthField(length: number): number[] {
  if (length < 126) return [0x80 | length]
  if (length < 65_536) return [0x80 | 126, length >> 8, length & 0xff]
  throw new Error(`no load of ours sends a frame of ${length} bytes`)
}

/** A server's frame: the payload is `bytes` from `start` to `end`, and is gone when the call returns. */
export type OnFrame = (opcode: number, bytes: Buffer, start: number, end: number) => void

/** Finds the frames in a stream. */
export class FrameReader {
  readonly #onFrame: OnFrame
  /** The head of a frame whose rest is still to come. */
  #rest: Buffer | undefined

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame
  }

  /** @param chunk is read before the call returns; its memory may be used again. */
  read(chunk: Buffer): void {
    const bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk
    const read = this.#frames(bytes)
    this.#rest = read < bytes.length ? Buffer.from(bytes.subarray(read)) : undefined
  }

  /** @returns how many bytes were whole frames. */
  #frames(bytes: Buffer): number {
    let at = 0
    while (at + 2 <= bytes.length) {
      const short = bytes[at + 1] as number
      const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10)
      if (start > bytes.length) break
      const end = start + (short < 126 ? short : lengthAt(bytes, at, short))
      if (end > bytes.length) break
      if ((bytes[at] as number) < 0x80) throw new Error('the server sent a fragmented message')
      this.#onFrame((bytes[at] as number) & 0x0f, bytes, start, end)
      at = end
    }
    return at
  }
}

function lengthAt(bytes: Buffer, at: number, short: number): number {
  if (short > 127) throw new Error('the server sent a masked frame')
  return short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
}

/** The whole number that stands in decimal digits from `at` on. */
export function digitsAt(bytes: Buffer, at: number): number {
  let value = 0
  for (let digit = (bytes[at] as number) - 48; digit >= 0 && digit <= 9; digit = (bytes[++at] as number) - 48)
    value = value * 10 + digit
  return value
}

/** The whole number whose last digit stands before `end`. */
export function digitsBefore(bytes: Buffer, end: number): number {
  let start = end
  while (start > 0 && (bytes[start - 1] as number) >= 48 && (bytes[start - 1] as number) <= 57) start--
  return digitsAt(bytes, start)
}
