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
/** Of folded or very long lists no more than this is drawn. */
const MOST = 200

export function Tree({ value, changed = [], path = '' }: TreeProps): ComponentChild {
  if (!isContainer(value)) return html`<${Leaf} value=${value} />`
  const entries = Object.entries(value)
  return html`<ul class="tree">
    ${entries.slice(0, MOST).map(([key, child]) => html`<${Branch} key=${key} name=${key} value=${child} changed=${changed} path=${`${path}/${pointed(key)}`} />`)}
    ${entries.length > MOST ? html`<li class="more">and ${entries.length - MOST} more</li>` : ''}
  </ul>`
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
