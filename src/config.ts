/**
 * Every option: its default, its unit, what it means. One name in three places: `maxLag` in the file, `--max-lag`
 * on the command line, `CHARTROOM_MAX_LAG` in the environment; a flag wins over the environment, that over the file.
 *
 * Always true: a config that `readConfig` returns is whole and checked, so nobody checks it again. Refused: an
 * option that does not exist, whichever place names it, a value of the wrong kind, production without a key, each with one line.
 */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { nearest } from './nearest.ts'

/** Digits are a number where they come as text; anything else is left for the schema to refuse. */
const digits = (given: unknown): unknown => (typeof given === 'string' && /^-?\d+$/.test(given) ? Number(given) : given)
const whole = (fallback: number, least: number, most = Number.MAX_SAFE_INTEGER) =>
  z.preprocess(digits, z.int().min(least).max(most)).default(fallback)
const milliseconds = (fallback: number, least = 0) => whole(fallback, least)
const count = (fallback: number, least = 0) => whole(fallback, least)
const flag = z.preprocess((value) => (value === 'true' ? true : value === 'false' ? false : value), z.boolean())
const list = z.preprocess(
  (value) => (typeof value === 'string' ? value.split(',').filter(Boolean) : value),
  z.array(z.string()),
)

const options = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('address to listen on'),
  port: whole(8080, 0, 65_535).describe('port to listen on; 0 takes a free one'),
  data: z.string().min(1).default('./data').describe('folder of the log'),
  machines: z.string().min(1).default('./machines/rooms').describe('folder of the machine files'),
  public: z.string().min(1).optional().describe('folder of pages to serve, instead of the playground'),
  jwtSecret: z
    .string()
    .refine((secret) => Buffer.byteLength(secret) >= 32, 'Too short: expected at least 32 bytes')
    .optional()
    .describe('HMAC secret of tokens, at least 32 bytes (HS256)'),
  jwtPublicKey: z.string().optional().describe('public key of tokens, PEM (SPKI)'),
  jwksUrl: z.url().optional().describe('URL of the JSON Web Key Set of tokens (RFC 7517)'),
  jwtIssuer: z.string().optional().describe('"iss" that tokens must have'),
  jwtAudience: z.string().optional().describe('"aud" that tokens must have'),
  tlsCert: z.string().min(1).optional().describe('file of the certificate for TLS, PEM, with its chain'),
  tlsKey: z.string().min(1).optional().describe('file of its private key, PEM, without a passphrase'),
  clockTolerance: milliseconds(5000).describe('ms by which the clocks of token issuers may differ'),
  queryToken: flag.default(false).describe('whether a token may come as ?access_token='),
  trustProxy: count(0).describe('proxies in front, whose X-Forwarded-For says who asks; 0 to believe none'),
  inspector: flag.default(true).describe('whether the inspector is served at /inspect'),
  origins: list.default([]).describe('browser origins that may connect, "*" for any; default: the same host'),
  authTimeout: milliseconds(10_000, 100).describe('ms that a connection may take to send its token'),
  maxFramesBeforeAuth: count(100, 1).describe('frames of a connection before it is welcome'),
  maxAuthFrame: count(16_384, 1024).describe('bytes of a frame of a connection that is not welcome yet'),
  heartbeatInterval: milliseconds(25_000, 100).describe('ms of silence after which a connection is pinged'),
  heartbeatTimeout: milliseconds(10_000, 100).describe('ms that the last ping may stay unanswered'),
  heartbeatMaxMissed: count(2, 1).describe('pings in a row that may stay unanswered'),
  sessionLinger: milliseconds(1000).describe('ms that a session outlives its last connection'),
  maxConnections: count(100_000, 1).describe('connections in all'),
  maxConnectionsPerUser: count(100, 1).describe('connections of one user'),
  maxConnectionsPerAddress: count(0).describe('connections of one address, of IPv6 one /64; 0 for any number'),
  maxAuthFailuresPerAddress: count(0).describe('refused tokens of one address within a minute; 0 for any number'),
  maxRoomsPerConnection: count(1000, 1).describe('rooms that a connection may have joined at a time'),
  maxResidentRooms: count(10_000, 1).describe('rooms kept in memory, and inboxes; more only while they are in use'),
  maxFramesPerSecond: count(0).describe('frames of a connection in a second; 0 for any number'),
  maxBytesPerSecond: count(0).describe('bytes of a connection in a second; 0 for any number'),
  maxFrame: count(65_536, 1024).describe('bytes of a frame; over four times that ends the connection'),
  inboxCapacity: count(10_000, 1).describe('unsettled messages of one user'),
  inboxPolicy: z
    .enum(['refuse', 'drop_oldest'])
    .default('refuse')
    .describe('what a full inbox does: refuse, drop_oldest'),
  ackTimeout: milliseconds(30_000, 100).describe('ms after which an unsettled message is delivered again'),
  maxAttempts: count(5, 1).describe('failed deliveries after which a message is a dead letter'),
  maxHeader: count(16_384, 1024).describe('bytes of a request without its body, where it comes in pieces'),
  maxErrors: count(20, 1).describe('refused frames within errorWindow that end the connection'),
  errorWindow: milliseconds(10_000, 100).describe('ms for which a refused frame counts'),
  inspectionBudget: milliseconds(2000).describe(
    'ms that a start waits for the look at a log that was not closed cleanly; it goes on beside the serving',
  ),
  drainTimeout: milliseconds(10_000).describe('ms that a shutdown may take'),
  maxLag: milliseconds(30_000, 100).describe('ms that a consumer may lag behind before it is closed'),
  logLevel: z.enum(['silent', 'error', 'warn', 'info', 'debug', 'trace']).default('info').describe('what is logged'),
})

