/** The secret of a development server: random, made once, kept in the data folder where only its owner reads it. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config.ts'

/** `config` with a secret of its own, where none is configured. @param onMade told where one had to be made */
export function developmentSecret(config: Config, onMade = (_file: string): void => {}): Config {
  if (config.production || config.jwtSecret || config.jwtPublicKey || config.jwksUrl) return config
  return { ...config, jwtSecret: readOrMake(join(config.data, 'development-secret'), config.data, onMade) }
}

function readOrMake(file: string, folder: string, onMade: (file: string) => void): string {
  mkdirSync(folder, { recursive: true })
  try {
    writeFileSync(file, randomBytes(32).toString('base64url'), { flag: 'wx', mode: 0o600 })
    onMade(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFileSync(file, 'utf8')
}
