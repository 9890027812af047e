/** The part of a chart that matters: where its active states are, with as much around them as can be read. */
import type { Box, Placed, Rectangle } from '../layout.ts'
import { isReadable, type Size } from './camera.ts'

export function focusOf({ boxes }: Placed, active: readonly string[], view: Size): Rectangle | undefined {
  const lit = boxes.filter(({ node }) => active.includes(node.id))
  const leaves = lit.filter(({ node }) => node.states.length === 0)
  const surrounding = lit.find((box) => isReadable(box, view) && leaves.every((leaf) => contains(box, leaf)))
  return surrounding ?? boundsOf(leaves)
}

function contains(outer: Rectangle, inner: Rectangle): boolean {
  const right = inner.x + inner.width <= outer.x + outer.width
  const bottom = inner.y + inner.height <= outer.y + outer.height
  return inner.x >= outer.x && inner.y >= outer.y && right && bottom
}

function boundsOf(boxes: readonly Box[]): Rectangle | undefined {
  if (boxes.length === 0) return undefined
  const [x, y] = [Math.min(...boxes.map(({ x }) => x)), Math.min(...boxes.map(({ y }) => y))]
  const right = Math.max(...boxes.map(({ x, width }) => x + width))
  const bottom = Math.max(...boxes.map(({ y, height }) => y + height))
  return { x, y, width: right - x, height: bottom - y }
}