export type Config = z.infer<typeof options> & { readonly production: boolean }
/** The options as a program gives them. */
export type Options = Partial<z.infer<typeof options>>
export type OptionName = keyof typeof options.shape

/** Every option with its default and what it means, for `--help`. */
export const optionTable = Object.entries(options.shape).map(([name, option]) => ({
  name: name as OptionName,
  flag: `--${kebab(name)}`,
  variable: `CHARTROOM_${kebab(name).replaceAll('-', '_').toUpperCase()}`,
  description: option.description ?? '',
  fallback: (option.safeParse(undefined).data ?? '') as unknown,
}))

const knownNames = optionTable.map(({ name }) => name)
const ofCommands = ['--config', '--print-config', '--scope', '--deploy', '--json', '--room', '--svg', '--mermaid']
const knownFlags = [...optionTable.map(({ flag }) => flag), ...ofCommands]
const knownVariables = optionTable.map(({ variable }) => variable)

/** A configuration that cannot be used: one line per mistake. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

export interface Sources {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
}

/** What a command line comes to. */
export interface Reading {
  readonly config: Config
  /** The words of the command line that are no flags. */
  readonly words: string[]
  /** `--scope`, of the token that the command `token` makes. */
  readonly scope: string | undefined
  readonly printConfig: boolean
  /** `--deploy`, `--json` and `--room`, of the command `check`. */
  readonly check: { readonly deploy: boolean; readonly json: boolean; readonly room: string | undefined }
  /** `--svg`, `--mermaid` and `--json`, of the command `chart`. */
  readonly drawing: { readonly svg: boolean; readonly mermaid: boolean; readonly json: boolean }
}

/**
 * Reads the file that `--config` names (JSON), the environment and the flags, and checks them.
 * @throws {ConfigError}
 */
export function readConfig({ args, env }: Sources): Reading {
  const { flags, words, file, ...ofCommand } = readFlags(args)
  const given = { ...readFile(file), ...readEnvironment(env), ...flags }
  const config = completeConfig(given, env.NODE_ENV === 'production', unknownVariables(env))
  return { config, words, ...ofCommand }
}

/**
 * What is given, checked, and the defaults of the rest.
 * @throws {ConfigError} for what is wrong with it, behind the `mistakes` that are known already.
 */
export function completeConfig(
  given: Readonly<Record<string, unknown>>,
  production: boolean,
  mistakes: string[] = [],
): Config {
  const result = options.safeParse(given)
  const issues = result.error?.issues.map((issue) => describe(issue, given)) ?? []
  refuse([...mistakes, ...issues])
  const config = { ...(result.data as z.infer<typeof options>), production }
  refuse(checkTogether(config))
  return config
}

