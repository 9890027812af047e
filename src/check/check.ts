/**
 * The command `check`: the machine files as a start would find them, and with `--deploy` the stored rooms under them.
 *
 * Always true: nothing is changed and nothing is served; every mistake is a line, and any of them makes the exit code 1.
 */

import type { LoadedFile, MachineFile } from '../machine/machine-file.ts'
import { checkDeployment, isBad, tellVerdicts } from './deploy.ts'
import { isOneFile, type Look, lookAtMachineFiles, mistakesOf, tell } from './load.ts'
import { nodesOf } from './names.ts'
import { Strays } from './strays.ts'

export const CHECK_USAGE = `chartroom check [folder or file]   find the mistakes in machine files, each with its line
chartroom check --deploy           replay the stored rooms of --data under the machine files as they are now`

export interface CheckOptions {
  readonly folder: string
  readonly data: string
  readonly deploy: boolean
  readonly json: boolean
  /** With `deploy`: one room alone. */
  readonly room: string | undefined
}

type Print = (line: string) => void

/** @returns whether everything is as it should be. @throws where there is nothing to look at. */
export async function checkCommand(options: CheckOptions, print: Print, complain: Print): Promise<boolean> {
  const strays = new Strays()
  const looks = await lookAtMachineFiles(options.folder)
  const strayed = await strays.told(looks)
  for (const line of strayed) complain(line)
  const isSound = strayed.length === 0 && looks.every(({ file }) => file)
  if (!options.deploy || !isSound) {
    if (options.json) print(JSON.stringify({ ok: isSound, files: looks.map(asJson) }, null, 2))
    else for (const line of looks.flatMap(tellLook)) print(line)
    return isSound
  }
  const files = new Map(looks.map(({ name, file }) => [name, file as LoadedFile]))
  const machine = isOneFile(options.folder) ? looks[0]?.name : undefined
  const verdicts = await checkDeployment({ ...options, files, machine, onProgress: complain })
  const late = await strays.told(looks)
  for (const line of late) complain(line)
  const isAsBefore = late.length === 0 && !verdicts.some(isBad)
  if (options.json) print(JSON.stringify({ ok: isAsBefore, rooms: verdicts }, null, 2))
  else for (const line of tellVerdicts(verdicts)) print(line)
  return isAsBefore
}

function asJson({ path, name, file, remarks }: Look): object {
  return { path, name, ...(file && summaryOf(file)), remarks }
}

function tellLook(look: Look): string[] {
  const { path, name, file, remarks } = look
  if (!file) return mistakesOf(look)
  const { version, states, events } = summaryOf(file)
  const notes = remarks.map((remark) => tell(path, { ...remark, what: `note: ${remark.what}` }))
  return [`${name}  version ${version}, ${counted(states, 'state')}, events: ${events.join(', ') || 'none'}`, ...notes]
}

function summaryOf({ default: machine, version = '1' }: MachineFile) {
  const nodes = nodesOf(machine.root)
  const types = nodes.flatMap((node) => [...node.transitions.keys()])
  const events = [...new Set(types)].filter((type) => !type.startsWith('xstate.')).sort()
  return { version, states: Math.max(1, nodes.length - 1), events }
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`
