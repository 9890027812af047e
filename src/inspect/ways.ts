/** The lines of a way: with rounded corners, an arrow's tip at the end, and a gap where its label is written. */
import type { Point, Rectangle } from './layout.ts'

const CORNER = 5
const TIP = 7

/** Path data of the pieces of a way that its label does not cover. */
export function piecesOf(points: readonly Point[], label?: Rectangle): string[] {
  const line = shortened(points)
  const pieces = label ? cut(line, label) : [line]
  return pieces.filter((piece) => piece.length > 1).map(roundedPath)
}

/** Path data of the arrow's tip. */
export function tipOf(points: readonly Point[]): string {
  const [before, end] = points.slice(-2)
  if (!before || !end) return ''
  const { x, y } = directionOf(before, end)
  const foot = { x: end.x - x * TIP, y: end.y - y * TIP }
  const side = { x: -y * TIP * 0.5, y: x * TIP * 0.5 }
  return `M${at(end)}L${at({ x: foot.x + side.x, y: foot.y + side.y })}L${at({ x: foot.x - side.x, y: foot.y - side.y })}Z`
}

/** Path data of a stroke across the beginning of a way that comes from nowhere in particular inside its state. */
export function capOf([start]: readonly Point[]): string {
  return start ? `M${at({ x: start.x - CORNER, y: start.y })}L${at({ x: start.x + CORNER, y: start.y })}` : ''
}

/** The line ends inside the tip, so that its end is not seen beside the point. */
function shortened(points: readonly Point[]): Point[] {
  const [before, end] = points.slice(-2)
  if (!before || !end) return [...points]
  const { x, y } = directionOf(before, end)
  const back = Math.min(TIP - 1, Math.hypot(end.x - before.x, end.y - before.y))
  return [...points.slice(0, -1), { x: end.x - x * back, y: end.y - y * back }]
}

function directionOf(from: Point, to: Point): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1
  return { x: (to.x - from.x) / length, y: (to.y - from.y) / length }
}

/** The pieces of a line that lie outside a rectangle. */
function cut(points: readonly Point[], hole: Rectangle): Point[][] {
  const pieces: Point[][] = [points.slice(0, 1)]
  for (const [index, to] of points.slice(1).entries()) {
    const from = points[index] as Point
    const gap = within(from, to, hole) ?? { enter: 1, leave: 1 }
    if (gap.enter > 0) pieces.at(-1)?.push(between(from, to, gap.enter))
    if (gap.enter === 1) continue
    pieces.push(gap.leave < 1 ? [between(from, to, gap.leave), to] : [])
  }
  return pieces
}

/** The part of a segment inside a rectangle, as fractions of its length (Liang and Barsky). */
function within(
  from: Point,
  to: Point,
  { x, y, width, height }: Rectangle,
): { enter: number; leave: number } | undefined {
  let [enter, leave] = [0, 1]
  const [dx, dy] = [to.x - from.x, to.y - from.y]
  for (const [step, room] of [
    [-dx, from.x - x],
    [dx, x + width - from.x],
    [-dy, from.y - y],
    [dy, y + height - from.y],
  ] as const) {
    if (step === 0 && room < 0) return undefined
    if (step < 0) enter = Math.max(enter, room / step)
    if (step > 0) leave = Math.min(leave, room / step)
  }
  return enter < leave ? { enter, leave } : undefined
}

function between(from: Point, to: Point, part: number): Point {
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part }
}

function roundedPath(points: readonly Point[]): string {
  const [first, ...rest] = points as [Point, ...Point[]]
  return `M${at(first)}${rest.map((point, index) => turnAt(points[index] as Point, point, rest[index + 1])).join('')}`
}

function turnAt(before: Point, corner: Point, after: Point | undefined): string {
  if (!after) return `L${at(corner)}`
  const [reach, leave] = [towards(corner, before), towards(corner, after)]
  return `L${at(reach)}Q${at(corner)} ${at(leave)}`
}

function towards(from: Point, to: Point): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1
  return between(from, to, Math.min(CORNER, length / 2) / length)
}

const at = ({ x, y }: Point): string => `${Math.round(x * 10) / 10} ${Math.round(y * 10) / 10}`
