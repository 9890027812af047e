/** Instants, spans and events in few letters. */

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hourCycle: 'h23' })
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })

/** 14:03:07.250, with the day where it is another one. */
export function instant(time: number, now: number): string {
  const at = `${clock.format(time)}.${String(time % 1000).padStart(3, '0')}`
  return day.format(time) === day.format(now) ? at : `${day.format(time)} ${at}`
}

/** 12 ms, 1.3 s, 4 min, 2 h. */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(ms < 10_000 ? 1 : 0))} s`
  if (ms < 3_600_000) return minutes(Math.round(ms / 1000))
  return ms < 172_800_000 ? `${(ms / 3_600_000).toFixed(1)} h` : `${Math.round(ms / 86_400_000)} days`
}

const minutes = (seconds: number): string =>
  `${Math.floor(seconds / 60)} min${seconds % 60 === 0 ? '' : ` ${seconds % 60} s`}`

/** XState's own events by what they are. */
export function titleOf(type: string): string {
  const [, delay] = /^xstate\.after\.([^.]+)\./.exec(type) ?? []
  if (delay !== undefined) return `after ${/^\d+$/.test(delay) ? span(Number(delay)) : delay}`
  const [, what, actor] = /^xstate\.(done|error)\.(?:actor|state)\.(.+)$/.exec(type) ?? []
  return what === undefined ? type.replace(/^xstate\./, '') : `${what} ${actor?.replace(/^\d+\./, '')}`
}

/** What an event says beside its type, and what the log shows of it anyway; nothing where it says nothing. */
export function payloadOf(event: { readonly type: string }): string {
  const { type: _, from: __, time: ___, ...said } = event as Record<string, unknown>
  const text = JSON.stringify(said)
  return text === '{}' ? '' : text
}

/** Whether a number is most likely an instant: Unix epoch milliseconds of this century. */
export const isInstant = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) > 946_684_800_000 && (value as number) < 4_102_444_800_000
