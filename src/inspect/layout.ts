/**
 * Where everything of a chart stands: its states as boxes, its edges as ways between them, by the layers of ELK.
 * The elk instance is the caller's: a Worker of the page, or the one in the process of the command line.
 *
 * Always true: the same chart is placed the same way; an edge that leads back to an earlier state is given to ELK the
 * other way round, for layers go one way, and its points are turned again afterwards.
 */
import type { ElkExtendedEdge, ElkNode } from 'elkjs/lib/elk-api.js'
import type { Chart, ChartNode, Edge } from './shapes.ts'
import { LINE_HEIGHT, labelOf, roomOf, roomOfLabel, type Wording, wordingOf } from './wording.ts'

/** As much of ELK as is needed here. */
export interface Elk {
  layout(graph: ElkNode): Promise<ElkNode>
}

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Rectangle extends Point {
  readonly width: number
  readonly height: number
}

export interface Box extends Rectangle {
  readonly node: ChartNode
  /** The state around it; the root has none. */
  readonly parent?: ChartNode
  readonly wording: Wording
}

export interface Label extends Rectangle {
  readonly lines: readonly string[]
}

/** The way of an edge to one of its targets; without an edge it is the way to an initial state. */
export interface Way {
  readonly edge?: Edge
  readonly source: string
  readonly target: string
  readonly points: readonly Point[]
  /** It begins inside its source, and not at its edge. */
  readonly inside?: boolean
  readonly label?: Label
}

export interface Placed {
  readonly chart: Chart
  readonly width: number
  readonly height: number
  /** From the outside to the inside, in document order. */
  readonly boxes: readonly Box[]
  readonly ways: readonly Way[]
  /** The middles of the dots where initial ways begin. */
  readonly initials: readonly Point[]
}

/** `counted` leaves room for the rate of each edge. */
export async function layout(chart: Chart, elk: Elk, counted = false): Promise<Placed> {
  const plan = planOf(chart, counted)
  const graph = await elk.layout(graphOf(plan))
  const shapes = new Map(shapesOf(graph).map((shape) => [shape.id, shape]))
  const boxes = plan.states.map((state) => ({ ...state, ...rectangleOf(shapes.get(state.node.id)) }))
  const drawn = new Map((graph.edges ?? []).map((edge) => [edge.id, edge]))
  const placed = new Map(boxes.map((box) => [box.node.id, box]))
  const ways = plan.routes.map((route) => cleared(wayOf(route, drawn.get(route.id)), placed.get(route.source)))
  const dots = plan.states.flatMap(({ node }) => shapes.get(dotOf(node)) ?? []).map(rectangleOf)
  const initials = dots.map(({ x, y }) => ({ x: x + DOT / 2, y: y + DOT / 2 }))
  return { chart, width: graph.width ?? 0, height: graph.height ?? 0, boxes, ways, initials }
}

/** Pixels. */
const DOT = 8
const MARGIN = 16
const SIDE = 12
const HISTORY = 24

type State = Pick<Box, 'node' | 'wording' | 'parent'>

interface Route extends Pick<Way, 'edge' | 'source' | 'target'> {
  readonly id: string
  readonly backwards: boolean
  readonly lines: readonly string[]
}

interface Plan {
  /** In document order. */
  readonly states: readonly State[]
  readonly routes: readonly Route[]
}

function planOf(chart: Chart, counted: boolean): Plan {
  const states: State[] = []
  const walk = (node: ChartNode, parent?: ChartNode): void => {
    const wording = wordingOf(node, parent ? node.key : chart.machine, counted)
    states.push({ node, wording, ...(parent ? { parent } : {}) })
    for (const child of node.states) walk(child, node)
  }
  walk(chart.root)
  const place = new Map(states.map(({ node }, index) => [node.id, index]))
  const placeOf = (id: string): number => place.get(id) ?? -1
  const labelled = (edge: Edge): string[] => labelOf(edge, counted)
  const routes = states.flatMap(({ node }) => [...beginningOf(node), ...routesOf(node, placeOf, labelled)])
  return { states, routes: routes.filter(({ target }) => place.has(target)) }
}

const dotOf = (node: ChartNode): string => `${node.id}#initial`

function beginningOf(node: ChartNode): Route[] {
  if (node.initial === undefined) return []
  const dot = dotOf(node)
  return [{ id: `${dot}-way`, source: dot, target: node.initial, backwards: false, lines: [] }]
}

function routesOf(node: ChartNode, placeOf: (id: string) => number, labelled: (edge: Edge) => string[]): Route[] {
  return node.edges.flatMap((edge) =>
    edge.targets.map((target, index) => {
      const backwards = placeOf(target) < placeOf(node.id) || isLowIn(node, target)
      return {
        id: `${edge.id}/${index}`,
        edge,
        source: node.id,
        target,
        backwards,
        lines: index === 0 ? labelled(edge) : [],
      }
    }),
  )
}

/** In the later half of a state: a way that leads there from the state itself comes from its lower edge. */
function isLowIn(node: ChartNode, id: string): boolean {
  const index = indexIn(node, id)
  return index > 0 && index >= node.states.length / 2
}

const indexIn = ({ states }: ChartNode, id: string): number => states.findIndex((child) => child.id === id)

