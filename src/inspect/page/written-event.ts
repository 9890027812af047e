/** Events as people write them: `bid {"amount": 5}`, `FULL`, or the whole object as JSON. */
import type { ActorEvent } from '../told.ts'

/** @throws {SyntaxError} that says what was expected. */
export function readEvent(text: string): ActorEvent {
  const [, type = '', payload = ''] = /^([^\s{]*)\s*(.*)$/s.exec(text.trim()) ?? []
  const object: unknown = payload === '' ? {} : JSON.parse(payload)
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw new SyntaxError('an event is an object')
  const event = type === '' ? object : { ...object, type }
  if (typeof (event as Partial<ActorEvent>).type !== 'string') throw new SyntaxError('an event has a type')
  return event as ActorEvent
}

/**
 * One event a line; empty lines are none.
 *
 * @throws {SyntaxError} that names the line.
 */
export function readEvents(text: string): ActorEvent[] {
  return text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [readLine(line, index + 1)]))
}

function readLine(line: string, number: number): ActorEvent {
  try {
    return readEvent(line)
  } catch (error) {
    // Where in the line, JSON.parse counts from the brace, and on a line of its own.
    const what = (error as Error).message.replace(/ at position \d+| \(line \d+ column \d+\)/g, '')
    throw new SyntaxError(`line ${number}: ${what}`)
  }
}
