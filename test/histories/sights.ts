/** What of a generated chart its machine's `view` and `viewEvent` show, and to whom. */
import type { MachineFile, PublicState } from '../../src/machine/machine-file.ts'
import type { Context } from './edits.ts'

export const SIGHTS = ['all', 'all', 'own', 'own without events', 'scoped', 'copied', 'throwing'] as const
export type Sight = (typeof SIGHTS)[number]

type Who = Parameters<NonNullable<MachineFile['view']>>[1]

const maySee = (who: Who): boolean => who.scopes.includes('see')

function own(state: PublicState, who: Who): object {
  const { secrets, list, ...shared } = state.context as Context
  const mine = secrets[who.user] ?? null
  return { ...shared, mine, known: Object.keys(secrets).length, list: maySee(who) ? list : list.length }
}

const VIEWS: Record<Exclude<Sight, 'all' | 'own without events'>, NonNullable<MachineFile['view']>> = {
  own,
  scoped: (state, who) => (maySee(who) ? state : { value: state.value, timers: state.timers }),
  copied: (state, who) => JSON.parse(JSON.stringify({ ...own(state, who), can: state.can })),
  throwing: (state, who) => {
    if ((state.context as Context).n % 5 === 4 && !maySee(who)) throw new Error('nothing to see')
    return own(state, who)
  },
}

/** Some events are nobody's, some are shown in part, most are shown as they are. */
const viewEvent: NonNullable<MachineFile['viewEvent']> = (record, who) => {
  const { type } = record.event
  if (maySee(who)) return record
  if (type === 'e1' || type === 'room.created') return null
  return type === 'e2' ? { ...record, event: { type } } : record
}

export function viewOf(sight: Sight): Pick<MachineFile, 'view' | 'viewEvent'> {
  if (sight === 'all') return {}
  if (sight === 'own without events') return { view: own }
  return { view: VIEWS[sight], viewEvent }
}
