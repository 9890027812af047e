/**
 * A healthy log, and ways in which a disk, or whoever has to do with one, spoils it.
 *
 * Where the damage lies is chosen by the kind of page, which LMDB's page headers tell: 8 bytes page number, 8 bytes
 * transaction, 2 bytes of padding, 2 bytes of flags.
 */
import type { Dice } from '../fixtures/dice.ts'

const PAGE = 4096
const FLAGS_AT = 18

export const WAYS = ['truncated', 'zeroed', 'random bytes', 'flipped bits'] as const
export type Way = (typeof WAYS)[number]

/** The low bits of a page's flags. */
const KINDS = { meta: 8, branch: 1, leaf: 2, overflow: 4 }
export type PageKind = keyof typeof KINDS
export const PAGE_KINDS = Object.keys(KINDS) as PageKind[]

export interface Mutation {
  readonly way: Way
  /** What was hit; a truncation has no choice. */
  readonly page: PageKind | 'end'
  readonly bytes: Buffer
}

/** The `number`th mutation: every way on every kind of page in turn, the rest by chance. */
export function mutate(healthy: Buffer, number: number, dice: Dice): Mutation {
  const way = WAYS[number % WAYS.length] as Way
  if (way === 'truncated') return { way, page: 'end', bytes: truncate(healthy, dice) }
  const page = PAGE_KINDS[Math.floor(number / WAYS.length) % PAGE_KINDS.length] as PageKind
  const bytes = Buffer.from(healthy)
  const at = dice.pick(pagesOf(healthy, page)) * PAGE
  SPOIL[way](bytes.subarray(at, at + PAGE), dice)
  return { way, page, bytes }
}

/** To some length, half of the time in the middle of a page; sometimes by a little only, sometimes to nothing. */
function truncate(healthy: Buffer, dice: Dice): Buffer {
  const pages = healthy.length / PAGE
  const kept = dice.pick([dice.below(pages), pages - 1 - dice.below(8), dice.below(3)])
  return healthy.subarray(0, kept * PAGE + (dice.chance(0.5) ? dice.below(PAGE) : 0))
}

const SPOIL: Record<Exclude<Way, 'truncated'>, (page: Buffer, dice: Dice) => void> = {
  zeroed: (page) => void page.fill(0),
  'random bytes': (page, dice) => {
    const length = dice.pick([16, 512, PAGE])
    const from = dice.below(PAGE - length + 1)
    for (let at = from; at < from + length; at++) page.writeUInt8(dice.below(256), at)
  },
  'flipped bits': (page, dice) => {
    for (let bits = dice.pick([1, 1, 8]); bits > 0; bits--) {
      const at = dice.below(PAGE)
      page.writeUInt8(page.readUInt8(at) ^ (1 << dice.below(8)), at)
    }
  },
}

/** The numbers of the pages of a kind, also of those that are free. */
export function pagesOf(file: Buffer, kind: PageKind): number[] {
  const pages: number[] = []
  for (let page = 0; (page + 1) * PAGE <= file.length; page++) {
    const at = page * PAGE
    const isHead = kind === 'meta' ? page < 2 : file.readBigUInt64LE(at) === BigInt(page)
    if (isHead && (file.readUInt16LE(at + FLAGS_AT) & 15) === KINDS[kind]) pages.push(page)
  }
  return pages
}
