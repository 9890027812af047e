#!/usr/bin/env node
// What was built of it; in a checkout the source itself, which is TypeScript, by tsx.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

if (existsSync(new URL('../src/main.ts', import.meta.url))) {
  const { register } = await import('tsx/esm/api')
  register({ tsconfig: fileURLToPath(new URL('../tsconfig.json', import.meta.url)) })
  await import('../src/main.ts')
} else await import('../dist/src/main.js')
