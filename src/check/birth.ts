/**
 * A room's birth, tried: a machine whose first state cannot be made, or is no JSON, has rooms that nobody gets into.
 *
 * Always true: no effect is run and nothing is stored; what depends on the room's name may be otherwise in another room,
 * and is a note.
 */
import type { RoomDocument } from '../machine/document.ts'
import { Machine } from '../machine/machine.ts'
import type { LoadedFile } from '../machine/machine-file.ts'
import { NO_DOWNTIME } from '../machine/uptime.ts'
import { sealJson } from '../patch.ts'
import { isPlain } from './config.ts'

/** What is wrong with a first state. */
export interface BirthFault {
  readonly what: string
  /** Where it may stand in the source. */
  readonly names: readonly string[]
  readonly error?: Error
  /** It is so in every room. */
  readonly isSure?: boolean
  readonly isNote?: true
}

/** No room that anybody would name so. */
const KEY = 'check'

/** @returns what keeps a room from being born, `undefined` where nothing does */
export function birthFault(name: string, file: LoadedFile): BirthFault | undefined {
  const { input, wasAsked } = watched({ room: `${name}/${KEY}`, key: KEY })
  const fault = faultOf(name, file, input)
  if (!fault || fault.isSure || !wasAsked()) return fault
  return { ...fault, what: `with the key ${JSON.stringify(KEY)}: ${fault.what}`, isNote: true }
}

function faultOf(name: string, file: LoadedFile, input: { room: string; key: string }): BirthFault | undefined {
  let document: RoomDocument
  try {
    const hosted = new Machine(name, file).host(() => {}, NO_DOWNTIME)
    document = hosted.initial(input, { now: Date.now(), seq: 1 }).state.document
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(`it throws ${JSON.stringify(thrown)}`)
    const what = `a room cannot be born: ${error.message.replaceAll(/\s*\n\s*/g, ' ')}; mend the context, or what is done on entry`
    return { what, names: ['context'], error }
  }
  return notJson(document)
}

const AS_JSON = 'keep a Date as its number (getTime()), a Map as a plain object, a Set as an array, an actor as its id'

function notJson(document: RoomDocument): BirthFault | undefined {
  try {
    sealJson(document)
    return undefined
  } catch (error) {
    const { path, value } = placeIn(document)
    const isNumber = typeof value === 'number'
    const advice = isNumber ? 'write another number, or null' : AS_JSON
    const what = `${path.join('.')}: ${(error as Error).message}; ${advice}`
    return { what, names: [...path].reverse(), isSure: !isNumber }
  }
}

/** Keys that are told of a way that has no end. */
const MAX_PATH = 20

/** The keys that lead to what is no JSON, and that itself. */
function placeIn(value: unknown, path: readonly string[] = []): { path: readonly string[]; value: unknown } {
  const within = (Array.isArray(value) || isPlain(value)) && path.length < MAX_PATH ? Object.entries(value) : []
  const found = within.find(([, inner]) => !isJson(inner))
  return found ? placeIn(found[1], [...path, found[0]]) : { path, value }
}

function isJson(value: unknown): boolean {
  try {
    sealJson(value)
    return true
  } catch {
    return false
  }
}

/** The same object, which knows whether anybody has read it. */
function watched<T extends object>(value: T): { input: T; wasAsked(): boolean } {
  let asked = false
  const input = {} as T
  for (const [key, inner] of Object.entries(value)) {
    const get = () => {
      asked = true
      return inner
    }
    Object.defineProperty(input, key, { enumerable: true, get })
  }
  return { input, wasAsked: () => asked }
}
