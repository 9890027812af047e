/**
 * A placed chart as the text of an SVG. What may change while one looks at it are classes only, on elements that carry
 * the id of their state or edge as `data-id`: `active` on states, and on their words, which have it as `data-of`;
 * `possible`, `taken`, `pending` on edges.
 *
 * Always true: every text from the machine is escaped; no style attribute, for the page's policy forbids it.
 */
import { chartStyle } from './chart-style.ts'
import { type Box, type Elk, type Label, layout, type Placed, type Point, type Rectangle, type Way } from './layout.ts'
import type { Chart, Edge } from './shapes.ts'
import { widthOf } from './text.ts'
import { capOf, piecesOf, tipOf } from './ways.ts'
import { fullLabelOf, LINE_HEIGHT, LINE_SIZE, type Line, RING_ROOM, roomOf } from './wording.ts'

/** The chart as a file of its own, light or dark as its reader prefers. */
export async function drawStandalone(chart: Chart, elk: Elk): Promise<string> {
  const placed = await layout(chart, elk)
  const { width, height } = { width: Math.ceil(placed.width), height: Math.ceil(placed.height) }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(chart.machine)}</title>`,
    `<style>${chartStyle}</style>`,
    draw(placed),
    '</svg>\n',
  ].join('\n')
}

/** The chart as one group, for an SVG that somebody else opens. */
export function draw({ boxes, ways, initials }: Placed): string {
  const dots = initials.map(({ x, y }) => `<circle class="initial" cx="${n(x)}" cy="${n(y)}" r="4"/>`)
  const layers = [...boxes.map(drawBox), ...dots, ...ways.map(drawWay), ...boxes.map(drawWords)]
  return `<g class="chart">\n${layers.join('\n')}\n</g>`
}

function drawBox(box: Box): string {
  return box.node.type === 'history' ? drawHistory(box) : drawState(box)
}

function drawHistory({ node, x, y, width, height }: Box): string {
  const middle = { x: x + width / 2, y: y + height / 2 }
  const mark = node.history === 'deep' ? 'H*' : 'H'
  return [
    `<g class="history" data-id="${escaped(node.id)}"><title>${escaped(node.id)}</title>`,
    `<circle cx="${n(middle.x)}" cy="${n(middle.y)}" r="${width / 2}"/>`,
    `<text class="title" x="${n(middle.x)}" y="${n(middle.y + 4.5)}" text-anchor="middle">${mark}</text></g>`,
  ].join('')
}

function drawState(box: Box): string {
  const { node, parent } = box
  const kinds = [isLeaf(box) && 'leaf', parent?.type === 'parallel' && 'region', node.type === 'final' && 'final']
  return [
    `<g class="${['state', ...kinds].filter(Boolean).join(' ')}" data-id="${escaped(node.id)}">`,
    `<title>${escaped([node.id, node.description].filter(Boolean).join('\n'))}</title>`,
    rect(box, 'frame'),
    node.type === 'final' ? rect(shrunk(box, 3), 'inner') : '',
    '</g>',
  ].join('')
}

const isLeaf = ({ node }: Box): boolean => node.states.length === 0

/** Titles and lines lie above the ways, which may cross them on the way into a state. */
function drawWords(box: Box): string {
  const { node, wording, x, width } = box
  if (node.type === 'history') return ''
  const top = box.y + (node.type === 'final' ? 23 : isLeaf(box) ? 20 : 22)
  const centred = isLeaf(box) && wording.lines.length === 0
  const title = centred
    ? `<text class="title" x="${n(x + width / 2)}" y="${n(top)}" text-anchor="middle">${escaped(wording.title)}</text>`
    : `<text class="title" x="${n(x + 12)}" y="${n(top)}">${escaped(wording.title)}</text>`
  const lines = wording.lines.map((line, index) =>
    drawLine(line, { x: x + 12, y: top + (index + 1) * LINE_HEIGHT }, x + 4 + roomOf(wording).width),
  )
  return `<g class="words${isLeaf(box) ? '' : ' open'}" data-of="${escaped(node.id)}">${title}${lines.join('')}${drawCount(box)}</g>`
}

/** How many rooms are in the state: empty until an overview fills it. Ways come from above and below, so it hangs on the right edge. */
function drawCount(box: Box): string {
  const { node, x, y, width, height } = box
  const [right, middle] = [x + width, isLeaf(box) ? y + height / 2 : y + 18]
  return `<g class="count" data-count="${escaped(node.id)}"><rect x="${n(right - 5)}" y="${n(middle - 9)}" rx="9" width="18" height="18"/><text x="${n(right)}" y="${n(middle + 4)}"></text></g>`
}

function drawLine({ word, rest, edge }: Line, { x, y }: Point, right: number): string {
  const words = `<tspan class="word">${escaped(word)}</tspan>${escaped(rest)}`
  if (!edge) return `<text class="line plain" x="${n(x)}" y="${n(y)}">${words}</text>`
  const ring = edge.kind === 'after' ? drawRing({ x: x + 5, y: y - 4 }) : ''
  const left = ring ? x + RING_ROOM : x
  return `<g class="line" data-id="${escaped(edge.id)}">${ring}<text class="line" x="${n(left)}" y="${n(y)}">${words}</text>${drawRate(edge, { x: right, y }, 'end')}</g>`
}

function drawWay({ edge, points, inside, label }: Way): string {
  const paths = [...piecesOf(points, label && written(label)), ...(inside ? [capOf(points)] : [])].map(
    (d) => `<path d="${d}"/>`,
  )
  const attributes = edge ? `class="way ${edge.kind}" data-id="${escaped(edge.id)}"` : 'class="way start"'
  const title = edge ? `<title>${escaped(fullLabelOf(edge))}</title>` : ''
  return `<g ${attributes}>${title}${paths.join('')}<path class="tip" d="${tipOf(points)}"/>${edge && label ? drawLabel(edge, label) : ''}</g>`
}

/** The room of a label without the line that waits for a rate: the way goes on there until one is known. */
function written(label: Label): Rectangle {
  const empty = label.lines.filter((line) => line === '').length
  return { ...label, height: label.height - empty * LINE_HEIGHT }
}

function drawLabel(edge: Edge, label: Label): string {
  const room = edge.kind === 'after' ? RING_ROOM : 0
  const middle = label.x + room / 2 + label.width / 2
  const [first = ''] = label.lines
  const ring = room ? drawRing({ x: middle - widthOf(first, LINE_SIZE, true) / 2 - 9, y: label.y + 7.5 }) : ''
  const yOf = (index: number): number => label.y + index * LINE_HEIGHT + 11.5
  const lines = label.lines.map((line, index) => {
    if (line === '') return drawRate(edge, { x: middle, y: yOf(index) }, 'middle')
    return `<text x="${n(middle)}" y="${n(yOf(index))}" text-anchor="middle">${emphasised(edge, line, index)}</text>`
  })
  return `${ring}${lines.join('')}`
}

/** How often the edge is taken: empty until an overview fills it. */
function drawRate({ id }: Edge, { x, y }: Point, anchor: 'middle' | 'end'): string {
  return `<text class="rate" data-rate="${escaped(id)}" x="${n(x)}" y="${n(y)}" text-anchor="${anchor}"></text>`
}

/** What happens is said in ink, guards and actions more softly. */
function emphasised(edge: Edge, line: string, index: number): string {
  if (index > 0 || !line.startsWith(edge.label))
    return index > 0 ? escaped(line) : `<tspan class="word">${escaped(line)}</tspan>`
  return `<tspan class="word">${escaped(edge.label)}</tspan>${escaped(line.slice(edge.label.length))}`
}

function drawRing({ x, y }: Point): string {
  return `<g class="ring"><circle class="track" cx="${n(x)}" cy="${n(y)}" r="4.5"/><circle class="left" cx="${n(x)}" cy="${n(y)}" r="4.5" pathLength="1" transform="rotate(-90 ${n(x)} ${n(y)})"/></g>`
}

function rect({ x, y, width, height }: Rectangle, name: string): string {
  return `<rect class="${name}" x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" rx="${name === 'inner' ? 4 : 6}"/>`
}

const shrunk = ({ x, y, width, height }: Rectangle, by: number): Rectangle => {
  return { x: x + by, y: y + by, width: width - 2 * by, height: height - 2 * by }
}

/** A number as SVG has it, to a tenth of a pixel. */
const n = (value: number): string => `${Math.round(value * 10) / 10}`

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character] as string)
