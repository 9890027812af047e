/** Very many requests over a few connections, each connection with some under way at a time. */
import type { ServerProcess } from '../fixtures/server.ts'
import { type Frame, Tab } from '../fixtures/tab.ts'

const CONNECTIONS = 8
/** Requests of one connection that are under way at a time. */
const IN_FLIGHT = 64

/** Asks `size` requests, and hears every reply with the number of its request; resolves when all are answered. */
export async function askAll(
  server: ServerProcess,
  size: number,
  frameOf: (i: number) => Frame,
  onReply: (reply: Frame, i: number) => void,
): Promise<void> {
  let asked = 0
  const next = (): number | undefined => (asked < size ? asked++ : undefined)
  const tabs = await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => Tab.open(server, `user${i}`)))
  await Promise.all(tabs.map((tab) => askFrom(tab, next, frameOf, onReply)))
  await Promise.all(tabs.map((tab) => tab.leave()))
}

function askFrom(
  { socket }: Tab,
  next: () => number | undefined,
  frameOf: (i: number) => Frame,
  onReply: (reply: Frame, i: number) => void,
): Promise<void> {
  const arrivals = socket.listeners('message') as (() => void)[]
  return new Promise((resolve, reject) => {
    let underWay = 0
    const ask = (): void => {
      const i = next()
      if (i === undefined) return
      underWay++
      socket.send(JSON.stringify({ ...frameOf(i), id: i }))
    }
    for (const arrived of arrivals) socket.off('message', arrived)
    socket.on('close', (code) => reject(new Error(`a connection was closed ${code}`)))
    socket.on('message', (text) => {
      underWay--
      const reply: Frame = JSON.parse(String(text))
      onReply(reply, reply.id)
      ask()
      if (underWay === 0) resolve()
    })
    for (let i = 0; i < IN_FLIGHT; i++) ask()
    if (underWay === 0) resolve()
  })
}
