/**
 * The command `init`: a folder with one machine, one page and one test, that runs and passes as it is.
 *
 * Always true: nothing that is there already is changed; what is asked of npm are the versions that this one was made with.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Of this package, by its own name: it stands at another distance from the source and from what was built of it. */
const HOME = dirname(fileURLToPath(import.meta.resolve('chartroom/package.json')))

interface Manifest {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly overrides: Readonly<Record<string, string>>
  readonly allowScripts: Readonly<Record<string, boolean>>
}

/** @returns what to do next. @throws where the folder has something in it. */
export function initApp(folder: string): string {
  if (filesIn(folder).length > 0) throw new Error(`${folder} is not empty; name a new folder`)
  mkdirSync(folder, { recursive: true })
  cpSync(join(HOME, 'starter'), folder, { recursive: true })
  // npm would keep a .gitignore to itself.
  renameSync(join(folder, 'gitignore'), join(folder, '.gitignore'))
  const own = read<Manifest>(join(HOME, 'package.json'))
  const source = sourceOf(own.version)
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifestOf(folder, own, source), null, 2)}\n`)
  const isPacked = !source.startsWith('file:') || existsSync(source.slice('file:'.length))
  const steps = [...(isPacked ? [] : [`(cd ${HOME} && npm pack)`]), `cd ${folder}`, 'npm install', 'npm run dev']
  return `${folder} is ready. Next:\n${steps.map((step) => `\n  ${step}`).join('')}`
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new Error(`${folder} cannot be used: ${(error as Error).message}`)
  }
}

function manifestOf(folder: string, own: Manifest, source: string): object {
  return {
    name:
      basename(resolve(folder))
        .toLowerCase()
        .replaceAll(/[^a-z0-9-]+/g, '-')
        .replace(/^-+/, '') || 'app',
    private: true,
    type: 'module',
    scripts: {
      start: 'exec chartroom start --public public',
      dev: 'exec chartroom dev --public public',
      test: 'chartroom check && node --import tsx --test test/*.test.ts',
    },
    dependencies: { chartroom: source, xstate: own.dependencies.xstate, zod: own.dependencies.zod },
    devDependencies: {
      '@types/node': own.devDependencies['@types/node'],
      tsx: own.dependencies.tsx,
      typescript: own.devDependencies.typescript,
    },
    overrides: own.overrides,
    allowScripts: own.allowScripts,
  }
}

/**
 * What npm is to take this package from: its version; or the file that it was installed from, as npm noted it beside, since
 * a registry may not have it. A checkout is packed, as an app that is linked to it would have two copies of xstate.
 */
function sourceOf(version: string): string {
  const modules = dirname(HOME)
  if (basename(modules) !== 'node_modules') return `file:${join(HOME, `chartroom-${version}.tgz`)}`
  const { packages } = read<{ packages: Record<string, { resolved?: string } | undefined> }>(
    join(modules, '.package-lock.json'),
  )
  const [, file] = /^file:(.+)$/.exec(packages['node_modules/chartroom']?.resolved ?? '') ?? []
  return file === undefined ? version : `file:${resolve(dirname(modules), file)}`
}

const read = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8')) as T
