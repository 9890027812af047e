/** What the four scenarios have in common that ask whether an event costs more where there is more of something. */
import { type Contestant, contestant, figure, type Goal, type Scenario, type Stand } from '../measure.ts'
import type { Start } from '../servers.ts'

/** Events a second, the same for all that are compared. */
export const RATE = 2000
const INCREMENT = { type: 'increment' }

export const numbered = (machine: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${machine}/${String(n).padStart(5, '0')}`)

/** `count` things dealt to `hands` by turns. */
export const dealt = (things: readonly string[], hands: number): string[][] =>
  Array.from({ length: hands }, (_, hand) => {
    const mine = things.filter((_, n) => n % hands === hand)
    return mine.length > 0 ? mine : [things[hand % things.length] as string]
  })

/** So many connections, each sending to its share of the rooms, all of which are awake. */
export async function sendersOf(stand: Stand, connections: number, rooms: readonly string[]): Promise<void> {
  const shares = dealt(rooms, connections)
  await stand.load.ask('open', stand.opening(connections))
  const ring = Math.max(64, Math.ceil(RATE / connections))
  await stand.load.ask('flow', { kind: 'event', rooms: shares, event: INCREMENT, ring: Math.min(ring, 4096) })
}

export const sized = (size: number, what: string): string => `${size.toLocaleString('en')} ${what}`

/** A contestant for each size. */
export function ladder(
  sizes: readonly number[],
  what: string,
  start: Start,
  setUp: (stand: Stand, size: number) => Promise<unknown>,
  sample: (stand: Stand) => ReturnType<Stand['rate']> = (stand) => stand.rate('rate', RATE),
): Contestant[] {
  return sizes.map((size) => contestant(sized(size, what), start, (stand) => setUp(stand, size), sample))
}

/** The cost of an event where there is most, to where there is least. */
export function costGoal(title: string, [least, most]: readonly [string, string], name: string, value: number): Goal {
  const of: Goal['of'] = (round) => figure(round, least, name) / figure(round, most, name)
  return { title, bound: '<=', value, of }
}

export const DRAWN: Scenario['drawn'] = { 'rate.perCpu': `events per CPU second, at ${RATE} a second` }