/** A state that only the state around it leads to would stand in the first layer: it comes behind its neighbour. */
function ordersOf({ states, routes }: Plan): ElkExtendedEdge[] {
  return states.flatMap(({ node: { id }, parent }) => {
    const sources = routes.filter(({ target }) => target === id).map(({ source }) => source)
    const neighbour = parent && isLowIn(parent, id) && parent.states[indexIn(parent, id) - 1]
    const isLone = sources.length > 0 && sources.every((source) => source === parent?.id || source === id)
    return neighbour && isLone ? [{ id: `${id}#order`, sources: [neighbour.id], targets: [id] }] : []
  })
}

const OPTIONS = {
  'elk.algorithm': 'layered',
  'elk.direction': 'DOWN',
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.json.shapeCoords': 'ROOT',
  'elk.json.edgeCoords': 'ROOT',
  'elk.padding': `[top=${MARGIN},left=${MARGIN},bottom=${MARGIN},right=${MARGIN}]`,
}

const SPACING = {
  'elk.spacing.nodeNode': '18',
  'elk.spacing.edgeNode': '14',
  'elk.spacing.edgeEdge': '12',
  'elk.spacing.nodeSelfLoop': '18',
  'elk.spacing.edgeLabel': '4',
  'elk.layered.spacing.nodeNodeBetweenLayers': '14',
  'elk.layered.spacing.edgeNodeBetweenLayers': '11',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '9',
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
  'elk.alignment': 'TOP',
}

function graphOf(plan: Plan): ElkNode {
  const { states, routes } = plan
  const wordings = new Map(states.map(({ node, wording }) => [node.id, wording]))
  const [root] = states
  const tree = (node: ChartNode): ElkNode => nodeOf(node, wordings.get(node.id) as Wording, node.states.map(tree))
  return {
    id: '',
    layoutOptions: { ...OPTIONS, ...SPACING },
    children: root ? [tree(root.node)] : [],
    edges: [...routes.map(elkEdgeOf), ...ordersOf(plan)],
  }
}

function nodeOf(node: ChartNode, wording: Wording, children: ElkNode[]): ElkNode {
  if (node.type === 'history') return { id: node.id, width: HISTORY, height: HISTORY }
  const room = roomOf(wording)
  const width = room.width + 2 * SIDE
  if (children.length === 0) {
    const edge = node.type === 'final' ? 6 : 0
    return {
      id: node.id,
      width: Math.max(52, width + edge),
      height: room.height + 17 + edge,
      layoutOptions: { 'elk.alignment': 'TOP' },
    }
  }
  const dot = node.initial === undefined ? [] : [{ id: dotOf(node), width: DOT, height: DOT }]
  return {
    id: node.id,
    children: [...dot, ...children],
    layoutOptions: { ...SPACING, ...insideOf(width, room.height) },
  }
}

/** The room for the title of a state that has states inside. To lay out downwards ELK turns all but the least size. */
function insideOf(width: number, height: number): Record<string, string> {
  return {
    'elk.padding': `[top=${height + 22},left=14,bottom=14,right=14]`,
    'elk.nodeSize.constraints': 'MINIMUM_SIZE',
    'elk.nodeSize.minimum': `(${height + 2 * LINE_HEIGHT},${width})`,
  }
}

function elkEdgeOf({ id, edge, source, target, backwards, lines }: Route): ElkExtendedEdge {
  const [from, to] = backwards ? [target, source] : [source, target]
  const labels =
    edge && lines.length > 0
      ? [{ text: lines.join('\n'), ...roomOfLabel(edge, lines), layoutOptions: { 'elk.edgeLabels.inline': 'true' } }]
      : []
  return { id, sources: [from], targets: [to], labels }
}

function shapesOf(node: ElkNode): ElkNode[] {
  return [node, ...(node.children ?? []).flatMap(shapesOf)]
}

function rectangleOf(shape: Partial<Rectangle> | undefined): Rectangle {
  const { x = 0, y = 0, width = 0, height = 0 } = shape ?? {}
  return { x, y, width, height }
}

/** A way from a state to one inside it comes from its upper edge: it begins beneath the words that it would cross. */
function cleared(way: Way, source: Box | undefined): Way {
  const [start, next, ...rest] = way.points
  if (!source || !start || !next || start.y > source.y + 1 || next.y <= start.y) return way
  const { width, height } = roomOf(source.wording)
  const bottom = source.y + height + 18
  if (start.x > source.x + SIDE + width + 8 || next.y < bottom) return way
  return { ...way, inside: true, points: [{ x: start.x, y: bottom }, next, ...rest] }
}

function wayOf({ edge, source, target, backwards, lines }: Route, drawn: ElkExtendedEdge | undefined): Way {
  const points = (drawn?.sections ?? []).flatMap(({ startPoint, bendPoints = [], endPoint }) => {
    return [startPoint, ...bendPoints, endPoint]
  })
  const [label] = drawn?.labels ?? []
  return {
    source,
    target,
    points: backwards ? points.toReversed() : points,
    ...(edge ? { edge } : {}),
    ...(label ? { label: { ...rectangleOf(label), lines } } : {}),
  }
}
