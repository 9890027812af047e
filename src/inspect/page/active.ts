/** Which states a value of XState names: the page's own reckoning for moments that never were. */
import type { Chart, ChartNode } from '../shapes.ts'

/** Ids, from the outside to the inside. */
export function activeOf(chart: Chart, value: unknown): string[] {
  return [chart.root.id, ...inside(chart.root, value)]
}

function inside(node: ChartNode, value: unknown): string[] {
  const named = typeof value === 'string' ? { [value]: undefined } : ((value ?? {}) as Record<string, unknown>)
  return node.states.flatMap((child) =>
    Object.hasOwn(named, child.key) ? [child.id, ...inside(child, named[child.key])] : [],
  )
}
