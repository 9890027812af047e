/** A bar on stderr where that is a terminal, a line for each tenth where it is not. */
import type { Progress } from './torture.ts'

const WIDTH = 30

export function bar(label: string): Progress {
  const began = Date.now()
  let shown = -1
  return (done, total) => {
    const steps = process.stderr.isTTY ? 100 : 10
    const step = Math.floor((done / total) * steps)
    if (step === shown) return
    shown = step
    const filled = Math.round((done / total) * WIDTH)
    const seconds = Math.round((Date.now() - began) / 1000)
    const line = `${label} ${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)} ${done}/${total} ${seconds} s`
    process.stderr.write(process.stderr.isTTY ? `\r${line}` : `${line}\n`)
  }
}
