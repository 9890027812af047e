/** A chart placed and drawn: nothing lies on anything else, nothing is left out, and no text of a machine is markup. */
import t from 'tap'
import { drawStandalone } from '../src/inspect/drawing.ts'
import { createElk } from '../src/inspect/elk.ts'
import { type Box, layout, type Placed, type Rectangle } from '../src/inspect/layout.ts'
import type { Chart, ChartNode, Edge } from '../src/inspect/shapes.ts'
import { widthOf } from '../src/inspect/text.ts'
import { fullLabelOf, labelOf, roomOf } from '../src/inspect/wording.ts'

const elk = createElk()

type Parts = Partial<Omit<ChartNode, 'edges'>> & { edges?: (Partial<Edge> & { label: string })[] }

function node(id: string, { edges = [], states = [], ...rest }: Parts = {}): ChartNode {
  const type = states.length > 0 ? 'compound' : 'atomic'
  const key = id.slice(id.lastIndexOf('.') + 1)
  return { id, key, type, entry: [], exit: [], invoke: [], states, ...rest, edges: edges.map((e, n) => edge(id, n, e)) }
}

function edge(source: string, n: number, rest: Partial<Edge> & { label: string }): Edge {
  const base = { kind: 'event' as const, event: rest.label, actions: [], targets: [], reenter: false }
  return { id: `${source}:${n}`, ...base, ...rest }
}

const chartOf = (root: ChartNode): Chart => ({ machine: root.key, kind: 'room', version: '1', root })

/** Everything a chart can have: depth, regions, history, an end, ways back, across, to itself and out of an ancestor. */
const game = chartOf(
  node('game', {
    initial: 'game.lobby',
    edges: [
      { label: 'abort', guard: 'isHost', targets: ['game.over'] },
      { label: 'say', actions: ['log'] },
    ],
    states: [
      node('game.lobby', {
        entry: ['greet'],
        edges: [
          { label: 'start', guard: 'enough', actions: ['deal', 'announce'], targets: ['game.play'] },
          {
            kind: 'after',
            event: 'xstate.after.1000.game.lobby',
            label: 'after 1 s',
            delay: 1000,
            targets: ['game.over'],
          },
          { label: 'join', targets: ['game.lobby'], reenter: true },
        ],
      }),
      node('game.play', {
        type: 'parallel',
        invoke: [{ id: 'referee', src: 'referee' }],
        edges: [{ kind: 'done', event: 'xstate.done.state.game.play', label: 'done', targets: ['game.over'] }],
        states: [
          node('game.play.board', {
            initial: 'game.play.board.white',
            states: [
              node('game.play.board.white', { edges: [{ label: 'move', targets: ['game.play.board.black'] }] }),
              node('game.play.board.black', {
                edges: [
                  { label: 'move', targets: ['game.play.board.white'] },
                  { label: 'resign', targets: ['game.lobby'] },
                ],
              }),
            ],
          }),
          node('game.play.clock', {
            initial: 'game.play.clock.runs',
            edges: [{ label: 'wind', targets: ['game.play.clock.runs'] }],
            states: [
              node('game.play.clock.runs', { edges: [{ label: 'halt', targets: ['game.play.clock.stands'] }] }),
              node('game.play.clock.stands', { type: 'final' }),
            ],
          }),
        ],
      }),
      node('game.paused', { edges: [{ label: 'resume', targets: ['game.back'] }] }),
      node('game.back', { type: 'history', history: 'deep' }),
      node('game.over', { type: 'final', exit: ['tidy'] }),
    ],
  }),
)

const placed = await layout(game, elk)
const svg = await drawStandalone(game, elk)

const edges = placed.boxes.flatMap(({ node }) => node.edges)
const count = (text: string): number => svg.split(text).length - 1

const overlap = (one: Rectangle, other: Rectangle): boolean =>
  one.x < other.x + other.width &&
  other.x < one.x + one.width &&
  one.y < other.y + other.height &&
  other.y < one.y + one.height

function pairs<T>(items: readonly T[]): [T, T][] {
  return items.flatMap((one, index) => items.slice(index + 1).map((other): [T, T] => [one, other]))
}

const contains = (outer: Rectangle, inner: Rectangle): boolean =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height

const boxOf = ({ boxes }: Placed, id: string): Box => boxes.find(({ node }) => node.id === id) as Box

t.test('siblings never overlap, and lie inside the state around them', async (t) => {
  for (const [one, other] of pairs(placed.boxes)) {
    if (one.parent !== other.parent) continue
    t.notOk(overlap(one, other), `${one.node.id} and ${other.node.id}`)
  }
  for (const box of placed.boxes) {
    if (box.parent) t.ok(contains(boxOf(placed, box.parent.id), box), box.node.id)
  }
})

t.test('no label lies on another one, nor on an innermost state', async (t) => {
  const labels = placed.ways.flatMap(({ edge, label }) => (edge && label ? [{ ...label, id: edge.id }] : []))
  const leaves = placed.boxes.filter(({ node }) => node.states.length === 0)
  t.equal(labels.length, edges.filter(({ targets }) => targets.length > 0).length)
  for (const [one, other] of pairs(labels)) t.notOk(overlap(one, other), `${one.id} and ${other.id}`)
  for (const label of labels) {
    for (const leaf of leaves) t.notOk(overlap(label, leaf), `${label.id} and ${leaf.node.id}`)
  }
})

