/**
 * Watches the machine files of a development server: one that was changed is looked at as at a start, and taken over.
 *
 * Always true: a file with a mistake in it changes nothing, and its mistakes are told; what was told last is how it is. Only
 * the file itself is read again: what it imports stays as it was at the start.
 */
import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { basename, dirname, extname } from 'node:path'
import { isOneFile, lookAtMachineFile, machineFiles, mistakesOf } from './check/load.ts'
import type { Repertoire, Takeover } from './room/repertoire.ts'

/** Milliseconds of quiet after which a file counts as written. */
const QUIET = 50

export interface Voice {
  say(line: string): void
  complain(line: string): void
}

export class MachineWatch {
  readonly #folder: string
  readonly #repertoire: Repertoire
  readonly #voice: Voice
  readonly #watcher: FSWatcher
  /** What stands in each file. */
  readonly #texts: Map<string, string>
  #edition = 0
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()

  /** @param folder of machine files, or one of them */
  constructor(folder: string, repertoire: Repertoire, voice: Voice) {
    this.#folder = folder
    this.#repertoire = repertoire
    this.#voice = voice
    this.#texts = new Map(machineFiles(folder).map((path) => [path, readFileSync(path, 'utf8')]))
    this.#watcher = watch(isOneFile(folder) ? dirname(folder) : folder, () => this.#changed())
  }

  stop(): void {
    this.#watcher.close()
    clearTimeout(this.#timer)
  }

  #changed(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#looking = this.#looking.then(() => this.#look()).catch((error) => this.#voice.complain(error.message))
    }, QUIET)
  }

  async #look(): Promise<void> {
    const paths = machineFiles(this.#folder)
    for (const path of this.#texts.keys()) if (!paths.includes(path)) this.#remove(path)
    for (const path of paths) {
      const text = readFileSync(path, 'utf8')
      if (text === this.#texts.get(path)) continue
      this.#texts.set(path, text)
      await this.#take(path)
    }
  }

  #remove(path: string): void {
    this.#texts.delete(path)
    const name = nameOf(path)
    if ([...this.#texts.keys()].some((other) => nameOf(other) === name)) return
    this.#repertoire.remove(name)
    this.#voice.say(`${name}  is gone: its rooms answer unknown_machine`)
  }

  async #take(path: string): Promise<void> {
    const twin = [...this.#texts.keys()].find((other) => other !== path && nameOf(other) === nameOf(path))
    if (twin) return this.#voice.complain(`${path}  ${twin} is called ${nameOf(path)} as well; rename one of them`)
    const look = await lookAtMachineFile(path, ++this.#edition)
    if (look.file) return this.#tell(look.name, await this.#repertoire.put(look.name, look.file))
    for (const mistake of mistakesOf(look)) this.#voice.complain(mistake)
    this.#voice.say(`${look.name}  stays as it was`)
  }

  #tell(name: string, { isNew, rooms, failures }: Takeover): void {
    const going = `its ${rooms} ${rooms === 1 ? 'room goes' : 'rooms go'} on`
    this.#voice.say(
      `${name}  ${isNew ? 'is new' : 'was taken over'}${rooms > 0 && failures.length === 0 ? `; ${going}` : ''}`,
    )
    for (const { message } of failures)
      this.#voice.complain(`${message}; to begin anew, use another folder with --data`)
  }
}

const nameOf = (path: string): string => basename(path, extname(path))
