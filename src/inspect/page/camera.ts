/** Where one looks at a chart from: pure arithmetic of scale and offset. */
import type { Point, Rectangle } from '../layout.ts'

/** A point of the chart is drawn at `point * scale + offset`. */
export interface Camera extends Point {
  readonly scale: number
}

export interface Size {
  readonly width: number
  readonly height: number
}

/** Below this the labels are hard to read. */
export const READABLE = 0.7
const LARGEST = 1.25
const LIMITS = { least: 0.1, most: 4 }
const MARGIN = 12

/** The whole chart in the middle, but not blown up. */
export function fitting(chart: Size, view: Size): Camera {
  const [width, height] = [view.width - 2 * MARGIN, view.height - 2 * MARGIN]
  const scale = Math.min(LARGEST, width / chart.width, height / chart.height)
  return centred({ x: 0, y: 0, ...chart }, view, Math.max(LIMITS.least, scale))
}

/** A place of the chart in the middle of the view. */
export function centred({ x, y, width, height }: Rectangle, view: Size, scale: number): Camera {
  return { scale, x: view.width / 2 - (x + width / 2) * scale, y: view.height / 2 - (y + height / 2) * scale }
}

/** The point of the view that is zoomed at stays where it is. */
export function zoomed(camera: Camera, by: number, at: Point): Camera {
  const scale = Math.max(LIMITS.least, Math.min(LIMITS.most, camera.scale * by))
  const ratio = scale / camera.scale
  return { scale, x: at.x - (at.x - camera.x) * ratio, y: at.y - (at.y - camera.y) * ratio }
}

/** Large enough to read around a place, and without empty room beyond the chart's edges. */
export function reading(place: Rectangle, chart: Size, view: Size): Camera {
  const scale = Math.max(READABLE, Math.min(1, fitting(place, view).scale))
  const { x, y } = centred(place, view, scale)
  return { scale, x: kept(x, chart.width * scale, view.width), y: kept(y, chart.height * scale, view.height) }
}

/** Whether a place is readable as a whole. */
export const isReadable = (place: Size, view: Size): boolean => fitting(place, view).scale >= READABLE

function kept(offset: number, length: number, room: number): number {
  if (length + 2 * MARGIN <= room) return (room - length) / 2
  return Math.min(MARGIN, Math.max(room - length - MARGIN, offset))
}

export function sees(camera: Camera, { x, y, width, height }: Rectangle, view: Size): boolean {
  const [left, top] = [x * camera.scale + camera.x, y * camera.scale + camera.y]
  return (
    left >= 0 && top >= 0 && left + width * camera.scale <= view.width && top + height * camera.scale <= view.height
  )
}
