/**
 * JSON Patch (RFC 6902): what changed between two states, and a state with a patch applied.
 * The only importer of fast-json-patch.
 *
 * Always true: applying `diff(before, after)` to `before` gives `after`, as JSON; subtrees that are the same object
 * in both are never walked; `applyPatch` shares with the old document all that the patch does not touch.
 */
import jsonpatch, { type Operation } from 'fast-json-patch'

export type { Operation }

/**
 * The operations that turn `before` into `after`. Both are JSON values that share unchanged subtrees by identity:
 * the less is shared, the more is walked.
 * What changed in `after` is frozen on the way.
 * @throws {PatchError} for a change under a key that no patch may name (`__proto__`, `constructor`, `prototype`), and for
 * what is no JSON (`sealJson`).
 */
export function diff(before: unknown, after: unknown): Operation[] {
  const ops: Operation[] = []
  diffValue(before, after, '', ops)
  return ops
}

/**
 * Makes sure that `value` is JSON through and through, and freezes it, so that nobody changes it behind its patches.
 * @throws {PatchError} for a function, a symbol, a BigInt, NaN or an infinity, an object that is no plain one (a Date, a
 * Map), for a key that no patch may name, and for what is nested deeper than 128 levels.
 */
export function sealJson<T>(value: T, depth = 0): T {
  if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint') {
    throw new PatchError(`a ${typeof value} is no JSON`)
  }
  if (typeof value === 'number' && !Number.isFinite(value)) throw new PatchError(`${value} is no JSON`)
  if (!isContainer(value)) return value
  if (depth > MAX_DEPTH) throw new PatchError(`nested deeper than ${MAX_DEPTH} levels`)
  sealContainer(value)
  for (const key of Object.keys(value)) sealJson(value[checkKey(key)], depth + 1)
  return value
}

/** A container that has been looked at may not be changed in place any more. */
function sealContainer(container: JsonObject): void {
  const prototype = Object.getPrototypeOf(container)
  if (!Array.isArray(container) && prototype !== Object.prototype && prototype !== null) {
    throw new PatchError(`a ${prototype.constructor?.name ?? 'strange object'} is no JSON`)
  }
  Object.freeze(container)
}

/** State may be nested this deep. */
const MAX_DEPTH = 128

function diffValue(before: unknown, after: unknown, path: string, ops: Operation[]): void {
  if (before === after) return
  if (Array.isArray(before) && Array.isArray(after)) diffArray(before, after, path, ops)
  else if (isObject(before) && isObject(after)) diffObject(before, after, path, ops)
  else ops.push({ op: 'replace', path, value: isContainer(after) ? sealJson(after, depthOf(path)) : sealJson(after) })
}

const depthOf = (path: string): number => path.split('/').length - 1

function diffObject(before: JsonObject, after: JsonObject, path: string, ops: Operation[]): void {
  sealContainer(after)
  let kept = 0
  for (const key of Object.keys(before)) {
    const was = before[key]
    const is = after[key]
    if (was === undefined) continue
    if (was === is) kept++
    else if (is === undefined || !Object.hasOwn(after, key)) ops.push({ op: 'remove', path: memberPath(path, key) })
    else {
      kept++
      diffValue(was, is, memberPath(path, key), ops)
    }
  }
  const keys = Object.keys(after)
  if (kept < keys.length) addMembers(before, after, keys, path, ops)
}

function addMembers(before: JsonObject, after: JsonObject, keys: string[], path: string, ops: Operation[]): void {
  for (const key of keys) {
    if (after[key] === undefined || (Object.hasOwn(before, key) && before[key] !== undefined)) continue
    ops.push({ op: 'add', path: memberPath(path, key), value: sealJson(after[key], depthOf(path) + 1) })
  }
}

const memberPath = (path: string, key: string): string => `${path}/${jsonpatch.escapePathComponent(checkKey(key))}`

/** An array of which too little is left is replaced as a whole. */
function diffArray(before: unknown[], after: unknown[], path: string, ops: Operation[]): void {
  const start = ops.length
  diffElements(thawed(before), thawed(after), path, ops)
  const changes = ops.length - start
  if (changes > Math.max(1, after.length) && sizeOf(after, changes * VALUES) < changes * VALUES) {
    ops.length = start
    ops.push({ op: 'replace', path, value: sealJson(after, depthOf(path)) })
  } else Object.freeze(after)
}

