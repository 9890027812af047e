/** The rooms of a machine in figures, beside the chart that shows where they are. */
import { type ComponentChild, html } from './html.ts'
import type { Overview } from './messages.ts'

interface PopulationProps {
  readonly overview: Overview
  /** Lists the rooms in a state. */
  readonly find: (state: string) => void
}

export function Population({ overview, find }: PopulationProps): ComponentChild {
  const { machine, rooms, states, edges } = overview
  const inside = Object.entries(states).filter(([id, rooms]) => id !== machine && rooms > 0)
  const ranked = inside.sort(([, one], [, other]) => other - one)
  const rate = Object.values(edges).reduce((sum, each) => sum + each, 0)
  return html`<section class="population">
    <h2>${machine}</h2>
    <dl>
      <div><dt>rooms</dt><dd>${rooms.toLocaleString('en')}</dd></div>
      <div><dt>transitions a minute</dt><dd>${Math.round(rate).toLocaleString('en')}</dd></div>
    </dl>
    ${ranked.length > 0 ? html`<h2>Rooms in state</h2>` : ''}
    <ul>${ranked.map(([id, count]) => html`<${Share} key=${id} name=${id.slice(machine.length + 1)} count=${count} of=${rooms} find=${find} />`)}</ul>
  </section>`
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
