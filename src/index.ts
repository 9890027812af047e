/** What `chartroom` offers: a server within a program of yours, and the types that a machine file is written with. */
import { completeConfig, type Options } from './config.ts'
import { type Server, start } from './server.ts'

export type { Principal } from './auth/auth.ts'
export { type Config, ConfigError, type Options } from './config.ts'
export type { LogRecord } from './log/log.ts'
export type { MachineFile, Persisted, Policy, PublicState, StandardSchema } from './machine/machine-file.ts'
export type { RoomEvent } from './protocol.ts'
export type { Server } from './server.ts'

/**
 * Starts a server; what `options` leave out has its default, and neither the environment nor a file is read for it. Unless
 * `NODE_ENV` is `production`, a server without a key makes a secret of its own.
 * @throws with one line that says what to do, for each mistake.
 */
export function startServer(options: Options = {}): Promise<Server> {
  return start(completeConfig(options, process.env.NODE_ENV === 'production'))
}