/** Values that take as much room as an operation that changes one. */
const VALUES = 3

/** The elements where V8 reads them fast: one by one a frozen array is read slowly, yet copied at once. */
const thawed = (array: unknown[]): unknown[] => (Object.isFrozen(array) ? [...array] : array)

/** A window that slid (its head gone, a tail gained) costs only what left and what came. */
function diffElements(before: unknown[], after: unknown[], path: string, ops: Operation[]): void {
  const gone = slidBy(before, after)
  for (let i = 0; i < gone; i++) ops.push({ op: 'remove', path: `${path}/0` })
  if (gone > 0) addElements(after, before.length - gone, after.length, path, ops)
  else diffBetween(before, after, path, ops)
}

function addElements(after: unknown[], from: number, to: number, path: string, ops: Operation[]): void {
  for (let i = from; i < to; i++)
    ops.push({ op: 'add', path: `${path}/${i}`, value: sealJson(after[i] ?? null, depthOf(path) + 1) })
}

/** What lies between the first and the last elements that are the same. */
function diffBetween(before: unknown[], after: unknown[], path: string, ops: Operation[]): void {
  const shorter = Math.min(before.length, after.length)
  const head = sameHead(before, after, shorter)
  const tail = sameTail(before, after, shorter - head)
  const [oldEnd, newEnd] = [before.length - tail, after.length - tail]
  const shared = shorter - tail
  for (let i = head; i < shared; i++) diffValue(before[i] ?? null, after[i] ?? null, `${path}/${i}`, ops)
  for (let i = oldEnd - 1; i >= shared; i--) ops.push({ op: 'remove', path: `${path}/${i}` })
  addElements(after, shared, newEnd, path, ops)
}

/** How many elements, `most` at most, are the same in both, from the first on. */
function sameHead(before: unknown[], after: unknown[], most: number): number {
  let same = 0
  while (same < most && before[same] === after[same]) same++
  return same
}

/** As many, from the last back. */
function sameTail(before: unknown[], after: unknown[], most: number): number {
  const [oldLast, newLast] = [before.length - 1, after.length - 1]
  let same = 0
  while (same < most && before[oldLast - same] === after[newLast - same]) same++
  return same
}

/** How many elements left at the head so that all the rest of `before`, by identity, begins `after`; 0 for none. */
function slidBy(before: unknown[], after: unknown[]): number {
  if (before.length === 0 || after.length === 0 || before[0] === after[0]) return 0
  const gone = before.indexOf(after[0])
  if (gone === -1 || before.length - gone > after.length) return 0
  for (let i = gone; i < before.length; i++) if (before[i] !== after[i - gone]) return 0
  return gone
}

/** An operation that does not fit the document it was meant for: a path that leads nowhere, a `test` that fails. */
export class PatchError extends Error {
  override readonly name = 'PatchError'
}

/**
 * `document` with `ops` applied in order, all or none; the old document is left as it was.
 * @throws {PatchError} for a path that leads nowhere, an index that is no array position, a failing `test`, an operation
 * that RFC 6902 does not know, or copies of more than 10,000 values.
 */
export function applyPatch<T>(document: T, ops: readonly Operation[]): T {
  let copied = 0
  return ops.reduce((current, op) => {
    if (isContainer(op) && op.op === 'copy') copied += sizeOf(valueAt(current, op.from), MAX_COPIED - copied)
    if (copied > MAX_COPIED) throw new PatchError(`a patch copies at most ${MAX_COPIED} values`)
    return applyOne(current, op)
  }, document)
}

/** Values that the `copy` operations of one patch may make, lest a few of them, each doubling the document, fill memory. */
const MAX_COPIED = 10_000

/** How many values there are in `value`, itself among them; more than `most` are not counted. */
function sizeOf(value: unknown, most: number): number {
  let size = 1
  if (isContainer(value)) for (const inner of Object.values(value)) if (size <= most) size += sizeOf(inner, most - size)
  return size
}

/** What stands at a path (RFC 6901), `undefined` where nothing does. */
export const valueAt = (document: unknown, path: string): unknown =>
  typeof path === 'string'
    ? steps(path).reduce((value, step) => (isContainer(value) ? value[step] : undefined), document)
    : undefined

