/** What is written on a chart: a state's title and the lines beneath it, an edge's label, and how much room they take. */
import type { ChartNode, Edge } from './shapes.ts'
import { clipped, widthOf } from './text.ts'

/** Pixels; the style of a drawing gives its texts the same. */
export const TITLE_SIZE = 13
export const LINE_SIZE = 11
export const LINE_HEIGHT = 15
/** A pending delay counts down in a ring before its label. */
export const RING_ROOM = 16

/** One line inside a state's box. What happens without leaving the state is an edge with no way to go: it has an id. */
export interface Line {
  readonly word: string
  readonly rest: string
  readonly edge?: Edge
}

export interface Wording {
  readonly title: string
  readonly lines: readonly Line[]
  /** Pixels beside the lines for how often their edges are taken. */
  readonly aside: number
}

/** A rate of at most "99.9k/min". */
const RATE_ROOM = 76

const LONGEST_LINE = 44

/** A label that is longer than this has its actions on a second line. */
const LONGEST_LABEL = 24

export function wordingOf(node: ChartNode, title: string, counted: boolean): Wording {
  const inner = node.edges.filter((edge) => edge.targets.length === 0)
  return {
    title: clipped(title, LONGEST_LINE),
    lines: [
      ...told('entry', node.entry),
      ...told('exit', node.exit),
      ...node.invoke.map(({ src }) => lineOf('invoke', ` / ${src}`)),
      ...inner.map((edge) => ({ ...lineOf(edge.label, `${guardOf(edge)}${actionsOf(edge)}`), edge })),
      ...(node.tags?.length ? [lineOf('', node.tags.map((tag) => `#${tag}`).join(' '))] : []),
    ],
    aside: counted && inner.length > 0 ? RATE_ROOM : 0,
  }
}

/** The lines of an edge's label, from what happens to what is done about it; an empty one below for its rate. */
export function labelOf(edge: Edge, counted: boolean): string[] {
  const [when, then] = [`${edge.label}${guardOf(edge)}`, actionsOf(edge)]
  const lines = `${when}${then}`.length <= LONGEST_LABEL || then === '' ? [`${when}${then}`] : [when, then.trim()]
  return [...lines.map((line) => clipped(line, LONGEST_LINE)), ...(counted ? [''] : [])]
}

/** Everything that can be said of an edge, for whoever points at it. */
export const fullLabelOf = (edge: Edge): string => `${edge.label}${guardOf(edge)}${actionsOf(edge)}`

const guardOf = ({ guard }: Edge): string => (guard === undefined ? '' : ` [${guard}]`)
const actionsOf = ({ actions }: Edge): string => (actions.length === 0 ? '' : ` / ${actions.join(', ')}`)
const told = (word: string, names: readonly string[]): Line[] =>
  names.length === 0 ? [] : [lineOf(word, ` / ${names.join(', ')}`)]
const lineOf = (word: string, rest: string): Line => ({ word, rest: clipped(rest, LONGEST_LINE - word.length) })

/** Pixels that the title and the lines take, without any padding. */
export function roomOf({ title, lines, aside }: Wording): { width: number; height: number } {
  const widths = lines.map(({ word, rest, edge }) => {
    return (
      widthOf(word, LINE_SIZE, edge !== undefined) + widthOf(rest, LINE_SIZE) + (edge?.kind === 'after' ? RING_ROOM : 0)
    )
  })
  return {
    width: Math.ceil(Math.max(widthOf(title, TITLE_SIZE, true), ...widths)) + aside,
    height: TITLE_SIZE + lines.length * LINE_HEIGHT,
  }
}

export function roomOfLabel(edge: Edge, lines: readonly string[]): { width: number; height: number } {
  const widths = lines.map((line) => widthOf(line, LINE_SIZE, true))
  const ring = edge.kind === 'after' ? RING_ROOM : 0
  return { width: Math.ceil(Math.max(...widths)) + ring + 6, height: lines.length * LINE_HEIGHT }
}
