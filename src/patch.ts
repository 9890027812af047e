/**
 * JSON Patch (RFC 6902): what changed between two states, and a state with a patch applied.
 * The only importer of fast-json-patch.
 *
 * Always true: applying `diff(before, after)` to `before` gives `after`, as JSON; subtrees that are the same object
 * in both are never walked; `applyPatch` shares with the old document all that the patch does not touch.
 */
import jsonpatch from 'fast-json-patch'

export type Operation = jsonpatch.Operation

/**
 * The operations that turn `before` into `after`. Both are JSON values that share unchanged subtrees by identity:
 * the less is shared, the more is walked.
 */
export function diff(before: unknown, after: unknown): Operation[] {
  const ops: Operation[] = []
  diffValue(before, after, '', ops)
  return ops
}

function diffValue(before: unknown, after: unknown, path: string, ops: Operation[]): void {
  if (before === after) return
  if (Array.isArray(before) && Array.isArray(after)) diffArray(before, after, path, ops)
  else if (isObject(before) && isObject(after)) diffObject(before, after, path, ops)
  else ops.push({ op: 'replace', path, value: after })
}

function diffObject(before: JsonObject, after: JsonObject, path: string, ops: Operation[]): void {
  for (const key of Object.keys(before)) {
    if (before[key] === undefined) continue
    const at = `${path}/${jsonpatch.escapePathComponent(key)}`
    if (!Object.hasOwn(after, key) || after[key] === undefined) ops.push({ op: 'remove', path: at })
    else diffValue(before[key], after[key], at, ops)
  }
  for (const key of Object.keys(after)) {
    if (after[key] === undefined || (Object.hasOwn(before, key) && before[key] !== undefined)) continue
    ops.push({ op: 'add', path: `${path}/${jsonpatch.escapePathComponent(key)}`, value: after[key] })
  }
}

/** A window that slid (its head gone, a tail gained) costs only what left and what came. */
function diffArray(before: unknown[], after: unknown[], path: string, ops: Operation[]): void {
  const gone = slidBy(before, after)
  for (let i = 0; i < gone; i++) ops.push({ op: 'remove', path: `${path}/0` })
  const kept = gone === 0 ? before : before.slice(gone)
  let head = 0
  while (head < kept.length && head < after.length && kept[head] === after[head]) head++
  let tail = 0
  while (tail < kept.length - head && tail < after.length - head && kept.at(-1 - tail) === after.at(-1 - tail)) tail++
  const oldEnd = kept.length - tail
  const newEnd = after.length - tail
  const shared = Math.min(oldEnd, newEnd)
  for (let i = head; i < shared; i++) diffValue(kept[i] ?? null, after[i] ?? null, `${path}/${i}`, ops)
  for (let i = oldEnd - 1; i >= shared; i--) ops.push({ op: 'remove', path: `${path}/${i}` })
  for (let i = shared; i < newEnd; i++) ops.push({ op: 'add', path: `${path}/${i}`, value: after[i] ?? null })
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
 * @throws {PatchError} for a path that leads nowhere, an index that is no array position, a failing `test`, or an
 * operation that RFC 6902 does not know.
 */
export function applyPatch<T>(document: T, ops: readonly Operation[]): T {
  return ops.reduce((current, op) => applyOne(current, op), document)
}

function applyOne<T>(document: T, op: Operation): T {
  const paths = op.op === 'move' || op.op === 'copy' ? [op.from, op.path] : [op.path]
  for (const path of paths) checkPath(document, path)
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

/** RFC 6901 4: an array is entered by a decimal index without leading zeros, or by "-" for the place past its end. */
function checkPath(document: unknown, path: string): void {
  if (typeof path !== 'string' || (path !== '' && !path.startsWith('/'))) {
    throw new PatchError(`a path is a JSON Pointer, got ${JSON.stringify(path)}`)
  }
  let container = document
  for (const step of steps(path)) {
    if (
      Array.isArray(container) &&
      step !== '-' &&
      !(/^(0|[1-9]\d{0,8})$/.test(step) && Number(step) <= container.length)
    ) {
      throw new PatchError(`${path}: ${JSON.stringify(step)} is no position in an array of ${container.length}`)
    }
    container = isContainer(container) && Object.hasOwn(container, step) ? container[step] : undefined
  }
}

type JsonObject = Record<string, unknown>

const steps = (path: string): string[] => path.split('/').slice(1).map(jsonpatch.unescapePathComponent)
const isContainer = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null
const isObject = (value: unknown): value is JsonObject => isContainer(value) && !Array.isArray(value)
const copyContainer = (value: unknown): unknown =>
  Array.isArray(value) ? value.slice() : isContainer(value) ? { ...value } : value
