/** The states of a chart as the list and its menu call them: in few words, as far as the feed takes them for a filter. */
import type { Chart, ChartNode } from '../shapes.ts'

/** `open`, `open.bidding`: every state that stands alone, so none beneath one of which several parts are active. */
export function statesOf({ root }: Chart): string[] {
  return within(root, '')
}

function within({ states }: ChartNode, around: string): string[] {
  return states.flatMap((child) => {
    const path = around + child.key
    return [path, ...(child.type === 'parallel' ? [] : within(child, `${path}.`))]
  })
}

/** Every state but the outermost by its id, in words: `open.bidding`. An id is what the machine's file says, or XState. */
export function namesOf({ root }: Chart): ReadonlyMap<string, string> {
  const named = ({ states }: ChartNode, around: string): [string, string][] =>
    states.flatMap((child) => [[child.id, around + child.key], ...named(child, `${around}${child.key}.`)])
  return new Map(named(root, ''))
}

/** `open.token.fresh | refresh.idle` is `open`: several parts are active, and what is around them says enough. */
export function briefState(state: string, chart: Chart | undefined): string {
  if (!chart || chart.root.type === 'parallel' || !state.includes(' | ')) return state
  const path: string[] = []
  let node: ChartNode | undefined = chart.root
  for (const key of state.split(' | ', 1)[0]?.split('.') ?? []) {
    node = node?.states.find((child) => child.key === key)
    path.push(key)
    if (node?.type === 'parallel') return path.join('.')
  }
  return state
}
