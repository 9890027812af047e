/** The peers, each in a folder of its own, so that nobody who installs the product installs them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const PEERS = fileURLToPath(new URL('./peers', import.meta.url))

/** Installs those that are not there yet, from their lock files. */
export async function installPeers(say: (line: string) => void): Promise<void> {
  for (const peer of readdirSync(PEERS)) {
    const cwd = `${PEERS}/${peer}`
    if (existsSync(`${cwd}/node_modules`)) continue
    say(`installing the peer ${peer}`)
    const npm = spawn('npm', ['ci', '--no-audit', '--no-fund'], { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
    const [code] = await once(npm, 'exit')
    if (code !== 0) throw new Error(`npm ci in ${cwd} ended with ${code}`)
  }
}
