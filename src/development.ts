/** The secret of a development server: random, made once, kept in the data folder where only its owner reads it. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from './config.ts'

/** `config` with a secret of its own, where none is configured. Production never gets here without a key. */
export function developmentSecret(config: Config): Config {
  if (config.production || config.jwtSecret || config.jwtPublicKey || config.jwksUrl) return config
  return { ...config, jwtSecret: readOrMake(join(config.data, 'development-secret'), config.data) }
}

function readOrMake(file: string, folder: string): string {
  mkdirSync(folder, { recursive: true })
  try {
    writeFileSync(file, randomBytes(32).toString('base64url'), { flag: 'wx', mode: 0o600 })
    console.error(`chartroom: a new secret for development is in ${file}; tokens signed with another are refused`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFileSync(file, 'utf8')
}
