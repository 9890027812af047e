/** What the operator reads: one JSON object a line on stderr. The only importer of pino. Never a token. */
import { destination, type Logger, pino } from 'pino'

export type { Logger }

export function createLogger(level: string): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination({ dest: 2, sync: true }))
}
