/** The rooms of a machine in figures, beside the chart that shows where they are. */

import type { Chart } from '../shapes.ts'
import type { Overview } from '../told.ts'
import { type ComponentChild, html } from './html.ts'
import { figureOf } from './lights.ts'
import { namesOf } from './states.ts'

interface PopulationProps {
  readonly chart: Chart
  readonly overview: Overview
  /** Lists the rooms in a state. */
  readonly find: (state: string) => void
}

export function Population({ chart, overview, find }: PopulationProps): ComponentChild {
  const { machine, rooms, asleep, failed, read, states, edges } = overview
  const inside = [...namesOf(chart)].map(([id, name]) => ({ id, name, count: figureOf(states, id) }))
  const ranked = inside.filter(({ count }) => count > 0).sort((one, other) => other.count - one.count)
  const rate = Object.values(edges).reduce((sum, each) => sum + each, 0)
  return html`<section class="population">
    <h2>${machine}</h2>
    <dl>
      <${Figure} of="in memory" count=${rooms - asleep - failed} />
      <${Figure} of="asleep" count=${asleep} />
      ${failed > 0 ? html`<${Figure} of="failed" count=${failed} />` : ''}
      <${Figure} of="transitions a minute" count=${Math.round(rate)} />
    </dl>
    ${ranked.length > 0 ? html`<h2>By state</h2>` : ''}
    ${rooms === 0 ? html`<p class="hint">It has no room yet.</p>` : ''}
    ${read < rooms ? html`<p class="hint">Of ${read.toLocaleString('en')} rooms of ${rooms.toLocaleString('en')}: those that sleep are read little by little, 10,000 of them at most.</p>` : ''}
    <ul>${ranked.map(({ id, name, count }) => html`<${Share} key=${id} name=${name} count=${count} of=${read} find=${find} />`)}</ul>
  </section>`
}

function Figure({ of, count }: { readonly of: string; readonly count: number }): ComponentChild {
  return html`<div><dt>${of}</dt><dd>${count.toLocaleString('en')}</dd></div>`
}

interface ShareProps {
  readonly name: string
  readonly count: number
  readonly of: number
  readonly find: (state: string) => void
}

function Share({ name, count, of, find }: ShareProps): ComponentChild {
  return html`<li><button title="The rooms in ${name}" onClick=${() => find(name)}>
    <span class="share">${name}</span><b>${count.toLocaleString('en')}</b>
    <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect width=${(100 * count) / (of || 1)} height="6" /></svg>
  </button></li>`
}
