/**
 * Makes of the source what is published: JavaScript and types in `dist/`, laid out as the checkout is, with the files that
 * are served as they are. The inspector's page becomes one file, so that it is not put together again at each start.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { build } from 'esbuild'

const PAGE = 'src/inspect/page/page.ts'

rmSync('dist', { recursive: true, force: true })
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { stdio: 'inherit' })
cpSync('src', 'dist/src', { recursive: true, filter: (file) => !/(\.ts|tsconfig\.json)$/.test(file) })
await build({ entryPoints: [PAGE], outfile: `dist/${PAGE.replace('.ts', '.js')}`, bundle: true, format: 'esm' })
