/** Rooms that have a past before anything is measured. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Stand } from './measure.ts'

/** Sends events of the chosen flow until so many are stored. */
export async function written({ load }: Stand, count: number, inFlight: number): Promise<void> {
  const { answers } = await load.ask('count')
  await load.ask('start', { inFlight })
  while ((await load.ask('count')).answers - answers < count) await pause(10)
  await load.ask('stop')
}
