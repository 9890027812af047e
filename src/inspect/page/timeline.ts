/** The slider over the whole log: any moment of it, or live. */
import { type ComponentChild, html } from './html.ts'
import type { Watching } from './watching.ts'

export function Timeline({ watching }: { readonly watching: Watching }): ComponentChild {
  const { now, at, isLive } = watching
  const last = now?.last ?? 0
  const first = Math.min(now?.first ?? 1, last)
  const shown = at ?? now?.seq ?? last
  const slide = (event: InputEvent): void => {
    const seq = Number((event.target as HTMLInputElement).value)
    if (seq >= last) watching.goLive()
    else watching.goTo(seq)
  }
  return html`<div class="timeline" role="group" aria-label="Moment">
    <button class="step" title="One step back (←)" aria-label="One step back" disabled=${shown <= first} onClick=${() => watching.move(-1)}>‹</button>
    <input type="range" aria-label="Moment in the log" min=${first} max=${last} step="1" value=${shown} disabled=${last <= first} onInput=${slide} />
    <button class="step" title="One step forward (→)" aria-label="One step forward" disabled=${at === undefined} onClick=${() => watching.move(1)}>›</button>
    <output class="seq"><b>${shown}</b> / ${last}</output>
    <button class="live ${isLive ? 'on' : ''}" aria-pressed=${isLive} title="Live, or stopped here (Space)" onClick=${() => toggleLive(watching)}>
      <i class="dot"></i>${isLive ? 'Live' : watching.idea ? 'What if' : 'Past'}
    </button>
  </div>`
}

/** From the past to now, and from now to the moment that is being shown. */
export function toggleLive(watching: Watching): void {
  if (!watching.isLive) watching.goLive()
  else if (watching.now) watching.goTo(watching.now.seq)
}
