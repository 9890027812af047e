/** The part of a chart that matters: where its active states are and what led there, with as much around as can be read. */
import type { Placed, Rectangle, Way } from '../layout.ts'
import { isReadable, type Size } from './camera.ts'

/** @param taken ids of the edges that led to what is active; left out where they reach too far to be read */
export function focusOf(
  { boxes, ways }: Placed,
  active: readonly string[],
  taken: readonly string[],
  view: Size,
): Rectangle | undefined {
  const lit = boxes.filter(({ node }) => active.includes(node.id))
  const leaves = lit.filter(({ node }) => node.states.length === 0)
  const surrounding = lit.find((box) => isReadable(box, view) && leaves.every((leaf) => contains(box, leaf)))
  if (surrounding) return surrounding
  const led = ways.filter(({ edge }) => edge && taken.includes(edge.id))
  const whole = boundsOf([...leaves, ...led.flatMap(areasOf)])
  return whole && isReadable(whole, view) ? whole : boundsOf(leaves)
}

const areasOf = ({ points, label }: Way): Rectangle[] => [
  ...points.map(({ x, y }) => ({ x, y, width: 0, height: 0 })),
  ...(label ? [label] : []),
]

function contains(outer: Rectangle, inner: Rectangle): boolean {
  const right = inner.x + inner.width <= outer.x + outer.width
  const bottom = inner.y + inner.height <= outer.y + outer.height
  return inner.x >= outer.x && inner.y >= outer.y && right && bottom
}

function boundsOf(boxes: readonly Rectangle[]): Rectangle | undefined {
  if (boxes.length === 0) return undefined
  const [x, y] = [Math.min(...boxes.map(({ x }) => x)), Math.min(...boxes.map(({ y }) => y))]
  const right = Math.max(...boxes.map(({ x, width }) => x + width))
  const bottom = Math.max(...boxes.map(({ y, height }) => y + height))
  return { x, y, width: right - x, height: bottom - y }
}
