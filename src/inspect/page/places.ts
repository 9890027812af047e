/** The page's address: which actor or machine is looked at, and which moment of it. `#room:chat/lobby@17`, `#machine:chat`. */

export type Place =
  | { readonly kind: 'nowhere' }
  | { readonly kind: 'machine'; readonly machine: string }
  | { readonly kind: 'actor'; readonly actor: string; readonly seq?: number }

const MACHINE = 'machine:'

export function placeOf(hash: string): Place {
  const text = decode(hash.replace(/^#/, ''))
  if (text.startsWith(MACHINE)) return { kind: 'machine', machine: text.slice(MACHINE.length) }
  if (!text.includes(':')) return { kind: 'nowhere' }
  // A user's name may contain an @ too: only digits behind the last one are a moment.
  const [, actor = text, seq] = /^(.+)@(\d+)$/.exec(text) ?? []
  return seq === undefined ? { kind: 'actor', actor } : { kind: 'actor', actor, seq: Number(seq) }
}

export function hashOf(place: Place): string {
  if (place.kind === 'nowhere') return '#'
  if (place.kind === 'machine') return `#${MACHINE}${encodeURI(place.machine)}`
  return `#${encodeURI(place.actor)}${place.seq === undefined ? '' : `@${place.seq}`}`
}

function decode(text: string): string {
  try {
    return decodeURI(text)
  } catch {
    return text // Somebody typed a lone percent sign; it means itself.
  }
}
