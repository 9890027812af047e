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

/**
 * One event a line; empty lines are none.
 *
 * @throws {SyntaxError} that names the line.
 */
export function readEvents(text: string): SentEvent[] {
  return text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [readLine(line, index + 1)]))
}

function readLine(line: string, number: number): SentEvent {
  try {
    return readEvent(line)
  } catch (error) {
    // Where in the line, JSON.parse counts from the brace, and on a line of its own.
    const what = (error as Error).message.replace(/ at position \d+| \(line \d+ column \d+\)/g, '')
    throw new SyntaxError(`line ${number}: ${what}`)
  }
}
