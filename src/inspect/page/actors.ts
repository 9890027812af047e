/** The list on the left: rooms by machine, people with their connections, and what narrows it down. */
import { type ComponentChild, html } from './html.ts'
import type { Actor, Actors } from './messages.ts'
import type { Place } from './places.ts'

export interface Query {
  readonly search: string
  /** Any state where it is empty. */
  readonly state: string
  readonly failed: boolean
}

export interface Sections {
  readonly rooms: Actors
  readonly sessions: Actors
  readonly connections: Actors
}

export interface ActorListProps {
  readonly sections: Sections | undefined
  readonly states: readonly string[]
  readonly query: Query
  readonly place: Place
  readonly ask: (query: Query) => void
  readonly go: (place: Place) => void
}

export function ActorList({ sections, states, query, place, ask, go }: ActorListProps): ComponentChild {
  return html`<nav class="actors" aria-label="Actors" onKeyDown=${moveFocus}>
    <div class="filters">
      <input id="search" type="search" placeholder="Search actors" aria-label="Search actors" aria-keyshortcuts="/"
        value=${query.search} onInput=${(event: InputEvent) => ask({ ...query, search: textOf(event) })} />
      <kbd aria-hidden="true">/</kbd>
      <select aria-label="In state" value=${query.state} onChange=${(event: Event) => ask({ ...query, state: textOf(event) })}>
        <option value="">Any state</option>
        ${[...new Set([...states, query.state])].filter(Boolean).map((state) => html`<option key=${state} value=${state} selected=${state === query.state}>${state}</option>`)}
      </select>
      <label class="check"><input type="checkbox" checked=${query.failed}
        onChange=${() => ask({ ...query, failed: !query.failed })} /> Failed</label>
    </div>
    <div class="list">${sections ? html`<${Lists} sections=${sections} isNarrowed=${query.search !== '' || query.state !== '' || query.failed} place=${place} go=${go} />` : html`<p class="hint">…</p>`}</div>
  </nav>`
}

const textOf = (event: Event): string => (event.target as HTMLInputElement).value

type ListsProps = { readonly sections: Sections; readonly isNarrowed: boolean } & Pick<ActorListProps, 'place' | 'go'>

function Lists({ sections: { rooms, sessions, connections }, isNarrowed, place, go }: ListsProps): ComponentChild {
  const machines = grouped(rooms.actors, ({ machine }) => machine)
  const people = grouped(
    [...sessions.actors, ...connections.actors],
    ({ user, name, kind }) => user || (kind === 'session' ? name : ''),
  )
  if (rooms.total + sessions.total + connections.total === 0)
    return html`<p class="hint">${isNarrowed ? 'No actor fits.' : 'No room has been entered yet, and nobody is here.'}</p>`
  return html`
    ${rooms.total > 0 ? html`<h2>Rooms <span>${rooms.total}</span></h2>` : ''}
    ${machines.map(
      ([machine, actors]) => html`<section key=${machine}>
      <button class="group ${place.kind === 'machine' && place.machine === machine ? 'here' : ''}" title="All rooms of ${machine} on one chart"
        onClick=${() => go({ kind: 'machine', machine })}>${machine}<span>overview</span></button>
      <ul>${actors.map((actor) => html`<${Row} key=${actor.actor} actor=${actor} place=${place} go=${go} />`)}</ul>
    </section>`,
    )}
    <${More} of=${rooms} />
    ${people.length > 0 ? html`<h2>People <span>${sessions.total}</span></h2>` : ''}
    ${people.map(
      ([user, actors]) => html`<section key=${user}>
      ${actors[0]?.kind === 'session' ? '' : html`<p class="group">${user || 'not yet known'}</p>`}
      <ul>${actors.map((actor) => html`<${Row} key=${actor.actor} actor=${actor} place=${place} go=${go} />`)}</ul>
    </section>`,
    )}
    <${More} of=${connections} />`
}

function More({ of: { actors, total, more } }: { readonly of: Actors }): ComponentChild {
  return more ? html`<p class="hint">${total - actors.length} more; search for them.</p>` : ''
}

type RowProps = { readonly actor: Actor } & Pick<ActorListProps, 'place' | 'go'>

function Row({ actor, place, go }: RowProps): ComponentChild {
  const { actor: name, kind, failed, asleep, state, present, seq } = actor
  const isHere = place.kind === 'actor' && place.actor === name
  const light = failed !== undefined ? 'failed' : asleep || state === 'closed' ? 'asleep' : 'awake'
  const notes = [
    failed ?? (asleep ? 'asleep' : ''),
    present === undefined ? '' : `${present} present`,
    seq === undefined ? '' : `seq ${seq}`,
  ]
  return html`<li><button class="actor ${kind} ${isHere ? 'here' : ''}" aria-current=${isHere ? 'true' : undefined}
    title=${[name, state, ...notes].filter(Boolean).join('\n')} onClick=${() => go({ kind: 'actor', actor: name })}>
    <i class="dot ${light}" aria-label=${light}></i><span class="name">${shortName(actor)}</span>
    <span class="state">${failed === undefined ? state : 'failed'}</span>
  </button></li>`
}

/** Rooms stand beneath their machine already. */
function shortName({ kind, machine, name }: Actor): string {
  return kind === 'room' && name.startsWith(`${machine}/`) ? name.slice(machine.length + 1) : name
}

function grouped(actors: readonly Actor[], by: (actor: Actor) => string): [string, Actor[]][] {
  const groups = new Map<string, Actor[]>()
  for (const actor of actors) groups.set(by(actor), [...(groups.get(by(actor)) ?? []), actor])
  return [...groups]
}

/** Arrows up and down walk through the list. */
function moveFocus(event: KeyboardEvent): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
  const list = event.currentTarget as Element
  if (step === undefined || (event.target as Element).matches('select')) return
  const buttons = [...list.querySelectorAll<HTMLElement>('.list button')]
  const next = buttons[buttons.indexOf(document.activeElement as HTMLElement) + step]
  if (!next) return
  event.preventDefault()
  next.focus()
}
