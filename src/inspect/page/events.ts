/** Beneath the chart: the events that are possible now, to be sent, or tried on a fork that nobody else sees. */
import type { Timer } from '../told.ts'
import { type ComponentChild, html, useState } from './html.ts'
import { payloadOf, titleOf } from './phrases.ts'
import type { Idea, Watching } from './watching.ts'
import { readEvent, readEvents } from './written-event.ts'

export function Events({ watching }: { readonly watching: Watching }): ComponentChild {
  const [isForking, setForking] = useState(false)
  const { actor, feed } = watching
  const isRoom = actor.startsWith('room:')
  return html`<section class="events" aria-label="Events">
    ${
      isForking || watching.idea
        ? html`<${Fork} key=${actor} watching=${watching} close=${() => {
            setForking(false)
            watching.forgetIdea()
          }} />`
        : html`<${Possible} key=${actor} watching=${watching} whyNot=${whyNot(watching)} fork=${isRoom && feed.maySend ? () => setForking(true) : undefined} />`
    }
  </section>`
}

/** Why what is possible cannot be sent from here. */
function whyNot({ actor, now, isLive, feed }: Watching): string | undefined {
  if (actor.startsWith('connection:')) return 'A connection’s events come from its socket.'
  if (actor.startsWith('session:')) return 'A session’s events come from its connections.'
  if (now?.failed !== undefined) return 'The room has failed.'
  if (!isLive) return 'This is past: go live to send.'
  if (feed.line !== 'open') return 'The server is out of reach.'
  return feed.maySend ? undefined : 'You may look only: to send needs the scope inspect:send.'
}

interface PossibleProps {
  readonly watching: Watching
  /** Why nothing can be sent. */
  readonly whyNot: string | undefined
  readonly fork: (() => void) | undefined
}

function Possible({ watching, whyNot, fork }: PossibleProps): ComponentChild {
  const [type, setType] = useState<string | undefined>(undefined)
  const can = watching.shown?.can ?? []
  const chosen = type !== undefined && can.includes(type) ? type : undefined
  return html`
    <div class="possible" role="group" aria-label="Possible now">
      <h2>${watching.isLive ? 'Possible now' : 'Possible then'}</h2>
      ${can.length === 0 ? html`<span class="soft">no event</span>` : ''}
      ${can.map((each) =>
        whyNot === undefined
          ? html`<button key=${each} class="chip ${each === chosen ? 'on' : ''}" aria-pressed=${each === chosen} onClick=${() => setType(each === chosen ? undefined : each)}>${each}</button>`
          : html`<span key=${each} class="chip">${titleOf(each)}</span>`,
      )}
      ${whyNot && can.length > 0 ? html`<span class="soft">${whyNot}</span>` : ''}
      ${fork ? html`<button class="plain right" title="What would follow from here? Nothing of it is stored." onClick=${fork}>Fork here</button>` : ''}
    </div>
    ${chosen && whyNot === undefined ? html`<${Send} key=${chosen} type=${chosen} watching=${watching} />` : ''}`
}

function Send({ type, watching }: { readonly type: string; readonly watching: Watching }): ComponentChild {
  const [text, setText] = useState(() => lastPayload(watching, type))
  const [answer, setAnswer] = useState<{ ok: boolean; text: string } | undefined>(undefined)
  const send = async (submit: Event): Promise<void> => {
    submit.preventDefault()
    try {
      const event = readEvent(`${type} ${text}`)
      const { seq } = await watching.feed.request('send', { room: watching.actor.slice('room:'.length), event })
      setAnswer({ ok: true, text: `stored as ${seq}` })
    } catch (error) {
      setAnswer({ ok: false, text: (error as Error).message })
    }
  }
  return html`<form class="send" onSubmit=${send}>
    <label for="payload"><b>${type}</b></label>
    <input id="payload" class="code" value=${text} spellcheck=${false} autocomplete="off" ref=${focusOnce}
      placeholder='{"property": "of the event"}' aria-label="The event's other properties, as JSON" onInput=${(event: InputEvent) => setText((event.target as HTMLInputElement).value)} />
    <button class="primary">Send</button>
    ${answer ? html`<output class=${answer.ok ? 'good' : 'bad'} role="status">${answer.text}</output>` : ''}
  </form>`
}

