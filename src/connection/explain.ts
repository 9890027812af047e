/** The command `explain`: asks a running server for the story of a connection, and tells it line by line. */
import type { Story, Transition } from './journal.ts'

/** @throws when the server does not answer, or knows nothing of the connection. */
export async function explain(base: string, connection: string, token: string): Promise<string> {
  const url = `${base}/v1/connections/${encodeURIComponent(connection)}`
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } }).catch((error: Error) => {
    throw new Error(`no server answers at ${base}${because(error)}; say where with --host and --port`)
  })
  const body = (await response.json()) as Story & { message?: string }
  if (!response.ok) throw new Error(body.message ?? `the server answered ${response.status}`)
  const who = `${body.connection}, user ${body.user ?? '(none)'}, from ${body.address}`
  return [who, ...body.transitions.map(lineOf)].join('\n')
}

/** A certificate that does not name the host is no silence. */
function because({ cause }: Error): string {
  const { code = '', message } = (cause ?? {}) as NodeJS.ErrnoException
  return /CERT|SIGN/.test(code) ? ` (${message})` : ''
}

function lineOf({ time, from, to, event, cause, ms }: Transition): string {
  const step = `${from ?? '·'} → ${to}`.padEnd(28)
  return `${new Date(time).toISOString()}  ${step} ${event}${cause ? ` (${cause})` : ''}, after ${ms} ms`
}
