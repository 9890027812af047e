/** The chart of a machine as JSON: what the feed sends, the page draws, and `chartroom chart --json` prints. */

export interface Chart {
  machine: string
  kind: 'room' | 'connection' | 'session'
  version: string
  root: ChartNode
}

export interface ChartNode {
  /** XState's id, for example "auction.open.bidding". */
  id: string
  key: string
  type: 'atomic' | 'compound' | 'parallel' | 'final' | 'history'
  history?: 'shallow' | 'deep'
  /** An id. */
  initial?: string
  description?: string
  tags?: string[]
  entry: string[]
  exit: string[]
  invoke: { id: string; src: string }[]
  /** Out of this node, in document order. */
  edges: Edge[]
  states: ChartNode[]
}

export interface Edge {
  /** "<node id>:<n>", n counts the node's edges. */
  id: string
  kind: 'event' | 'always' | 'after' | 'done' | 'error' | 'snapshot'
  /** The event type as XState has it ("bid", "*", "xstate.after.30000.auction.open"); "" for always. */
  event: string
  /** What is drawn: "bid", "after 30 s", "done loadMap", "always". */
  label: string
  /** Kind after: milliseconds, or the delay's name. */
  delay?: number | string
  guard?: string
  actions: string[]
  /** Ids; empty: stays, no exit. */
  targets: string[]
  reenter: boolean
}