function refuse(mistakes: string[]): void {
  if (mistakes.length > 0) throw new ConfigError(mistakes.join('\n'))
}

/** The config as it may be shown: what is secret is hidden. */
export function printable(config: Config): Record<string, unknown> {
  return { ...config, ...(config.jwtSecret && { jwtSecret: '(hidden)' }) }
}

function checkTogether(config: Config): string[] {
  const mistakes: string[] = []
  const keys = (['jwtSecret', 'jwtPublicKey', 'jwksUrl'] as const).filter((name) => config[name])
  if (!config.tlsCert !== !config.tlsKey) {
    mistakes.push('tlsCert and tlsKey go together: set both, or neither where a proxy speaks TLS')
  }
  if (keys.length > 1) mistakes.push(`${keys.join(', ')}: one key at a time; remove all but one`)
  if (config.production && keys.length === 0) {
    mistakes.push(
      'production needs a key: set CHARTROOM_JWT_SECRET (32 bytes or more), CHARTROOM_JWT_PUBLIC_KEY or CHARTROOM_JWKS_URL',
    )
  }
  return mistakes
}

/** What is said to a command, and is no option of the server. */
const commandFlags = {
  config: { type: 'string' },
  scope: { type: 'string' },
  room: { type: 'string' },
  'print-config': { type: 'boolean' },
  deploy: { type: 'boolean' },
  svg: { type: 'boolean' },
  mermaid: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

function readFlags(args: readonly string[]) {
  const named = Object.fromEntries(
    optionTable.flatMap(({ name }) => [kebab(name), name].map((flag) => [flag, { type: 'string' as const }])),
  )
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...named, ...commandFlags },
      allowPositionals: true,
    })
    const { config: file, scope, 'print-config': printConfig, deploy, json, room, svg, mermaid, ...flags } = values
    const byName = Object.entries(flags).map(([flag, value]) => [camel(flag), value])
    return {
      flags: Object.fromEntries(byName),
      words: positionals,
      file: file as string | undefined,
      scope: scope as string | undefined,
      printConfig: printConfig === true,
      check: { deploy: deploy === true, json: json === true, room: room as string | undefined },
      drawing: { svg: svg === true, mermaid: mermaid === true, json: json === true },
    }
  } catch (error) {
    const [line = ''] = (error as Error).message.split('\n')
    const [, unknown] = /^Unknown option '([^']+)'/.exec(line) ?? []
    throw new ConfigError(unknown === undefined ? line : noSuchOption([unknown], knownFlags))
  }
}

function readFile(file: string | undefined): Record<string, unknown> {
  if (file === undefined) return {}
  const text = readText(file)
  try {
    const options: unknown = JSON.parse(text)
    if (typeof options === 'object' && options !== null && !Array.isArray(options)) return { ...options }
  } catch {
    // What is wrong is said below, without a word of the text: it may hold the secret.
  }
  throw new ConfigError(`--config ${file}: expected a JSON object with options`)
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`--config ${file}: ${(error as Error).message}`)
  }
}

function readEnvironment(env: Sources['env']): Record<string, string> {
  const set = optionTable.filter(({ variable }) => env[variable] !== undefined && env[variable] !== '')
  return Object.fromEntries(set.map(({ name, variable }) => [name, env[variable] as string]))
}

/** Each stands where an option was meant and does nothing: nobody would notice. */
function unknownVariables(env: Sources['env']): string[] {
  const set = Object.keys(env).filter((name) => name.startsWith('CHARTROOM_') && env[name])
  return set.filter((name) => !knownVariables.includes(name)).map((name) => noSuchOption([name], knownVariables))
}

function noSuchOption(unknown: string[], known: string[]): string {
  const meant = unknown.flatMap((name) => nearest(name, known) ?? [])
  return `${unknown.join(', ')}: no such option${meant.length > 0 ? `; did you mean ${meant.join(', ')}?` : ''}`
}

function describe(issue: z.core.$ZodIssue, given: Readonly<Record<string, unknown>>): string {
  if (issue.code === 'unrecognized_keys') return noSuchOption(issue.keys, knownNames)
  const name = String(issue.path[0])
  const value = name === 'jwtSecret' ? '(hidden)' : JSON.stringify(given[name])
  return `${name}: ${issue.message}, got ${value}`
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function camel(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
