/** Connections by the thousand: so many at a time, each by its own user. */
import { type DialectName, dialects } from './dialects.ts'
import { signerOf, type TokenKey } from './tokens.ts'
import type { Wire } from './wire.ts'

export interface Opening {
  readonly dialect: DialectName
  readonly port: number
  readonly count: number
  /** The users are called this, and a number. */
  readonly user: string
  readonly key?: TokenKey
  /** Handshakes under way at a time. */
  readonly atOnce?: number
}

/** Resolves when all are ready to talk. @param fail hears of every failure, then and later */
export async function opened(opening: Opening, fail: (error: Error) => void): Promise<Wire[]> {
  const { dialect, port, count, user, key, atOnce = 32 } = opening
  const sign = key ? signerOf(key) : () => ''
  const tokens = new Map(Array.from({ length: count }, (_, n) => [`${user}${n}`, sign(`${user}${n}`)]))
  const wires: Wire[] = new Array(count)
  let next = 0
  const openNext = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++)
      wires[n] = await dialects[dialect].open(port, `${user}${n}`, fail, (name) => tokens.get(name) as string)
  }
  await Promise.all(Array.from({ length: atOnce }, openNext))
  return wires
}
