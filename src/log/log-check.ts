/**
 * The child process that looks at a log before a server opens it: a damaged file may end the process that reads it
 * (SIGBUS, SIGSEGV), and this one may be ended. Says what it finds on stdout, one JSON object a line (`Finding`).
 */
import { openStore } from './lmdb-store.ts'
import { type Damage, verify } from './log-verify.ts'

/** What the child says: that it still looks, a damage, or that it has seen everything. */
export type Finding = { readonly alive: true } | { readonly damage: Damage } | { readonly done: true }

const say = (finding: Finding): void => void process.stdout.write(`${JSON.stringify(finding)}\n`)

try {
  for (const damage of verify(openStore(process.argv[2] ?? '', { readOnly: true }))) {
    say(damage ? { damage } : { alive: true })
  }
} catch (error) {
  say({ damage: { topic: null, why: (error as Error).message } })
}
say({ done: true })
