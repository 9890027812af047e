/** The rooms of a machine in figures, beside the chart that shows where they are. */

import type { Overview } from '../told.ts'
import { type ComponentChild, html } from './html.ts'

interface PopulationProps {
  /** Of all its rooms, `total` in number, those in memory. */
  readonly overview: Overview & { readonly total: number }
  /** Lists the rooms in a state. */
  readonly find: (state: string) => void
}

export function Population({ overview, find }: PopulationProps): ComponentChild {
  const { machine, rooms, total, states, edges } = overview
  const inside = Object.entries(states).filter(([id, rooms]) => id !== machine && rooms > 0)
  const ranked = inside.sort(([, one], [, other]) => other - one)
  const rate = Object.values(edges).reduce((sum, each) => sum + each, 0)
  return html`<section class="population">
    <h2>${machine}</h2>
    <dl>
      <${Figure} of="in memory" count=${rooms} />
      <${Figure} of="asleep" count=${Math.max(0, total - rooms)} />
      <${Figure} of="transitions a minute" count=${Math.round(rate)} />
    </dl>
    ${ranked.length > 0 ? html`<h2>In memory, by state</h2>` : html`<p class="hint">${total === 0 ? 'It has no room yet.' : 'All of its rooms sleep: they are listed on the left. The chart counts those in memory.'}</p>`}
    <ul>${ranked.map(([id, count]) => html`<${Share} key=${id} name=${id.slice(machine.length + 1)} count=${count} of=${rooms} find=${find} />`)}</ul>
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
