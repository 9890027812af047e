/**
 * One server per data folder.
 *
 * The lock is a name in Linux's abstract socket namespace: the kernel lets it go with the process, however that ends,
 * so `kill -9` leaves nothing to clean up. Elsewhere it is a named pipe (Windows) or a socket file that the successor
 * of a dead server takes over. A container may not see the names of another: where there is flock(1), a file in the folder
 * is locked as well (docs/decisions/0005).
 */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Lock {
  /** Once; after that it does nothing. */
  release(): void
}

/**
 * Holds a data folder, known by its device and inode, until the process ends.
 * @throws when another server holds it, or the folder cannot be made.
 */
export async function lockFolder(folder: string): Promise<Lock> {
  mkdirSync(folder, { recursive: true })
  const { dev, ino } = statSync(folder)
  const path = addressOf(`chartroom-${dev}-${ino}`)
  const server = (await listenOn(path)) ?? (await takeOver(path))
  const file = server && lockFile(join(folder, 'server.lock'))
  if (!server || file === undefined) {
    server?.close()
    throw new Error(`${folder} is in use by another server; stop it, or choose another folder with --data`)
  }
  server.unref()
  let held: number | undefined = file
  return {
    release: () => {
      if (held !== undefined) closeSync(held)
      held = undefined
      server.close()
    },
  }
}

/** What `flock -n` ends with where somebody else holds the lock. */
const HELD = 1

/**
 * The lock is on the open file itself, which the program is handed: it holds until this process has closed it, however it
 * ends. Without the program, or on a disk that knows no locks, the file is open and no more.
 */
function lockFile(path: string): number | undefined {
  const file = openSync(path, 'a', 0o600)
  const { status } = spawnSync('flock', ['-n', '-x', '3'], { stdio: ['ignore', 'ignore', 'ignore', file] })
  if (status !== HELD) return file
  closeSync(file)
  return undefined
}

function addressOf(name: string): string {
  if (process.platform === 'linux') return `\0${name}`
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`)
}

/** Listens, or gives back `undefined` where somebody else does. @throws when it is not ours to use. */
function listenOn(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    )
    server.listen(path, () => resolve(server))
  })
}

/** A socket file on which nobody answers was left by a server that is dead. */
async function takeOver(path: string): Promise<Server | undefined> {
  if (process.platform === 'linux' || process.platform === 'win32' || (await answers(path))) return undefined
  rmSync(path, { force: true })
  return listenOn(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      resolve(true)
      socket.destroy()
    })
    socket.once('error', () => resolve(false))
  })
}
