/**
 * From a folder to machines: every file is loaded and looked at, and what is wrong is told with its line before anybody
 * joins. The start of a server and the command `check` come through here alike.
 *
 * Always true: a file that passes can be hosted by this version with everything that it promises kept; all mistakes of all
 * files are told at once.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, extname, join, resolve } from 'node:path'
import type { AnyStateMachine } from 'xstate'
import type { LoadedFile, MachineFile } from '../machine/machine-file.ts'
import { birthFault } from './birth.ts'
import { type Finding, findings } from './findings.ts'
import { importFile } from './import.ts'
import { lineOf, lineOfFrame, loadFault } from './source.ts'
import { targetFaults, withoutFaults } from './targets.ts'

/** What was found in one file. */
export interface Look {
  readonly name: string
  /** From where the folder is named. */
  readonly path: string
  readonly file: LoadedFile | undefined
  readonly remarks: readonly Remark[]
}

export interface Remark {
  readonly what: string
  readonly line: number | undefined
  /** A note does not keep the file from being hosted. */
  readonly isNote: boolean
}

/** One mistake or more in machine files; the message has a line for each. */
export class MachineFileError extends Error {
  override readonly name = 'MachineFileError'
}

/**
 * Loads every `.ts` and `.js` file of a folder, each under its name.
 * @throws {MachineFileError} with one line per mistake.
 */
export async function loadMachineFiles(folder: string): Promise<Map<string, LoadedFile>> {
  const looks = await lookAtMachineFiles(folder)
  const mistakes = looks.flatMap(mistakesOf)
  if (mistakes.length > 0) throw new MachineFileError(mistakes.join('\n'))
  return new Map(looks.map(({ name, file }) => [name, file as LoadedFile]))
}

/** The lines that tell what is wrong with a file. */
export function mistakesOf({ path, remarks }: Look): string[] {
  return remarks.filter(({ isNote }) => !isNote).map((remark) => tell(path, remark))
}

export function tell(path: string, { line, what }: Remark): string {
  return `${path}${line === undefined ? '' : `:${line}`}  ${what}`
}

/**
 * Looks at every machine file of a folder, also behind a bad one; or at one file.
 * @throws {MachineFileError} where there is none.
 */
export async function lookAtMachineFiles(folder: string): Promise<Look[]> {
  const looks: Look[] = []
  for (const path of machineFiles(folder)) {
    const look = await lookAtMachineFile(path)
    const twin = looks.find(({ name }) => name === look.name)
    const what = `${twin?.path} is called ${look.name} as well; rename one of them`
    looks.push(
      twin ? { ...look, file: undefined, remarks: [...look.remarks, { what, line: undefined, isNote: false }] } : look,
    )
  }
  if (looks.length === 0) throw new MachineFileError(`${folder}: no machine file (.ts or .js) in it`)
  return looks
}

/** The paths of them; of one file its own. */
export function machineFiles(path: string): string[] {
  if (isOneFile(path)) return isMachineFile(path) ? [path] : []
  try {
    return readdirSync(path)
      .filter(isMachineFile)
      .sort()
      .map((file) => join(path, file))
      .filter((file) => !isFolder(file))
  } catch (error) {
    throw new MachineFileError(`${path}: ${(error as Error).message}; name the folder with --machines`)
  }
}

const isMachineFile = (file: string): boolean => /\.(ts|js)$/.test(file) && !file.endsWith('.d.ts')

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Whether this is a file and no folder of them. */
export const isOneFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true

const MISNAMED =
  'a machine file is named in lower case, digits and dashes, beginning with a letter; write e.g. "my-room.ts"'

/** The server's own charts, which the inspector shows by their names. */
const OWN = ['connection', 'session']
const TAKEN = 'a chart of the server has this name; give the file another one'

/** @param edition another than those before, for a file that was changed since */
export async function lookAtMachineFile(path: string, edition = 0): Promise<Look> {
  const name = basename(path, extname(path))
  const text = readFileSync(path, 'utf8')
  const misnamed = !/^[a-z][a-z0-9-]*$/.test(name) ? MISNAMED : OWN.includes(name) ? TAKEN : undefined
  const wrongName = misnamed === undefined ? [] : [{ what: misnamed, line: undefined, isNote: false }]
  const { file, remarks } = await lookInto(name, path, text, edition)
  const all = [...wrongName, ...remarks]
  return { name, path, file: all.every(({ isNote }) => isNote) ? file : undefined, remarks: all }
}

async function lookInto(
  name: string,
  path: string,
  text: string,
  edition: number,
): Promise<Pick<Look, 'file' | 'remarks'>> {
  const made: AnyStateMachine[] = []
  try {
    const exported: Partial<MachineFile> = await loaded(path, () =>
      withoutFaults(() => importFile(resolve(path), edition), made),
    )
    const found = findings({ ...exported })
    const file = { ...(exported as MachineFile), path }
    const all = [...found, ...lostIn(made).filter(({ what }) => found.every((known) => known.what !== what))]
    const remarks = all.map((finding) => placed(finding, text))
    return {
      file,
      remarks: remarks.every(({ isNote }) => isNote) ? [...remarks, ...unborn(name, file, text)] : remarks,
    }
  } catch (error) {
    const lost = lostIn(made).map((finding) => placed(finding, text))
    return { file: undefined, remarks: [...lost, { ...loadFault(error, resolve(path), text), isNote: false }] }
  }
}

/** What `load` gives; a file that ends the process meanwhile, or waits for what never comes, is named as it ends. */
async function loaded<T>(path: string, load: () => Promise<T>): Promise<T> {
  const name = (): void => {
    console.error(`${path}  ends the process while it is loaded, or waits for what never comes; it must do neither`)
    process.exitCode = 1
  }
  process.once('exit', name)
  try {
    return await load()
  } finally {
    process.off('exit', name)
  }
}

/** What leads nowhere in the machines that a file makes, exported or not. */
const lostIn = (made: readonly AnyStateMachine[]): Finding[] => made.flatMap(targetFaults)

function unborn(name: string, file: LoadedFile, text: string): Remark[] {
  const fault = birthFault(name, file)
  if (!fault) return []
  const { line, ...remark } = placed(fault, text)
  return [{ ...remark, line: (fault.error && lineOfFrame(fault.error, resolve(file.path))) ?? line }]
}

function placed({ what, names, behind, isNote }: Finding, text: string): Remark {
  const line = names.map((name) => lineOf(text, name, behind)).find((found) => found !== undefined)
  return { what, line, isNote: isNote === true }
}
