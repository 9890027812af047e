/** The command: `init`, `start`, `dev`, `check`, `chart`, `replay`, `token`, `explain`, `log`. Says what it did on stdout, and what is wrong in one line each on stderr. */
import { createRequire } from 'node:module'
import { signToken } from './auth/auth.ts'
import { developmentSecret } from './auth/development.ts'
import { CHECK_USAGE, checkCommand } from './check/check.ts'
import { type Config, ConfigError, optionTable, printable, readConfig } from './config.ts'
import { explain } from './connection/explain.ts'
import { initApp } from './init.ts'
import { CHART_USAGE, chartCommand } from './inspect/chart-command.ts'
import { REPLAY_USAGE, replayCommand } from './inspect/replay-command.ts'
import { LOG_USAGE, logCommand } from './log/log-tools.ts'
import { MachineWatch } from './machine-watch.ts'
import { isUser, MAX_USER } from './protocol.ts'
import { type Server, start } from './server.ts'

const USAGE = `chartroom init <folder>            make a new app: a machine, a page, a test
chartroom start [options]          run the server
chartroom dev [options]            the same, and take over machine files that change
${CHECK_USAGE}
${CHART_USAGE}
${REPLAY_USAGE}
chartroom token <user> [options]   print a token for a user, signed with the server's secret
chartroom explain <connection>     tell what became of a connection of a running server, and why
${LOG_USAGE}

options:
${optionTable.map(({ flag, description, fallback }) => `  ${flag.padEnd(28)} ${description} (${show(fallback)})`).join('\n')}
  --config <file>              JSON with the same options
  --scope <scopes>             what a token of "chartroom token" may do, e.g. service
  --deploy, --json, --room <room>  of "chartroom check": the stored rooms, as JSON, one room alone
  --svg, --mermaid, --json     of "chartroom chart": how the chart is printed, --mermaid without one
  --print-config               show what is in force, and end
  --version, -v                print the version, and end

Each option is also an environment variable: --max-lag is CHARTROOM_MAX_LAG.`

function show(fallback: unknown): string {
  return fallback === '' || (Array.isArray(fallback) && fallback.length === 0) ? 'none' : String(fallback)
}

/** A second signal this many milliseconds after the first ends the process at once (rule X1). */
const PATIENCE = 1000

/** As the package has it, which knows itself by its name. */
const version = (): string => createRequire(import.meta.url)('chartroom/package.json').version

async function run(args: string[]): Promise<void> {
  if (args.length === 0 || args.includes('--help') || args.includes('-h')) return console.log(USAGE)
  if (args.includes('--version') || args.includes('-v')) return console.log(version())
  const { config, words, scope, printConfig, check, drawing } = readConfig({ args, env: process.env })
  if (printConfig) return console.log(JSON.stringify(printable(config), null, 2))
  const [command, ...rest] = words
  if (command === 'start') return void (await serve(config))
  if (command === 'dev') return develop(config)
  if (command === 'check')
    return finish(
      await checkCommand(
        { ...check, data: config.data, folder: rest[0] ?? config.machines },
        console.log,
        console.error,
      ),
    )
  if (command === 'init') return makeApp(rest)
  if (command === 'chart') {
    await chartCommand({ ...drawing, machine: rest[0], folder: config.machines }, console.log)
    return finish(true)
  }
  if (command === 'replay')
    return finish(await replayCommand({ file: rest[0], folder: config.machines, json: drawing.json }, console.log))
  if (command === 'token') return printToken(config, rest, scope)
  if (command === 'explain') return tellStory(config, rest)
  if (command === 'log') return logCommand(rest, config.data, console.log)
  throw new ConfigError(
    `no command is called ${JSON.stringify(command)}; there are init, start, dev, check, chart, replay, token, explain and log`,
  )
}

async function serve(config: Config): Promise<Server> {
  const server = await start(config)
  stopOnSignal(server, config)
  if (config.tlsCert) process.on('SIGHUP', () => void server.renewCertificate())
  void server.unsound.then((error) => giveUp(server, config, error))
  await greet(server, config)
  return server
}

