/**
 * What a process wrote and synced (the trace of `shim.c`), and what a disk may hold after a power cut at some place
 * in it.
 *
 * A power cut keeps, of each 4 KiB page of a file, what was synced, and of the writes behind that as many, in their
 * order, as the kernel happened to have written back; pages in no order among each other. The page that was being
 * written is torn: each of its 512 byte sectors stands where it stands.
 *
 * A write is synced when its descriptor is O_DSYNC and it has returned, or when a sync that began after it had
 * returned has returned well.
 */
import { readFileSync } from 'node:fs'
import type { Dice } from '../fixtures/dice.ts'

const PAGE = 4096
const SECTOR = 512
const HEAD = 24
/** `enum kind` of shim.c. */
const KINDS = ['', 'named', 'writing', 'written', 'syncing', 'synced', 'truncated', 'mapped', 'renamed'] as const

/** What nobody has thought through yet. */
const UNKNOWN: readonly string[] = ['truncated', 'mapped', 'renamed']

interface Note {
  readonly kind: (typeof KINDS)[number]
  readonly isSynced: boolean
  readonly file: number
  readonly call: number
  readonly offset: number
  readonly returned: number
  readonly bytes: Buffer
  /** Where in the trace the note ends: a cut at this place has it. */
  readonly end: number
}

/** A write to one page, and the places in the trace from which on it is synced. */
interface Piece {
  readonly at: number
  readonly bytes: Buffer
  readonly began: number
  syncedFrom: number
}

export interface Image {
  /** The file's bytes. */
  readonly bytes: Buffer
  /** Pages of which the newest write was not synced, and those of them that kept an older state. */
  readonly unsynced: number
  readonly lost: number
}

/** The writes to one file, by page. */
export class Trace {
  /** The places at which a cut makes a difference: where each note ends. */
  readonly places: readonly number[]
  readonly syncs: number
  readonly #pages = new Map<number, Piece[]>()

  /** @throws where the file was written to in a way of which this knows nothing. */
  constructor(path: string, name: string) {
    const notes = readNotes(path)
    const file = notes.find(({ kind, bytes }) => kind === 'named' && String(bytes) === name)?.file
    if (file === undefined) throw new Error(`${name} was never opened; is the shim loaded?`)
    const own = notes.filter((note) => note.file === file)
    const unknown = own.find((note) => UNKNOWN.includes(note.kind) || (note.kind === 'written' && note.returned < 0))
    if (unknown) throw new Error(`${name} was ${unknown.kind}, which power cuts are not modelled for`)
    this.places = own.map(({ end }) => end)
    this.syncs = own.filter(({ kind, isSynced }) => kind === 'synced' && isSynced).length
    this.#read(own)
  }

  #read(notes: Note[]): void {
    const returned = new Set<Piece>()
    const underWay = new Map<number, Piece[]>()
    for (const note of notes) {
      if (note.kind === 'writing') underWay.set(note.call, this.#split(note))
      else if (note.kind === 'syncing') underWay.set(note.call, [...returned])
      else this.#returned(note, underWay.get(note.call) ?? [], returned)
    }
  }

  #returned({ kind, isSynced, end }: Note, pieces: readonly Piece[], returned: Set<Piece>): void {
    for (const piece of pieces) {
      if (isSynced) piece.syncedFrom = Math.min(piece.syncedFrom, end)
      if (isSynced) returned.delete(piece)
      else if (kind === 'written') returned.add(piece)
    }
  }

  #split({ offset, bytes, end }: Note): Piece[] {
    const pieces: Piece[] = []
    for (let from = 0; from < bytes.length; ) {
      const page = Math.floor((offset + from) / PAGE)
      const upTo = Math.min(bytes.length, (page + 1) * PAGE - offset)
      const at = offset + from - page * PAGE
      const piece = { at, bytes: bytes.subarray(from, upTo), began: end, syncedFrom: Number.POSITIVE_INFINITY }
      this.#piecesOf(page).push(piece)
      pieces.push(piece)
      from = upTo
    }
    return pieces
  }

  #piecesOf(page: number): Piece[] {
    const known = this.#pages.get(page) ?? []
    this.#pages.set(page, known)
    return known
  }

  /** What the disk may hold; `survival` is the chance of each unsynced write to have been written back. */
  imageAt(cut: number, dice: Dice, survival: number): Image {
    const pages: [page: number, bytes: Buffer][] = []
    const torn = this.#lastUnsynced(cut)
    let [unsynced, lost] = [0, 0]
    for (const [page, all] of this.#pages) {
      const pieces = all.filter(({ began }) => began <= cut)
      const synced = 1 + pieces.findLastIndex(({ syncedFrom }) => syncedFrom <= cut)
      let kept = synced
      while (kept < pieces.length && dice.chance(survival)) kept++
      const bytes = apply(pieces.slice(0, kept))
      if (page === torn) tear(bytes, pieces, synced, dice)
      if (kept > 0 || page === torn) pages.push([page, bytes])
      if (synced < pieces.length) unsynced++
      if (kept < pieces.length) lost++
    }
    const length = Math.max(0, ...pages.map(([page]) => (page + 1) * PAGE))
    const bytes = Buffer.alloc(length)
    for (const [page, content] of pages) content.copy(bytes, page * PAGE)
    return { bytes, unsynced, lost }
  }

  /** The page of the newest write that is not synced at `cut`. */
  #lastUnsynced(cut: number): number | undefined {
    let newest: { page: number; began: number } | undefined
    for (const [page, pieces] of this.#pages) {
      const piece = pieces.findLast(({ began }) => began <= cut)
      if (piece && piece.syncedFrom > cut && piece.began > (newest?.began ?? 0)) newest = { page, began: piece.began }
    }
    return newest?.page
  }
}

function readNotes(path: string): Note[] {
  const trace = readFileSync(path)
  const notes: Note[] = []
  for (let at = 0; at + HEAD <= trace.length; ) {
    const length = trace.readUInt32LE(at + 16)
    const end = at + HEAD + length
    if (end > trace.length) throw new Error(`the trace ends within a note, at ${at}`)
    notes.push({
      kind: KINDS[trace.readUInt8(at)] as Note['kind'],
      isSynced: trace.readUInt8(at + 1) === 1,
      file: trace.readUInt16LE(at + 2),
      call: trace.readUInt32LE(at + 4),
      offset: Number(trace.readBigUInt64LE(at + 8)),
      returned: trace.readInt32LE(at + 20),
      bytes: trace.subarray(at + HEAD, end),
      end,
    })
    at = end
  }
  return notes
}

function apply(pieces: readonly Piece[]): Buffer {
  const page = Buffer.alloc(PAGE)
  for (const { at, bytes } of pieces) bytes.copy(page, at)
  return page
}

function tear(page: Buffer, pieces: readonly Piece[], synced: number, dice: Dice): void {
  for (let at = 0; at < PAGE; at += SECTOR) {
    const kept = synced + dice.below(pieces.length - synced + 1)
    apply(pieces.slice(0, kept)).copy(page, at, at, at + SECTOR)
  }
}
