/**
 * Where in its source a mistake of a machine file stands. Nothing here parses: a line is the first that holds the name in
 * question, or the one that whoever could not load the file has named.
 *
 * Always true: no line is better than a wrong one; what cannot be found is told without.
 */
import { execFileSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { nearest } from '../nearest.ts'

/** What is wrong, in words, and where, as far as anybody knows. */
export interface Fault {
  readonly what: string
  readonly line: number | undefined
}

/**
 * The first line of `text`, from 1, that has `name` as a quoted string, as a key, or else as a word.
 * @param behind an export: only what follows it is looked at, where the text has it
 */
export function lineOf(text: string, name: string, behind?: string): number | undefined {
  const quoted = name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const edge = (side: string) => (/^\w/.test(side) ? '\\b' : '')
  const patterns = [`(['"\`])${quoted}\\1`, `(?<![\\w.'"])${quoted}(?=\\s*:)`, `${edge(name)}${quoted}(?![\\w'"])`]
  const code = withoutComments(text)
  const from = behind === undefined ? 0 : Math.max(0, code.search(new RegExp(`\\bexport\\b.*\\b${behind}\\b`)))
  for (const pattern of patterns) {
    const at = code.slice(from).search(new RegExp(pattern))
    if (at !== -1) return code.slice(0, from + at).split('\n').length
  }
  return undefined
}

/** Comments made blank: they speak of names, too. What looks like one within a string is taken for it as well. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, (comment) => comment.replaceAll(/[^\n]/g, ' '))
}

/** Why the file at `path` could not be loaded. @param text what stands in it */
export function loadFault(error: unknown, path: string, text: string): Fault {
  if (!(error instanceof Error)) return { what: `it throws ${JSON.stringify(error)} as it is loaded`, line: undefined }
  const transformed = transformFault(error, path)
  if (transformed) return transformed
  if (error instanceof SyntaxError) return syntaxFault(error, path)
  const { code } = error as NodeJS.ErrnoException
  if (code?.endsWith('_NOT_FOUND') || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return missingFault(error, path, text)
  if (code === 'ERR_REQUIRE_CYCLE_MODULE') return { what: NO_MODULE, line: undefined }
  if (isOfXState(error)) return chartFault(error, path, text)
  return { what: `${error.name} as it is loaded: ${oneLine(error.message)}`, line: lineOfFrame(error, path) }
}

/** What Node says of a TypeScript file that is not marked as a module, in words of its own machinery. */
const NO_MODULE = 'machine files are ES modules; write "type": "module" into the package.json above it'

const oneLine = (message: string): string =>
  message
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .join(' ')

/** As tsx says it: "<path>:<line>:<column>: ERROR: <message>", of this file or one that it imports. */
function transformFault({ message }: Error, path: string): Fault | undefined {
  const [, where, line, what] = /^(.+):(\d+):\d+: ERROR: (.+)$/m.exec(message.replaceAll(EDITION, '')) ?? []
  if (where === undefined) return undefined
  if (where === path) return { what: `it is no TypeScript: ${what}`, line: Number(line) }
  return { what: `${where}:${line} is no TypeScript: ${what}`, line: undefined }
}

/** Node tells the line of a module that is no JavaScript to its own output alone. */
function syntaxFault(error: SyntaxError, path: string): Fault {
  const what = /^The requested module/.test(error.message) ? error.message : `it is no JavaScript: ${error.message}`
  return { what, line: lineOfFrame(error, path) ?? lineOfSyntax(path) }
}

function lineOfSyntax(path: string): number | undefined {
  if (!path.endsWith('.js')) return undefined
  try {
    execFileSync(process.execPath, ['--check', path], { stdio: ['ignore', 'ignore', 'pipe'] })
    return undefined
  } catch (error) {
    return lineBehind(path, String((error as { stderr?: unknown }).stderr))
  }
}

/** Behind the name of a file that was read anew. */
const EDITION = /\?edition=\d+/g

/** The line of the file itself that a stack names. */
export const lineOfFrame = ({ stack = '' }: Error, path: string): number | undefined => lineBehind(path, stack)

function lineBehind(path: string, text: string): number | undefined {
  const told = text.replaceAll(EDITION, '')
  for (const name of [path, pathToFileURL(path).href]) {
    const at = told.indexOf(`${name}:`)
    const [line] = at === -1 ? [] : (/^\d+/.exec(told.slice(at + name.length + 1)) ?? [])
    if (line !== undefined) return Number(line)
  }
  return undefined
}

function missingFault({ message }: Error, path: string, text: string): Fault {
  const [, missing = '', from] = /'([^']+)'(?: imported from (.+))?/.exec(message.replaceAll(EDITION, '')) ?? []
  const last = missing.split('/').at(-1) ?? missing
  const specifier = new RegExp(`['"]([^'"]*${last.replaceAll('.', '\\.').replace(/\\\.\w+$/, '')}[^'"]*)['"]`).exec(
    text,
  )
  const what = /package/.test(message)
    ? `there is no package ${JSON.stringify(missing)}; install it, or correct its name`
    : `there is no file ${missing}; correct the path that is imported`
  const isOwn = from === undefined || from === path || from === pathToFileURL(path).href
  return isOwn
    ? { what, line: (specifier?.[1] && lineOf(text, specifier[1])) || undefined }
    : { what: `${what} (${from})`, line: undefined }
}

const isOfXState = ({ stack = '' }: Error): boolean =>
  /node_modules[\\/]xstate[\\/]/.test(stack.split('\n').find((line) => /^\s+at /.test(line)) ?? '')

/** XState found it while it made the machine, and so there is none that could be looked at. */
function chartFault(error: Error, path: string, text: string): Fault {
  const { what, line } = misspeltInitial(error, text) ?? {
    what: oneLine(error.message).replace(/\.$/, ''),
    line: lineOfFrame(error, path),
  }
  return { what: `${what}; the rest of the file cannot be looked at until this is mended`, line }
}

/** The state has an `initial`, by another name. */
function misspeltInitial({ message }: Error, text: string): Fault | undefined {
  const [, id] = /No initial state specified for compound state node "#(.+)"\. Try/.exec(message) ?? []
  if (id === undefined) return undefined
  const keys = [...withoutComments(text).matchAll(/(\w+)['"]?\s*:/g)].map(([, key]) => key as string)
  const wrong = keys.find((key) => key !== 'initial' && nearest(key, ['initial']) !== undefined)
  if (wrong === undefined) return undefined
  return { what: `${wrong}: no such name in a state (${id}); did you mean initial?`, line: lineOf(text, wrong) }
}