t.test('a way goes from its state to its target, also where it leads back', async (t) => {
  const touches = ({ x, y, width, height }: Rectangle, point: { x: number; y: number } | undefined): boolean =>
    point !== undefined && point.x >= x - 1 && point.y >= y - 1 && point.x <= x + width + 1 && point.y <= y + height + 1
  for (const { edge, source, target, points } of placed.ways) {
    if (edge) t.ok(touches(boxOf(placed, source), points[0]), `${edge.id} begins at ${source}`)
    t.ok(touches(boxOf(placed, target), points.at(-1)), `${edge?.id ?? source} ends at ${target}`)
  }
})

t.test('what comes first in the document stands above, though ways lead back to it', async (t) => {
  const back = (to: string) => ({ edges: [{ label: 'back', targets: [to] }] })
  const states = ['m.a', 'm.b', 'm.c'].map((id, n) => {
    const on = ['m.b', 'm.c'][n]
    return node(id, { edges: [...(n > 0 ? back('m.a').edges : []), ...(on ? [{ label: 'on', targets: [on] }] : [])] })
  })
  const { boxes } = await layout(chartOf(node('m', { initial: 'm.c', states })), elk)
  const [, a = 0, b = 0, c = 0] = boxes.map(({ y }) => y)
  t.ok(a < b && b < c, `${a}, ${b}, ${c}`)
})

t.test(
  'a way from a state into its later half comes from below, and what only such a way leads to stands last',
  async (t) => {
    const states = [node('m.a', { edges: [{ label: 'on', targets: ['m.b'] }] }), node('m.b'), node('m.end')]
    const edges = [{ label: 'stop', targets: ['m.end'] }]
    const { boxes, ways } = await layout(chartOf(node('m', { initial: 'm.a', edges, states })), elk)
    const [, a = 0, b = 0, end = 0] = boxes.map(({ y }) => y)
    t.ok(a < b && b < end, `${a}, ${b}, ${end}`)
    const { points = [] } = ways.find(({ edge }) => edge?.label === 'stop') ?? {}
    t.ok((points[0]?.y ?? 0) > (points.at(-1)?.y ?? 0), JSON.stringify(points))
  },
)

t.test('a state is as wide as what is written in it, though what is inside it is not', async (t) => {
  const edges = [{ label: 'something.with.a.long.name', actions: ['assign'] }]
  const { boxes } = await layout(chartOf(node('m', { initial: 'm.a', edges, states: [node('m.a')] })), elk)
  for (const { node, width, wording } of boxes) t.ok(width >= roomOf(wording).width + 24, node.id)
})

t.test('every state and every edge is drawn, once, under its id', async (t) => {
  for (const { node } of placed.boxes) t.equal(count(`data-id="${node.id}"`), 1, node.id)
  for (const { id } of edges) t.equal(count(`data-id="${id}"`), 1, id)
})

t.test('every edge is drawn with what can be said of it', async (t) => {
  const written = svg.replace(/<(title|style)>[^<]*<\/\1>/g, '').replace(/<[^>]*>/g, '')
  for (const edge of edges.filter(({ targets }) => targets.length > 0)) {
    for (const line of labelOf(edge, false)) t.ok(written.includes(line), line)
    t.ok(svg.includes(`<title>${fullLabelOf(edge)}</title>`), edge.id)
  }
  for (const line of ['say / log', 'entry / greet', 'exit / tidy', 'invoke / referee', 'H*'])
    t.ok(written.includes(line), line)
})

t.test('what a machine calls its things is text, never markup', async (t) => {
  const evil = '<script>alert("1")</script>&\''
  const edges = [{ label: evil, guard: evil, actions: [evil], targets: [evil] }, { label: evil }]
  const root = node(evil, {
    key: evil,
    description: evil,
    entry: [evil],
    invoke: [{ id: evil, src: evil }],
    edges,
    tags: [evil],
  })
  const drawn = await drawStandalone(chartOf(root), elk)
  t.notMatch(drawn, /<script|alert\("/)
  t.match(drawn, 'data-id="&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;"')
  t.notMatch(drawn.replace(/<style>[^<]*<\/style>/, ''), /\sstyle=|\son\w+=/)
})

t.test('the same chart is drawn the same way', async (t) => {
  t.equal(await drawStandalone(structuredClone(game), elk), svg)
})

t.test('a count leaves every label room for its rate', async (t) => {
  const counted = await layout(game, elk, true)
  const heights = ({ ways }: Placed): number[] => ways.flatMap(({ label }) => label?.height ?? [])
  t.same(
    heights(counted),
    heights(placed).map((height) => height + 15),
  )
})

t.test('an edge to several regions is one edge with several ways and one label', async (t) => {
  const [left, right] = ['m.p.a.y', 'm.p.b.y']
  const region = (id: string) => node(id, { initial: `${id}.x`, states: [node(`${id}.x`), node(`${id}.y`)] })
  const parallel = node('m.p', { type: 'parallel', states: [region('m.p.a'), region('m.p.b')] })
  const idle = node('m.idle', { edges: [{ label: 'both', targets: [left, right] }] })
  const { ways } = await layout(chartOf(node('m', { initial: 'm.idle', states: [idle, parallel] })), elk)
  const both = ways.filter(({ edge }) => edge?.label === 'both')
  t.same(
    both.map(({ target, label }) => [target, label !== undefined]),
    [
      [left, true],
      [right, false],
    ],
  )
})

t.test('the width of a text is that of Helvetica', async (t) => {
  t.equal(Math.round(widthOf('auction', 1000)), 3224)
  t.equal(widthOf('', 11), 0)
  t.ok(widthOf('日本', 10) === 20)
  t.ok(widthOf('wide', 10, true) > widthOf('wide', 10))
})