const focused = new WeakSet<HTMLElement>()

function focusOnce(element: HTMLElement | null): void {
  if (!element || focused.has(element)) return
  focused.add(element)
  element.focus()
}

/** What the last event of this type said is a good beginning for the next. */
function lastPayload({ steps }: Watching, type: string): string {
  const last = steps.findLast(({ event }) => event.type === type)
  return last ? payloadOf(last.event) : ''
}

/** What is possible, one event a line, each as it was said last. */
const suggested = (watching: Watching): string =>
  (watching.shown?.can ?? []).map((type) => `${type} ${lastPayload(watching, type)}`.trim()).join('\n')

/** An event without properties, as a line of a fork. */
const lineOf = (type: string): string => (/[\s{]/.test(type) ? JSON.stringify({ type }) : type)

function Fork({ watching, close }: { readonly watching: Watching; readonly close: () => void }): ComponentChild {
  const [text, setText] = useState(() => suggested(watching))
  const [failure, setFailure] = useState('')
  const { idea, shown } = watching
  const run = async (submit: Event): Promise<void> => {
    submit.preventDefault()
    setFailure('')
    await Promise.resolve()
      .then(() => watching.imagine(readEvents(text)))
      .catch((error) => setFailure(error.message))
  }
  const byKey = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void run(event)
  }
  return html`<form class="fork" onSubmit=${run}>
    <div class="possible"><h2>Fork at ${idea?.seq ?? shown?.seq}</h2><span class="soft">One event a line. In memory only: nothing is stored, no effect runs.</span>
      <button type="button" class="plain right" onClick=${close}>Close</button></div>
    <div class="row"><textarea class="code" rows="3" spellcheck=${false} ref=${focusOnce} aria-label="Events, one a line" placeholder=${'bid {"amount": 5}'}
      value=${text} onKeyDown=${byKey} onInput=${(event: InputEvent) => setText((event.target as HTMLTextAreaElement).value)}></textarea>
      <button class="primary" title="Ctrl+Enter">Run</button></div>
    <${Pending} timers=${(idea?.steps[idea.at] ?? shown)?.timers ?? []} add=${(line: string) => setText(`${text}\n${line}`.trim())} />
    ${failure ? html`<output class="bad" role="status">${failure}</output>` : ''}
    ${idea ? html`<${Steps} watching=${watching} idea=${idea} />` : ''}
  </form>`
}

interface PendingProps {
  readonly timers: readonly Timer[]
  readonly add: (line: string) => void
}

/** The delays that a fork can let end. */
function Pending({ timers, add }: PendingProps): ComponentChild {
  return timers.length === 0
    ? ''
    : html`<div class="possible" role="group" aria-label="Pending delays"><span class="soft">Let end:</span>${timers.map(
        ({ event }) =>
          html`<button type="button" key=${event} class="chip" title=${event} onClick=${() => add(lineOf(event))}>${titleOf(event)}</button>`,
      )}</div>`
}

function Steps({ watching, idea }: { readonly watching: Watching; readonly idea: Idea }): ComponentChild {
  return html`<ol class="ideas">${idea.steps.map(
    ({ event, accepted, why }, index) => html`<li key=${index}>
      <button type="button" class="chip ${index === idea.at ? 'on' : ''} ${accepted ? '' : 'refused'}" aria-pressed=${index === idea.at}
        title=${JSON.stringify(event)} onClick=${() => watching.showIdea(index)}>${titleOf(event.type)}</button>
      ${why ? html`<span class="bad">${why}</span>` : ''}
    </li>`,
  )}</ol>`
}
