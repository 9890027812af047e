/**
 * Judges a history: what clients asked of a server, what they were told, what is stored in the end. Pure; the one
 * judge of every torture and of the tests. A violation is a sentence that begins with the place.
 */
import { inboxViolations } from './inbox-rules.ts'
import type { Dated, Observation, Place } from './observation.ts'
import { roomViolations } from './room-rules.ts'

/** @returns a sentence for each promise that the history shows to be broken; none when all is well. */
export function check(history: readonly Observation[]): string[] {
  return [...byPlace(history)].flatMap(([place, seen]) => {
    const violations = place.startsWith('room') ? roomViolations(seen) : inboxViolations(seen)
    return [...new Set(violations)].map((violation) => `${place}: ${violation}`)
  })
}

function byPlace(history: readonly Observation[]): Map<Place, Dated[]> {
  const places = new Map<Place, Dated[]>()
  let life = 1
  for (const observation of history) {
    if (observation.type === 'restarted') {
      life++
      continue
    }
    const seen = places.get(observation.place) ?? []
    seen.push({ ...observation, life })
    places.set(observation.place, seen)
  }
  return places
}
