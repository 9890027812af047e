/**
 * A value bound to its place: four bytes of CRC32 over the place come first. Records carry a checksum of their own
 * content; this one tells when an engine without checksums hands out a whole and sound value that belongs elsewhere.
 */
import { crc32 } from 'node:zlib'
import { DamagedLog } from './log.ts'

/** The checksum of a place: a topic's name, and the key within it. */
export const place = (name: string, key: Uint8Array = EMPTY): number => crc32(key, crc32(name))

const EMPTY = new Uint8Array()

export function seal(place: number, body: Buffer): Buffer {
  const sealed = Buffer.allocUnsafe(4 + body.length)
  sealed.writeUInt32BE(place)
  body.copy(sealed, 4)
  return sealed
}

/** What was sealed, not copied. @throws {DamagedLog} */
export function unseal(place: number, sealed: Buffer): Buffer {
  if (sealed.length < 4 || sealed.readUInt32BE() !== place) throw new DamagedLog('a value is not the one of its place')
  return sealed.subarray(4)
}
