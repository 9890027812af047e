/** Events as people write them: `bid {"amount": 5}`, `FULL`, or the whole object as JSON. */
import type { SentEvent } from './messages.ts'

/** @throws {SyntaxError} that says what was expected. */
export function readEvent(text: string): SentEvent {
  const [, type = '', payload = ''] = /^([^\s{]*)\s*(.*)$/s.exec(text.trim()) ?? []
  const object: unknown = payload === '' ? {} : JSON.parse(payload)
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw new SyntaxError('an event is an object')
  const event = type === '' ? object : { ...object, type }
  if (typeof (event as Partial<SentEvent>).type !== 'string') throw new SyntaxError('an event has a type')
  return event as SentEvent
}

/** One event a line; empty lines are none. */
export function readEvents(text: string): SentEvent[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(readEvent)
}
