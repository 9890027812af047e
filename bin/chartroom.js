#!/usr/bin/env node
// The source is TypeScript, and so are machine files: tsx loads both as they are.
import { register } from 'tsx/esm/api'

register()
await import('../src/main.ts')
