/**
 * Takes a machine file into this process as it stands, JavaScript or TypeScript. The only importer of tsx.
 *
 * Always true: the file gets the very copy of `xstate` that the server has.
 */
import { pathToFileURL } from 'node:url'
import type { MachineFile } from '../machine/machine-file.ts'

/** Whether this process reads TypeScript already, as that of a checkout does. */
let readsTypeScript = import.meta.url.endsWith('.ts')

/** @param edition each is read once. @throws whatever the file throws as it is loaded. */
export async function importFile(path: string, edition: number): Promise<Partial<MachineFile>> {
  if (path.endsWith('.ts')) await readTypeScript()
  return import(`${pathToFileURL(path).href}${edition === 0 ? '' : `?edition=${edition}`}`)
}

async function readTypeScript(): Promise<void> {
  if (readsTypeScript) return
  readsTypeScript = true
  const { register } = await import('tsx/esm/api')
  register()
}
