/** The state and the context of the moment shown; what its step changed is marked. */
import type { Operation } from '../../patch.ts'
import type { State, Step } from '../told.ts'
import { endingOf, remediesOf } from './endings.ts'
import { type ComponentChild, html, useEffect, useRef } from './html.ts'
import { instant, span, titleOf } from './phrases.ts'
import { Tree } from './tree.ts'

export interface StatePanelProps {
  readonly state: Pick<State, 'value' | 'context' | 'status'> & Partial<State>
  readonly step: Pick<Step, 'ops' | 'cause'> | undefined
  readonly now: number
  readonly isLive: boolean
}

export function StatePanel({ state, step, now, isLive }: StatePanelProps): ComponentChild {
  const { value, context, status, time, failed, timers = [], present, children } = state
  const changed = changesIn(step, '/context')
  const ending = endingOf(state, step)
  const section = useRef<HTMLElement>(null)
  useEffect(() => {
    section.current?.querySelector('.changed')?.scrollIntoView({ block: 'nearest' })
  }, [state.seq, changed.join()])
  const at = isLive || time === undefined ? now : time
  return html`
    <section class="state-value">
      <h2>State <span>${status === 'active' ? '' : status}</span><span class="right">${time ? html`<time>${instant(time, now)}</time>` : ''}</span></h2>
      ${failed === undefined ? '' : html`<${Failed} actor=${state.actor} why=${failed} />`}
      <div class="value"><${Value} value=${value} /></div>
      ${ending ? html`<p class="ending">${ending}</p>` : ''}
      ${timers.length > 0 ? html`<ul class="timers">${timers.map(({ event, dueAt }) => html`<li key=${event}><span>${titleOf(event)}</span><span class="soft">${dueAt > at ? `in ${span(dueAt - at)}` : 'due'}</span></li>`)}</ul>` : ''}
      ${present && present.length > 0 ? html`<p class="present"><span class="soft">present</span> ${present.join(', ')}</p>` : ''}
    </section>
    <section class="context" ref=${section}>
      <h2>Context</h2>
      ${isEmpty(context) ? html`<p class="hint">Empty.</p>` : html`<${Tree} value=${context} changed=${changed} />`}
      ${isEmpty(children) ? '' : html`<h3>Children</h3><${Tree} value=${children} changed=${changesIn(step, '/children')} />`}
    </section>`
}

function Failed({ actor = '', why }: { readonly actor?: string; readonly why: string }): ComponentChild {
  const [look, mend] = remediesOf(actor)
  return html`<div class="failure" role="alert">
    <p>${why}</p>
    <p>Its events that failed, each with its error: <code>${look}</code></p>
    <p>To revive it: <code>${mend}</code></p>
  </div>`
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0)

/** The value as lines, one for each region: "playing › rounds › live". */
function Value({ value }: { readonly value: unknown }): ComponentChild {
  const paths = pathsOf(value)
  if (paths.length === 0) return html`<p class="hint">One state, always.</p>`
  return paths.map(
    (path) =>
      html`<p key=${path.join()}>${path.map((key, index) => html`${index > 0 ? html`<i>›</i>` : ''}<${index === path.length - 1 ? 'b' : 'span'}>${key}</>`)}</p>`,
  )
}

function pathsOf(value: unknown): string[][] {
  if (typeof value === 'string') return [[value]]
  return Object.entries((value ?? {}) as object).flatMap(([key, child]) => {
    const inner = pathsOf(child)
    return inner.length === 0 ? [[key]] : inner.map((path) => [key, ...path])
  })
}

/** Where a step changed something beneath a part of the state; a removal marks what is around it. */
export function changesIn(step: Pick<Step, 'ops'> | undefined, part: string): string[] {
  const around = ({ op, path }: Operation): string => (op === 'remove' ? path.slice(0, path.lastIndexOf('/')) : path)
  const paths = (step?.ops ?? []).map(around).filter((path) => path.startsWith(`${part}/`))
  return paths.map((path) => path.slice(part.length).replace(/\/-$/, ''))
}