function applyOne<T>(document: T, op: Operation): T {
  checkOperation(document, op)
  const paths = op.op === 'move' || op.op === 'copy' ? [op.from, op.path] : [op.path]
  const draft = paths.reduce(copySpine, document as unknown)
  try {
    return jsonpatch.applyOperation(draft, op, true, true, true).newDocument as T
  } catch (error) {
    throw new PatchError(`${op.op} ${op.path}: ${(error as Error).message.split('\n')[0]}`)
  }
}

/** Copies each container on the way to `path`, so that changing its end in place leaves the old document whole. */
function copySpine(document: unknown, path: string): unknown {
  const root = copyContainer(document)
  let container = root
  for (const step of steps(path).slice(0, -1)) {
    if (!isContainer(container)) break
    container[step] = copyContainer(container[step])
    container = container[step]
  }
  return root
}

/** The library takes nearly anything; what RFC 6902 4 asks for is looked at here, before it is called. */
function checkOperation(document: unknown, op: Operation): void {
  if (!isObject(op) || !Object.hasOwn(PARTS, op.op))
    throw new PatchError(`no operation of RFC 6902: ${JSON.stringify(op)}`)
  for (const part of PARTS[op.op] ?? []) {
    if (!Object.hasOwn(op, part) || op[part as keyof Operation] === undefined)
      throw new PatchError(`${op.op} needs "${part}"`)
  }
  if (op.op === 'move' && op.path.startsWith(`${op.from}/`)) throw new PatchError('nothing is moved into itself')
  if (op.op === 'move' || op.op === 'copy') checkTarget(document, op.from)
  const target = op.op === 'move' ? applyOne(document, { op: 'remove', path: op.from }) : document
  if (op.op === 'add' || op.op === 'move' || op.op === 'copy') checkPlace(target, op.path)
  else checkTarget(target, op.path)
}

/** What each operation has beside `op`. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  add: ['path', 'value'],
  remove: ['path'],
  replace: ['path', 'value'],
  move: ['from', 'path'],
  copy: ['from', 'path'],
  test: ['path', 'value'],
}

/** The path must lead to something that is there. */
function checkTarget(document: unknown, path: string): void {
  let value = document
  for (const step of checkedSteps(path)) {
    if (!isContainer(value) || !isMember(value, step)) throw new PatchError(`${path}: nothing is there`)
    value = value[step]
  }
}

/** The path must lead to where something can be put: into an object, or at most one past the end of an array. */
function checkPlace(document: unknown, path: string): void {
  const last = checkedSteps(path).at(-1)
  if (last === undefined) return
  const parentPath = path.slice(0, path.lastIndexOf('/'))
  checkTarget(document, parentPath)
  const parent = steps(parentPath).reduce((value, step) => (value as JsonObject)[step], document)
  if (!isContainer(parent)) throw new PatchError(`${path}: its parent has no members`)
  if (Array.isArray(parent) && last !== '-' && !(INDEX.test(last) && Number(last) <= parent.length)) {
    throw new PatchError(`${path}: ${JSON.stringify(last)} is no position in an array of ${parent.length}`)
  }
}

/** RFC 6901 4: a decimal index without leading zeros. */
const INDEX = /^(0|[1-9]\d{0,8})$/

const isMember = (container: JsonObject, step: string): boolean =>
  Array.isArray(container) ? INDEX.test(step) && Number(step) < container.length : Object.hasOwn(container, step)

/** RFC 6901 3, and no step that could reach a prototype (rule E4). */
function checkedSteps(path: unknown): string[] {
  if (typeof path !== 'string' || !/^(\/([^~]|~[01])*)?$/.test(path)) {
    throw new PatchError(`a path is a JSON Pointer, got ${JSON.stringify(path)}`)
  }
  return steps(path).map(checkKey)
}

function checkKey(key: string): string {
  if (key === '__proto__' || key === 'constructor' || key === 'prototype') throw new PatchError(`${key} is no key`)
  return key
}

type JsonObject = Record<string, unknown>

const steps = (path: string): string[] => path.split('/').slice(1).map(jsonpatch.unescapePathComponent)
const isContainer = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null
const isObject = (value: unknown): value is JsonObject => isContainer(value) && !Array.isArray(value)
const copyContainer = (value: unknown): unknown =>
  Array.isArray(value) ? value.slice() : isContainer(value) ? { ...value } : value
