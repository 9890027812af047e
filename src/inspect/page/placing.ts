/** Charts placed and drawn, by ELK in a Worker of its own, each once. */
import ELK from 'elkjs/lib/elk-api.js'
import { draw } from '../drawing.ts'
import { type Elk, layout, type Placed } from '../layout.ts'
import type { Chart } from '../shapes.ts'

export interface Drawing {
  readonly placed: Placed
  /** The markup of one group. */
  readonly svg: string
}

/** Its declarations do not say that the module is the constructor. */
const WorkerElk = ELK as unknown as new (options: { workerUrl: string }) => Elk

let elk: Elk | undefined
const plain = new WeakMap<Chart, Promise<Drawing>>()
const withCounts = new WeakMap<Chart, Promise<Drawing>>()

export function drawingOf(chart: Chart, counted: boolean): Promise<Drawing> {
  const drawings = counted ? withCounts : plain
  const known = drawings.get(chart) ?? make(chart, counted)
  drawings.set(chart, known)
  return known
}

async function make(chart: Chart, counted: boolean): Promise<Drawing> {
  elk ??= new WorkerElk({ workerUrl: new URL('inspect/elk-worker.js', document.baseURI).href })
  const placed = await layout(chart, elk, counted)
  return { placed, svg: draw(placed) }
}
