/**
 * What a client holds of a room's state, and how a frame takes it further (rules S1, S2).
 *
 * Always true: a replica is what the server had at that epoch and seq. A patch that does not begin there is not applied.
 */
import type { ServerFrames } from '../protocol.ts'
import { applyPatch } from './patch.ts'

export interface Replica {
  readonly epoch: string
  readonly seq: number
  readonly state: unknown
}

/** The replica behind `frame`; `undefined` where only a snapshot will help. */
export function advance(held: Replica | undefined, frame: ServerFrames['snapshot' | 'patch']): Replica | undefined {
  const { epoch, seq } = frame
  if (frame.type === 'snapshot') return { epoch, seq, state: frame.state }
  if (held?.epoch !== epoch || held.seq !== frame.base) return undefined
  try {
    return { epoch, seq, state: applyPatch(held.state, frame.ops) }
  } catch {
    return undefined
  }
}
