/** The inspector's page: actors on the left, the chart in the middle, the moment on the right, the time above. */
import { diff } from '../../patch.ts'
import { activeIn } from '../configuration.ts'
import { ActorList, focusList } from './actors.ts'
import { ChartView, view } from './chart-view.ts'
import { Desk } from './desk.ts'
import { Events } from './events.ts'
import { Header } from './header.ts'
import { type ComponentChild, html, render } from './html.ts'
import { KEYS, listen } from './keys.ts'
import { DARK, type Lights } from './lights.ts'
import { Log } from './log.ts'
import { Population } from './population.ts'
import { StatePanel } from './state-panel.ts'
import { startTheme } from './theme.ts'
import { toggleLive } from './timeline.ts'
import type { Watching } from './watching.ts'

const desk = new Desk(() => render(html`<${Page} />`, document.body))

function Page(): ComponentChild {
  const { feed, sections, charts, opened, query, place } = desk
  if (feed.line === 'locked') return html`<${Gate} />`
  return html`
    <${Header} desk=${desk} />
    <${ActorList} sections=${sections} charts=${charts} opened=${opened} query=${query} place=${place}
      ask=${desk.ask.bind(desk)} go=${desk.go.bind(desk)} />
    <main>${middle()}</main>
    <aside aria-label="The moment shown">${right()}</aside>
    ${desk.showsKeys ? html`<${Keys} />` : ''}`
}

function middle(): ComponentChild {
  const { watching, chart, overview } = desk
  if (chart && overview)
    return html`<${ChartView} key=${chart.machine} chart=${chart} lights=${DARK} moment=${0} overview=${overview} />`
  if (watching?.failure && !(watching.chart && watching.shown))
    return html`<p class="empty" role="alert">${watching.failure}</p>`
  if (!watching?.chart || !watching.shown)
    return html`<p class="empty">${watching ? '…' : 'Choose an actor on the left, or a machine to see all its rooms on one chart.'}</p>`
  const { chart: drawn, shown } = watching
  return html`
    <${ChartView} key=${watching.actor} chart=${drawn} lights=${lightsOf(watching)} moment=${shown.seq} failed=${shown.failed !== undefined} />
    <${Events} watching=${watching} />`
}

function lightsOf({ chart, idea, shown, step, isLive, feed }: Watching): Lights {
  const imagined = idea?.steps[idea.at]
  if (imagined && chart) {
    const { value, edges, timers, accepted, time } = imagined
    return {
      active: activeIn(chart.root, value),
      taken: accepted ? edges : [],
      can: [],
      timers,
      now: () => time,
      runs: false,
    }
  }
  const { active = [], timers = [], time = 0 } = shown ?? {}
  const can = shown?.failed === undefined ? (shown?.can ?? []) : []
  const now = isLive ? () => feed.now() : () => time
  return { active, taken: step?.edges ?? [], can, timers, now, runs: isLive }
}

function right(): ComponentChild {
  const { watching, chart, overview, feed } = desk
  if (chart && overview)
    return html`<${Population} chart=${chart} overview=${overview} find=${(state: string) => desk.ask({ ...desk.query, state })} />`
  if (!watching?.shown) return ''
  const now = Math.round(feed.now())
  const { idea, shown, step, isLive } = watching
  const imagined = idea?.steps[idea.at]
  const before = idea?.steps[idea.at - 1] ?? shown
  return html`
    <div class="moment ${imagined ? 'imagined' : ''}">
      <${StatePanel} state=${imagined ?? shown} step=${imagined ? { ops: diff({ context: before.context }, { context: imagined.context }) } : step} now=${now} isLive=${isLive} />
    </div>
    <${Log} key=${watching.actor} watching=${watching} now=${now} />`
}

const LOCKS = {
  refused: 'The token was refused: it is not of this server, or no longer valid.',
  scope: 'The token is good, but lacks the scope “inspect”.',
}

function Gate(): ComponentChild {
  const enter = (event: SubmitEvent): void => {
    event.preventDefault()
    desk.unlock(String(new FormData(event.target as HTMLFormElement).get('token') ?? '').trim())
  }
  return html`<form class="gate" onSubmit=${enter}>
    <h1>Inspect</h1>
    <p>This server shows itself to holders of a token with the scope <code>inspect</code>.</p>
    ${desk.feed.lock === 'missing' ? '' : html`<p class="bad" role="alert">${LOCKS[desk.feed.lock]}</p>`}
    <label for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="off" required spellcheck=${false} placeholder="a JSON Web Token" />
    <button class="primary">Look</button>
  </form>`
}

function Keys(): ComponentChild {
  return html`<div class="keys" role="dialog" aria-label="Keys">
    <h2>Keys <button class="plain right" onClick=${() => desk.toggleKeys()}>Close</button></h2>
    <dl>${KEYS.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
  </div>`
}

listen({
  '/': () => document.querySelector<HTMLInputElement>('#search')?.select(),
  ' ': () => desk.watching && toggleLive(desk.watching),
  ArrowDown: focusList,
  ArrowLeft: () => desk.watching?.move(-1),
  ArrowRight: () => desk.watching?.move(1),
  f: () => view.fit(),
  '+': () => view.zoom(1.25),
  '=': () => view.zoom(1.25),
  '-': () => view.zoom(0.8),
  '?': () => desk.toggleKeys(),
  Escape: () => desk.showsKeys && desk.toggleKeys(),
})
startTheme()
desk.start()
