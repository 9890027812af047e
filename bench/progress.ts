/** How far a scenario is: a bar on stderr where that is a terminal, a line for each step where it is not. */
const WIDTH = 30

export function bar(label: string): (done: number, total: number, what: string) => void {
  const began = Date.now()
  return (done, total, what) => {
    const filled = Math.round((done / total) * WIDTH)
    const seconds = Math.round((Date.now() - began) / 1000)
    const line = `${label.padEnd(12)} ${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)} ${done}/${total} ${seconds} s ${what}`
    if (!process.stderr.isTTY) process.stderr.write(`${line}\n`)
    else process.stderr.write(`\r\x1b[2K${line}${done === total ? '\n' : ''}`)
  }
}
