/** The page's address: which actor or machine is looked at, and which moment of it. `#room:chat/lobby@17`, `#machine:chat`. */

export type Place =
  | { readonly kind: 'nowhere' }
  | { readonly kind: 'machine'; readonly machine: string }
  | { readonly kind: 'actor'; readonly actor: string; readonly seq?: number }

const MACHINE = 'machine:'

export function placeOf(hash: string): Place {
  const text = hash.replace(/^#/, '')
  if (text.startsWith(MACHINE)) return { kind: 'machine', machine: decode(text.slice(MACHINE.length)) }
  if (!text.includes(':')) return { kind: 'nowhere' }
  // Digits behind the last @ are a moment. One that belongs to a name is written as %40.
  const [, actor = text, seq] = /^(.+)@(\d+)$/.exec(text) ?? []
  return seq === undefined
    ? { kind: 'actor', actor: decode(actor) }
    : { kind: 'actor', actor: decode(actor), seq: Number(seq) }
}

export function hashOf(place: Place): string {
  if (place.kind === 'nowhere') return '#'
  if (place.kind === 'machine') return `#${MACHINE}${encodeURI(place.machine)}`
  const actor = encodeURI(place.actor).replaceAll('@', '%40')
  return place.seq === undefined ? `#${actor}` : `#${actor}@${place.seq}`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // Somebody typed a lone percent sign; it means itself.
  }
}
