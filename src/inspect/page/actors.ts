/** The list on the left: rooms by machine, people with their connections, and what narrows it down. */
import type { Chart } from '../shapes.ts'
import type { Actor, Actors } from '../told.ts'
import { type ComponentChild, html } from './html.ts'
import { FEW, type Group, isNarrowing, MOST, type Query, type Sections, wantedOf } from './listing.ts'
import type { Place } from './places.ts'
import { briefState, statesOf } from './states.ts'

export interface ActorListProps {
  readonly sections: Sections | undefined
  /** Of the machines that are known, by their names. */
  readonly charts: ReadonlyMap<string, Chart>
  /** The actor that is looked at, which is listed whatever is searched for. */
  readonly opened: Actor | undefined
  readonly query: Query
  readonly place: Place
  readonly ask: (query: Query) => void
  readonly go: (place: Place) => void
}

export function ActorList(props: ActorListProps): ComponentChild {
  const { sections, charts, query, ask } = props
  const states = [...new Set([...charts.values()].flatMap(statesOf))].sort()
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
    <div class="list">${sections ? html`<${Lists} ...${props} />` : html`<p class="hint">…</p>`}</div>
  </nav>`
}

const textOf = (event: Event): string => (event.target as HTMLInputElement).value

function Lists(props: ActorListProps & { readonly sections: Sections }): ComponentChild {
  const { sections, opened, query } = props
  const { groups, rooms, sessions, connections } = sections
  const people = byUser([...sessions.actors, ...connections.actors])
  const isListed = [
    ...groups.flatMap((group) => listedOf(group, query)),
    ...sessions.actors,
    ...connections.actors,
  ].some(({ actor }) => actor === opened?.actor)
  return html`
    ${opened && !isListed ? html`<section><h2>Shown</h2><ul><${Row} ...${props} actor=${opened} isWhole /></ul></section>` : ''}
    ${rooms + sessions.total + connections.total === 0 ? html`<p class="hint">${isNarrowing(query) ? 'No actor fits.' : 'No room has been entered yet, and nobody is here.'}</p>` : ''}
    ${groups.length > 0 ? html`<h2>Rooms <span>${rooms}</span></h2>` : ''}
    ${groups.map((group) => html`<${Machine} key=${group.machine} ...${props} group=${group} />`)}
    ${people.length > 0 ? html`<h2>People <span>${sessions.total}</span></h2>` : ''}
    ${people.map(
      ([user, actors]) => html`<section key=${user}>
      ${actors[0]?.kind === 'session' ? '' : html`<p class="group">${user || 'not yet known'}</p>`}
      <ul>${actors.map((actor) => html`<${Row} ...${props} key=${actor.actor} actor=${actor} />`)}</ul>
    </section>`,
    )}
    <${More} count=${leftOut(sessions) + leftOut(connections)} />`
}

const leftOut = ({ actors, total }: Actors): number => total - actors.length

/** As many rooms of a machine as somebody wanted to see. */
const listedOf = ({ machine, actors }: Group, query: Query): readonly Actor[] =>
  actors.slice(0, wantedOf(query, machine))

function Machine(props: ActorListProps & { readonly group: Group }): ComponentChild {
  const { group, query, place, ask, go } = props
  const { machine, total } = group
  const shown = listedOf(group, query)
  const isFolded = wantedOf(query, machine) === 0
  const list = (count: number): void => ask({ ...query, listed: { ...query.listed, [machine]: count } })
  const isHere = place.kind === 'machine' && place.machine === machine
  return html`<section>
    <div class="heading ${isHere ? 'here' : ''}">
      <button class="fold" disabled=${total === 0} aria-expanded=${!isFolded} aria-label="The rooms of ${machine}" onClick=${() => list(isFolded ? FEW : 0)}>${total === 0 ? '' : isFolded ? '▸' : '▾'}</button>
      <button class="group" title="All rooms of ${machine} on one chart" aria-current=${isHere ? 'true' : undefined}
        onClick=${() => go({ kind: 'machine', machine })}>${machine} <${Figures} ...${group} /><span>overview</span></button>
    </div>
    <ul>${shown.map((actor) => html`<${Row} ...${props} key=${actor.actor} actor=${actor} />`)}</ul>
    ${!isFolded && shown.length < Math.min(total, MOST) ? html`<button class="further" onClick=${() => list(4 * shown.length)}>Show more (${total - shown.length})</button>` : ''}
    <${More} count=${shown.length >= MOST ? total - shown.length : 0} />
  </section>`
}

/** How many rooms are awake, asleep and failed; of a narrowed list how many fit. */
function Figures({ total, tally }: Group): ComponentChild {
  if (!tally || total === 0) return html`<small>${total}</small>`
  const { rooms, asleep, failed } = tally
  const figures = Object.entries({ awake: rooms - asleep - failed, asleep, failed }).filter(([, count]) => count > 0)
  return figures.map(
    ([light, count]) =>
      html`<small key=${light} title="${count} ${light}"><i class="dot ${light}" aria-label=${light}></i>${count}</small>`,
  )
}

function More({ count }: { readonly count: number }): ComponentChild {
  return count > 0 ? html`<p class="hint">${count} more; search for them.</p>` : ''
}

interface RowProps extends Pick<ActorListProps, 'charts' | 'place' | 'go'> {
  readonly actor: Actor
  /** It does not stand beneath its machine. */
  readonly isWhole?: boolean
}

function Row({ actor, charts, place, go, isWhole }: RowProps): ComponentChild {
  const { actor: name, kind, machine, failed, asleep, state, present, seq } = actor
  const isHere = place.kind === 'actor' && place.actor === name
  const light = failed !== undefined ? 'failed' : asleep || state === 'closed' ? 'asleep' : 'awake'
  const notes = [
    failed ?? (asleep ? 'asleep' : ''),
    present === undefined ? '' : `${present} present`,
    seq === undefined ? '' : `seq ${seq}`,
  ]
  return html`<li><button class="actor ${kind} ${isHere ? 'here' : ''}" aria-current=${isHere ? 'true' : undefined}
    title=${[name, state, ...notes].filter(Boolean).join('\n')} onClick=${() => go({ kind: 'actor', actor: name })}>
    <i class="dot ${light}" aria-label=${light}></i><span class="name">${isWhole ? actor.name : shortName(actor)}</span>
    <span class="state">${failed === undefined ? briefState(state, charts.get(machine)) : 'failed'}</span>
  </button></li>`
}

/** Rooms stand beneath their machine already. */
function shortName({ kind, machine, name }: Actor): string {
  return kind === 'room' && name.startsWith(`${machine}/`) ? name.slice(machine.length + 1) : name
}

/** People, each with the connections that are theirs. */
function byUser(actors: readonly Actor[]): [string, Actor[]][] {
  const people = new Map<string, Actor[]>()
  for (const actor of actors) {
    const user = actor.user || (actor.kind === 'session' ? actor.name : '')
    people.set(user, [...(people.get(user) ?? []), actor])
  }
  return [...people]
}

/** From anywhere into the list: to what is looked at, or to the first. */
export function focusList(): void {
  const one = (of: string): HTMLElement | null => document.querySelector(`.list button${of}`)
  ;(one('[aria-current]') ?? one(':not(.fold)'))?.focus()
}

/** Arrows up and down walk through the list. */
function moveFocus(event: KeyboardEvent): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
  const list = event.currentTarget as Element
  if (step === undefined || (event.target as Element).matches('select')) return
  const buttons = [...list.querySelectorAll<HTMLElement>('.list button:not(.fold)')]
  const next = buttons[buttons.indexOf(document.activeElement as HTMLElement) + step]
  if (!next) return
  event.preventDefault()
  next.focus()
}
