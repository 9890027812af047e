/** What went wrong or came to its end, in words for who asks why: a connection that was closed, a room that has failed. */
import type { State, Step } from '../told.ts'

/** What a close code says where the server gave no reason of its own (RFC 6455 7.4.1). */
const CODES: Readonly<Record<string, string>> = {
  1000: 'the peer was done',
  1001: 'the peer went away',
  1005: 'the peer gave no reason',
  1006: 'the peer vanished without a close frame',
}

type Ended = Pick<State, 'value' | 'context'> & { readonly actor?: string }

/** Why a connection ends, once it does: `closed 4000 bad_request: too many frames had to be refused`. */
export function endingOf({ actor, value, context }: Ended, step: Pick<Step, 'cause'> | undefined): string | undefined {
  if (!actor?.startsWith('connection:') || (value !== 'closed' && value !== 'closing')) return undefined
  const { ending } = (context ?? {}) as { ending?: { reason: string; message: string } | null }
  const code = /^\d+$/.test(step?.cause ?? '') ? step?.cause : undefined
  const what = [value, code, ending?.reason].filter(Boolean).join(' ')
  const why = ending ? ending.message : code && (CODES[code] ?? 'the peer closed it')
  return why ? `${what}: ${why}` : what
}

/** What an operator asks the server about a room that has failed, and then for it (docs/api.md). */
export function remediesOf(actor: string): readonly string[] {
  const room = `/v1/rooms/${actor.replace(/^room:/, '')}`
  return [`GET ${room}/dead-letters`, `POST ${room}/revive`]
}
