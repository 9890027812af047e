/**
 * The chart in the middle: drawn once for a machine, then only lit. It is dragged, zoomed and fitted; where the whole of
 * it would be too small to read, the view follows the active states until somebody drags it.
 */
import type { Point } from '../layout.ts'
import type { Chart } from '../shapes.ts'
import type { Overview } from '../told.ts'
import { type Camera, centred, fitting, READABLE, reading, type Size, sees, zoomed } from './camera.ts'
import { focusOf } from './focus.ts'
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.ts'
import { count, flash, type Lights, light } from './lights.ts'
import { Minimap } from './minimap.ts'
import { type Drawing, drawingOf } from './placing.ts'

export interface ChartViewProps {
  readonly chart: Chart
  readonly lights: Lights
  /** Changes with every step, so that an edge that is taken twice is seen twice. */
  readonly moment: number
  readonly overview?: Overview
  readonly failed?: boolean
}

/** What the keys of the page may ask of the view. */
export const view = { fit: () => {}, zoom: (_by: number) => {} }

const STEP = 1.25

export function ChartView({ chart, lights, moment, overview, failed }: ChartViewProps) {
  const svg = useRef<SVGSVGElement>(null)
  const group = useRef<SVGGElement>(null)
  const drawing = useDrawing(chart, overview !== undefined)
  const [camera, look] = useCamera(svg, drawing, lights)
  useLayoutEffect(() => {
    if (group.current) group.current.innerHTML = drawing?.svg ?? ''
  }, [drawing])
  useLayoutEffect(() => {
    if (!group.current || !drawing) return
    light(group.current, drawing.placed, lights)
    count(group.current, overview)
  })
  useEffect(() => {
    if (group.current && lights.runs) flash(group.current)
  }, [moment])
  const transform = `translate(${camera.x} ${camera.y}) scale(${camera.scale})`
  return html`<div class="stage ${failed ? 'failed' : ''}">
    <svg ref=${svg} class="canvas" tabindex="0" role="img" aria-label=${labelOf(chart, lights)}>
      <g ref=${group} transform=${transform}></g>
    </svg>
    ${drawing ? html`<${Minimap} placed=${drawing.placed} camera=${camera} view=${sizeOf(svg.current)} active=${lights.active} go=${look.goTo} />` : html`<p class="hint">Placing ${chart.machine}…</p>`}
    <div class="tools" role="toolbar" aria-label="View">
      <button onClick=${() => look.zoom(1 / STEP)} title="Zoom out (−)" aria-label="Zoom out">−</button>
      <button class="scale" onClick=${look.fit} title="The whole chart, or a readable part of it (f)">${Math.round(camera.scale * 100)} %</button>
      <button onClick=${() => look.zoom(STEP)} title="Zoom in (+)" aria-label="Zoom in">+</button>
    </div>
  </div>`
}

function labelOf({ machine, kind }: Chart, { active }: Lights): string {
  return `State chart of the ${kind} ${machine}${active.length > 0 ? `; active: ${active.join(', ')}` : ''}`
}

function useDrawing(chart: Chart, counted: boolean): Drawing | undefined {
  const [drawing, setDrawing] = useState<Drawing | undefined>(undefined)
  useEffect(() => {
    let isWanted = true
    void drawingOf(chart, counted).then((drawing) => isWanted && setDrawing(drawing))
    return () => {
      isWanted = false
    }
  }, [chart])
  return drawing?.placed.chart.machine === chart.machine ? drawing : undefined
}

interface Look {
  fit(): void
  zoom(by: number): void
  /** Brings a point of the chart to the middle. */
  goTo(point: Point): void
}

function useCamera(
  svg: { readonly current: SVGSVGElement | null },
  drawing: Drawing | undefined,
  { active, taken }: Lights,
): [Camera, Look] {
  const [camera, setCamera] = useState<Camera>({ x: 0, y: 0, scale: 1 })
  const follows = useRef(true)
  const whole = (): Camera => (drawing ? fitting(drawing.placed, sizeOf(svg.current)) : camera)
  const part = (): Camera => {
    const place = drawing && focusOf(drawing.placed, active, taken, sizeOf(svg.current))
    return place ? reading(place, drawing.placed, sizeOf(svg.current)) : whole()
  }
  const best = (): Camera => (whole().scale < READABLE ? part() : whole())
  const fit = (): void => {
    follows.current = !follows.current || !isSame(camera, best())
    setCamera(follows.current ? best() : whole())
  }
  const move = (next: (camera: Camera) => Camera): void => {
    follows.current = false
    setCamera(next)
  }
  const zoom = (by: number): void => {
    const { width, height } = sizeOf(svg.current)
    move((camera) => zoomed(camera, by, { x: width / 2, y: height / 2 }))
  }
  useEffect(() => {
    follows.current = true
    setCamera(best())
  }, [drawing])
  useEffect(() => {
    const place = drawing && focusOf(drawing.placed, active, taken, sizeOf(svg.current))
    if (follows.current && place && !sees(camera, place, sizeOf(svg.current))) setCamera(best())
  }, [active.join(' '), taken.join(' ')])
  useGestures(svg, move)
  useResize(svg, () => follows.current && setCamera(best()))
  Object.assign(view, { fit, zoom })
  const goTo = (point: Point): void => {
    move(({ scale }) => centred({ ...point, width: 0, height: 0 }, sizeOf(svg.current), scale))
  }
  return [camera, { fit, zoom, goTo }]
}

const isSame = (one: Camera, other: Camera): boolean =>
  Math.abs(one.scale - other.scale) + Math.abs(one.x - other.x) + Math.abs(one.y - other.y) < 1

function sizeOf(element: Element | null): Size {
  return { width: element?.clientWidth || 1, height: element?.clientHeight || 1 }
}

/** Dragged with a pointer, zoomed with the wheel. */
function useGestures(
  svg: { readonly current: SVGSVGElement | null },
  move: (next: (c: Camera) => Camera) => void,
): void {
  useEffect(() => {
    const element = svg.current
    if (!element) return
    const wheel = (event: WheelEvent): void => {
      event.preventDefault()
      const { left, top } = element.getBoundingClientRect()
      move((camera) => zoomed(camera, 2 ** (-event.deltaY / 400), { x: event.clientX - left, y: event.clientY - top }))
    }
    const drag = (event: PointerEvent): void => {
      if (event.buttons !== 1) return
      move(({ x, y, scale }) => ({ x: x + event.movementX, y: y + event.movementY, scale }))
    }
    element.addEventListener('wheel', wheel, { passive: false })
    element.addEventListener('pointermove', drag)
    return () => {
      element.removeEventListener('wheel', wheel)
      element.removeEventListener('pointermove', drag)
    }
  }, [])
}

function useResize(svg: { readonly current: SVGSVGElement | null }, resized: () => void): void {
  const latest = useRef(resized)
  latest.current = resized
  useEffect(() => {
    if (!svg.current) return
    const observer = new ResizeObserver(() => latest.current())
    observer.observe(svg.current)
    return () => observer.disconnect()
  }, [])
}
