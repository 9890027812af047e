/** A JSON value as an indented tree, with marks on what the last step changed. */
import { type ComponentChild, html } from './html.ts'
import { instant, isInstant } from './phrases.ts'

export interface TreeProps {
  readonly value: unknown
  /** JSON Pointers of what changed. */
  readonly changed?: readonly string[]
  readonly path?: string
}

/** Longer lists are folded, unless something in them changed. */
const LONG = 12
/** Of a long list in which something changed these are shown beside it. */
const LAST = 3
/** Of folded or very long lists no more than this is drawn. */
const MOST = 200

export function Tree({ value, changed = [], path = '' }: TreeProps): ComponentChild {
  if (!isContainer(value)) return html`<${Leaf} value=${value} />`
  const entries = Object.entries(value)
  const isLong = Array.isArray(value) && entries.length > LONG && changed.some((each) => each.startsWith(`${path}/`))
  const [rest, shown] = isLong ? parted(entries, changed, path) : [[], entries]
  const branches = (some: [string, unknown][]): ComponentChild =>
    html`${some.slice(0, MOST).map(([key, child]) => html`<${Branch} key=${key} name=${key} value=${child} changed=${changed} path=${`${path}/${pointed(key)}`} />`)}
      ${some.length > MOST ? html`<li class="more">and ${some.length - MOST} more</li>` : ''}`
  return html`<ul class="tree">
    ${rest.length > 0 ? html`<li key="rest"><details><summary class="soft">${rest.length} unchanged</summary><ul>${branches(rest)}</ul></details></li>` : ''}
    ${branches(shown)}
  </ul>`
}

/** Of a long list: what can be folded, and what changed with the last few. */
function parted<T>(entries: [string, T][], changed: readonly string[], path: string): [[string, T][], [string, T][]] {
  const touched = new Set(changed.map((each) => each.slice(path.length + 1).split('/', 1)[0]))
  const isShown = ([key]: [string, T], index: number): boolean => touched.has(key) || index >= entries.length - LAST
  return [entries.filter((entry, index) => !isShown(entry, index)), entries.filter(isShown)]
}

interface BranchProps extends Required<TreeProps> {
  readonly name: string
}

function Branch({ name, value, changed, path }: BranchProps): ComponentChild {
  const marks = changed.filter((each) => path === each || path.startsWith(`${each}/`))
  const within = changed.some((each) => each.startsWith(`${path}/`))
  const mark = marks.length > 0 ? 'changed' : ''
  if (!isContainer(value) || sizeOf(value) === 0) {
    return html`<li class=${mark}><span class="key">${name}</span> <${Leaf} value=${value} /></li>`
  }
  const note = Array.isArray(value) ? `[${sizeOf(value)}]` : ''
  const opened = sizeOf(value) <= LONG || within || mark !== ''
  return html`<li class=${mark}>
    <details open=${opened}>
      <summary><span class="key">${name}</span> <span class="soft">${note || (opened ? '' : `{${sizeOf(value)}}`)}</span></summary>
      <${Tree} value=${value} changed=${changed} path=${path} />
    </details>
  </li>`
}

function Leaf({ value }: { value: unknown }): ComponentChild {
  if (isContainer(value)) return html`<span class="soft">${Array.isArray(value) ? '[]' : '{}'}</span>`
  if (isInstant(value)) return html`<span class="literal">${value}</span> <time>${instant(value, Date.now())}</time>`
  return html`<span class=${typeof value === 'string' ? 'text' : 'literal'}>${JSON.stringify(value)}</span>`
}

const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null
const sizeOf = (value: object): number => Object.keys(value).length
const pointed = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')
