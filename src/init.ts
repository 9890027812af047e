/**
 * The command `init`: a folder with one machine, one page and one test, that runs and passes as it is.
 *
 * Always true: nothing that is there already is changed; what is asked of npm are the versions that this one was made with.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
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
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifestOf(folder), null, 2)}\n`)
  return `${folder} is ready. Next:\n\n  cd ${folder}\n  npm install\n  npm run dev`
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new Error(`${folder} cannot be used: ${(error as Error).message}`)
  }
}

function manifestOf(folder: string): object {
  const own = read<Manifest>(join(HOME, 'package.json'))
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
    dependencies: { chartroom: sourceOf(own.version), xstate: own.dependencies.xstate },
    devDependencies: { '@types/node': own.devDependencies['@types/node'], tsx: own.dependencies.tsx },
    overrides: own.overrides,
    allowScripts: own.allowScripts,
  }
}

/** The version; or the file that this package was installed from, as npm noted it beside, since a registry may not have it. */
function sourceOf(version: string): string {
  const modules = dirname(HOME)
  if (basename(modules) !== 'node_modules') return `file:${HOME}`
  const { packages } = read<{ packages: Record<string, { resolved?: string } | undefined> }>(
    join(modules, '.package-lock.json'),
  )
  const [, file] = /^file:(.+)$/.exec(packages['node_modules/chartroom']?.resolved ?? '') ?? []
  return file === undefined ? version : `file:${resolve(dirname(modules), file)}`
}

const read = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8')) as T