async function develop(config: Config): Promise<void> {
  const { repertoire } = await serve(config)
  const complain = (line: string): void => console.error(`chartroom: ${line}`)
  new MachineWatch(config.machines, repertoire, { say: console.log, complain })
}

async function greet({ host, port, machines, issueToken }: Server, config: Config): Promise<void> {
  const at = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const secure = config.tlsCert ? 's' : ''
  const isOwn = config.public !== undefined
  const lines = [
    `WebSocket   ws${secure}://${at}/ws`,
    ...(isOwn ? [`Page        http${secure}://${at}/`] : []),
    `Playground  http${secure}://${at}/${isOwn ? 'playground' : ''}`,
    ...(config.inspector ? [`Inspector   http${secure}://${at}/inspect`] : []),
    `Machines    ${machines.join(', ')}`,
  ]
  if (issueToken && !config.production) {
    const token = await issueToken('ann')
    const data = config.data === './data' ? '' : ` --data ${config.data}`
    lines.push(
      '',
      `A token for the user ann, good for an hour ("npx chartroom token bob${data}" makes one for bob):`,
      token,
      '',
      'Talk to it:',
    )
    lines.push(`npx -y wscat -c ws${secure}://${at}/ws -H "Authorization: Bearer ${token}"`)
  }
  console.log(lines.join('\n'))
}

function stopOnSignal(server: Server, config: Config): void {
  let first: number | undefined
  const onSignal = (): void => {
    const now = Date.now()
    if (first !== undefined) {
      if (now - first > PATIENCE) endAtOnce()
      return
    }
    first = now
    setTimeout(endAtOnce, config.drainTimeout).unref()
    void server.stop().then(() => process.exit(0))
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

/** `process.exit` would wait for the log's writer, and so for a disk that does not answer; the log is whole all the same. */
function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL')
}

/** Tells the clients to come back later, and the operator what to do. */
function giveUp(server: Server, config: Config, error: Error): void {
  complain(error)
  setTimeout(endAtOnce, config.drainTimeout).unref()
  void server.stop().finally(() => process.exit(1))
}

function complain({ message, stack }: Error): void {
  const text = process.env.CHARTROOM_LOG_LEVEL === 'debug' ? stack : message
  for (const line of String(text).split('\n')) console.error(`chartroom: ${line}`)
}

/** Ends the process, whatever a machine file has begun as it was loaded; what was printed is out before. */
function finish(isSound: boolean): void {
  process.stdout.write('', () => process.exit(isSound ? 0 : 1))
}

function makeApp([folder]: string[]): void {
  if (folder === undefined) throw new ConfigError('init: into which folder? e.g. "chartroom init my-app"')
  console.log(initApp(folder))
}

async function printToken(config: Config, [user]: string[], scope?: string): Promise<void> {
  if (user === undefined) throw new ConfigError('token: for whom? e.g. "chartroom token ann"')
  if (!isUser(user)) throw new ConfigError(`token: a user has 1 to ${MAX_USER} characters`)
  console.log(await signToken(ownSecret(config), user, scope === undefined ? {} : { scope }))
}

async function tellStory(config: Config, [connection]: string[]): Promise<void> {
  if (connection === undefined) throw new ConfigError('explain: which connection? its id stands in "welcome"')
  const token = await signToken(ownSecret(config), 'operator', { life: 60, scope: 'service' })
  const base = `http${config.tlsCert ? 's' : ''}://${config.host}:${config.port}`
  console.log(await explain(base, connection, token))
}

function ownSecret(given: Config): string {
  const { jwtSecret } = developmentSecret(given, (file) =>
    console.error(`a new secret is in ${file}: only a server with this data folder knows it`),
  )
  if (!jwtSecret) throw new ConfigError('this server holds no secret of its own; ask whoever holds its key for a token')
  return jwtSecret
}

// Whoever reads the output may have seen enough: "chartroom log cat <room> | head".
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

try {
  await run(process.argv.slice(2))
} catch (error) {
  complain(error as Error)
  process.exit(1)
}
