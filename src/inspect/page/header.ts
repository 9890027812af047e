/** The bar above: where one is, the time, whether the line is open, and what can be taken away from here. */
import type { Desk } from './desk.ts'
import { type ComponentChild, html, useState } from './html.ts'
import { toggleTheme } from './theme.ts'
import { Timeline } from './timeline.ts'

const LINES = { connecting: 'connecting…', open: '', lost: 'The server is out of reach. Trying again…', locked: '' }

export function Header({ desk }: { readonly desk: Desk }): ComponentChild {
  const { watching, place, feed } = desk
  const here = place.kind === 'actor' ? place.actor : place.kind === 'machine' ? place.machine : ''
  const [kind, name] = place.kind === 'actor' ? split(here) : [place.kind === 'machine' ? 'overview' : '', here]
  return html`<header>
    <h1><svg viewBox="0 0 32 32" aria-hidden="true"><path d="M16 3 19 13 29 16 19 19 16 29 13 19 3 16 13 13Z" /></svg>Inspect</h1>
    <p class="where"><span class="soft">${kind}</span> <b>${name}</b></p>
    ${watching?.now ? html`<${Timeline} watching=${watching} />` : html`<div class="timeline"></div>`}
    <div class="take">
      ${watching?.now ? html`<${CopyLink} />` : ''}
      ${kind === 'room' && watching?.now ? html`<${Export} room=${name} token=${feed.token} />` : ''}
      <button class="plain" title="Keys (?)" aria-label="Keys" onClick=${() => desk.toggleKeys()}>?</button>
      <button class="plain" title="Light or dark" aria-label="Light or dark" onClick=${toggleTheme}>◐</button>
    </div>
    <p class="notice ${feed.line}" role="status">${LINES[feed.line] || desk.failure || (watching?.shown && watching.notice) || ''}</p>
  </header>`
}

function split(actor: string): [string, string] {
  const colon = actor.indexOf(':')
  return [actor.slice(0, colon), actor.slice(colon + 1)]
}

function CopyLink(): ComponentChild {
  const [outcome, setOutcome] = useState('')
  const copy = async (): Promise<void> => {
    setOutcome((await isCopied(location.href)) ? 'Copied' : 'It is in the address bar')
    setTimeout(() => setOutcome(''), 1500)
  }
  return html`<button class="plain" title="A link to this moment" onClick=${copy}>${outcome || 'Copy link'}</button>`
}

/** A page over plain HTTP has no clipboard, and its user may deny it one. */
async function isCopied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}

/** A link cannot carry a token, so that the file is fetched first where one is needed. */
function Export({ room, token }: { readonly room: string; readonly token: string | undefined }): ComponentChild {
  const [refusal, setRefusal] = useState('')
  const path = `inspect/export/${encodeURIComponent(room)}`
  const fetchFirst = async (event: MouseEvent): Promise<void> => {
    if (!token) return
    event.preventDefault()
    const response = await fetch(path, { headers: { Authorization: `Bearer ${token}` } })
    setRefusal(response.ok ? '' : response.status === 503 ? 'Busy: try again' : 'Refused')
    if (!response.ok) return
    const link = document.createElement('a')
    link.href = URL.createObjectURL(await response.blob())
    link.download = fileOf(room)
    link.click()
    URL.revokeObjectURL(link.href)
  }
  return html`<a class="plain" href=${path} download=${fileOf(room)} title="The log as a file, for: npx chartroom replay" onClick=${fetchFirst}>${refusal || 'Export'}</a>`
}

const fileOf = (room: string): string => `${room.replace('/', '-')}.jsonl`
