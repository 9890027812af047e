/**
 * Clients in a process of their own, so that they do not wait for each other's turn on one event loop. The process
 * answers one request at a time.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

interface Request {
  readonly what: string
}

type Answer = { readonly value: unknown } | { readonly error: string }

export class ClientProcess {
  readonly #child: ChildProcess

  /** @param script a file of this folder that calls `answerRequests`. */
  constructor(script: string) {
    const file = fileURLToPath(new URL(script, import.meta.url))
    this.#child = fork(file, { execArgv: ['--import', 'tsx'] })
  }

  /** @throws what was thrown there, or that the process is gone. */
  ask<T>(request: Request & Record<string, unknown>): Promise<T> {
    return new Promise((resolve, reject) => {
      const gone = (): void => reject(new Error(`the clients were gone before they answered ${request.what}`))
      this.#child.once('exit', gone)
      this.#child.once('message', (answer: Answer) => {
        this.#child.off('exit', gone)
        if ('error' in answer) reject(new Error(answer.error))
        else resolve(answer.value as T)
      })
      this.#child.send(request)
    })
  }

  /** They neither read, nor answer, nor end. */
  stop(): void {
    this.#child.kill('SIGSTOP')
  }

  end(): void {
    this.#child.kill('SIGKILL')
  }
}

/** The other side: answers each request by the function of its name. */
export function answerRequests(answers: Record<string, (request: never) => unknown>): void {
  process.on('message', async (request: Request) => {
    process.send?.(await answerTo(request, answers))
  })
  process.on('disconnect', () => process.exit(0))
}

async function answerTo(request: Request, answers: Record<string, (request: never) => unknown>): Promise<Answer> {
  try {
    return { value: (await answers[request.what]?.(request as never)) ?? null }
  } catch (error) {
    return { error: (error as Error).message }
  }
}

/** Runs `work` for each number below `size`, `atOnce` of them side by side. */
export async function pool(size: number, atOnce: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < size) await work(next++)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, size) }, lane))
}
