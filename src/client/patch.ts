/**
 * A JSON Patch applied, as far as the server speaks it: `add`, `remove`, `replace` (RFC 6902).
 *
 * Always true: the old document is left as it was and shares with the new one all that the patch does not touch, so
 * `===` says what changed. Refused, with a throw: a path that leads nowhere, a key that could reach a prototype, any
 * other operation. Who is refused here holds another state than the server thinks, and asks for a snapshot.
 */
import type { Operation } from '../patch.ts'

type Container = Record<string, unknown>

export function applyPatch(document: unknown, ops: readonly Operation[]): unknown {
  return ops.reduce((current, op) => {
    const [root, ...steps] = op.path.split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    if (root !== '') throw refusal(op)
    return apply(current, steps, op)
  }, document)
}

function apply(value: unknown, [step, ...rest]: string[], op: Operation): unknown {
  if (step === undefined) return given(op)
  if (typeof value !== 'object' || value === null || step === '__proto__') throw refusal(op)
  if (Array.isArray(value)) return applyToArray(value, step, rest, op)
  const isThere = Object.hasOwn(value, step)
  if (!isThere && (rest.length > 0 || op.op !== 'add')) throw refusal(op)
  if (rest.length > 0 || op.op !== 'remove') return { ...value, [step]: apply((value as Container)[step], rest, op) }
  const { [step]: _, ...left } = value as Container
  return left
}

function applyToArray(array: readonly unknown[], step: string, rest: string[], op: Operation): unknown[] {
  const isInsertion = rest.length === 0 && op.op === 'add'
  const at = step === '-' && isInsertion ? array.length : /^(0|[1-9]\d*)$/.test(step) ? Number(step) : -1
  if (at < 0 || at >= array.length + (isInsertion ? 1 : 0)) throw refusal(op)
  const copy = [...array]
  if (isInsertion) copy.splice(at, 0, given(op))
  else if (rest.length === 0 && op.op === 'remove') copy.splice(at, 1)
  else copy[at] = apply(copy[at], rest, op)
  return copy
}

function given(op: Operation): unknown {
  if (op.op !== 'add' && op.op !== 'replace') throw refusal(op)
  return op.value
}

const refusal = ({ op, path }: Operation): Error => new Error(`the patch does not fit: ${op} ${path}`)
