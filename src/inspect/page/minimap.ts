/** The whole chart in a corner while only a part of it is in view; a click there goes there. */
import type { Placed, Point } from '../layout.ts'
import type { Camera, Size } from './camera.ts'
import { type ComponentChild, html } from './html.ts'

export interface MinimapProps {
  readonly placed: Placed
  readonly camera: Camera
  readonly view: Size
  readonly active: readonly string[]
  /** A point of the chart. */
  readonly go: (to: Point) => void
}

/** Pixels that it takes at most, either way. */
const ROOM = 132

export function Minimap({ placed, camera, view, active, go }: MinimapProps): ComponentChild {
  const { width, height, boxes } = placed
  if (width * camera.scale <= view.width + 1 && height * camera.scale <= view.height + 1) return ''
  const scale = Math.min(ROOM / width, ROOM / height)
  const point = (event: PointerEvent): void => {
    if (event.buttons !== 1) return
    const { left, top } = (event.currentTarget as Element).getBoundingClientRect()
    go({ x: (event.clientX - left) / scale, y: (event.clientY - top) / scale })
  }
  const lit = new Set(active)
  return html`<svg class="map" aria-hidden="true" width=${width * scale} height=${height * scale} viewBox="0 0 ${width} ${height}"
    onPointerDown=${point} onPointerMove=${point}>
    ${boxes.map(({ node, x, y, width, height }) => html`<rect key=${node.id} class=${lit.has(node.id) ? (node.states.length === 0 ? 'lit leaf' : 'lit') : ''} x=${x} y=${y} width=${width} height=${height} />`)}
    <rect class="seen" x=${-camera.x / camera.scale} y=${-camera.y / camera.scale} width=${view.width / camera.scale} height=${view.height / camera.scale} />
  </svg>`
}
