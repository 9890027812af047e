/** Signs of life, on the wire. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { ROOT, type ServerProcess, startServer, tokenFor } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

const rules = (interval: number, timeout = 300) => ({
  CHARTROOM_HEARTBEAT_INTERVAL: String(interval),
  CHARTROOM_HEARTBEAT_TIMEOUT: String(timeout),
})

/** The instants of the next pings on the wire. */
async function pings(tab: Tab, count: number): Promise<number[]> {
  const instants: number[] = []
  while (instants.length < count) {
    await once(tab.socket, 'ping', { signal: AbortSignal.timeout(5000) })
    instants.push(performance.now())
  }
  return instants
}

const gaps = (instants: number[]): number[] => instants.slice(1).map((instant, i) => instant - (instants[i] as number))

const connections = async (tab: Tab): Promise<number> => (await tab.ask({ type: 'status' })).session.connections

/** The wire agrees with the configuration: no gap is shorter than it may be, and the median is no longer. */
async function isHonoured(t: Test, interval: number): Promise<void> {
  const server = await startServer(t, { env: rules(interval) })
  const tab = await Tab.open(server, 'ann')
  const measured = gaps(await pings(tab, 8)).sort((a, b) => a - b)
  const [shortest = 0, , , median = 0] = measured
  t.ok(shortest >= interval * 0.8, `no gap is shorter: ${shortest.toFixed(0)} ms for ${interval}`)
  t.ok(Math.abs(median - interval) <= interval / 5, `the median: ${median.toFixed(0)} ms for ${interval}`)
  t.equal(tab.frames[0]?.heartbeat.interval, interval, 'and the client is told of it')
}

t.test('HEART-1 H1 silence is pinged every interval, the gaps within a fifth of it', (t) => isHonoured(t, 500))

t.test('HEART-4 H3 an interval of 0.3 s is honoured, not only accepted', (t) => isHonoured(t, 300))

t.test('H3 the least that can be configured is honoured: an interval of 100 ms', (t) => isHonoured(t, 100))

t.test('H3 who is silent is pinged as often as maxMissed says, then waited for as timeout says', async (t) => {
  for (const [timeout, maxMissed] of [
    [100, 1],
    [300, 3],
  ] as const) {
    const env = { ...rules(100, timeout), CHARTROOM_HEARTBEAT_MAX_MISSED: String(maxMissed) }
    const tab = await Tab.open(await startServer(t, { env }), 'ann', { autoPong: false })
    t.equal(tab.frames[0]?.heartbeat.timeout, timeout)
    const instants: number[] = []
    tab.socket.on('ping', () => instants.push(performance.now()))
    t.equal((await tab.close()).code, 4208)
    t.equal(instants.length, maxMissed, 'pings')
    const waited = performance.now() - (instants.at(-1) as number)
    t.ok(waited >= timeout * 0.8, `not given up before its time: ${waited.toFixed(0)} ms of ${timeout}`)
  }
})

t.test('heartbeat', async (t) => {
  const server = await startServer(t, { env: rules(300) })

  t.test('HEART-2 every ping is answered by a pong, and the server counts both', async (t) => {
    const tab = await Tab.open(server, 'ann')
    await pings(tab, 3)
    const { heartbeat } = await tab.ask({ type: 'status' })
    t.same(heartbeat, { pings: 3, pongs: 3 })
  })

  t.test('HEART-3 H2 a peer that reads but never answers gets closing and 4208, and is gone', async (t) => {
    const other = await Tab.open(server, 'three')
    const began = performance.now()
    const mute = await Tab.open(server, 'three', { autoPong: false })
    t.equal(await connections(other), 2)
    const seen = pings(mute, 2)
    t.match(await mute.next('closing'), { code: 4208, reconnect: true })
    t.same(await mute.close(), { code: 4208, reason: 'heartbeat_timeout' })
    t.equal((await seen).length, 2, 'it was asked twice')
    t.ok(performance.now() - began >= 2 * 300 + 300, 'not before its time')
    t.equal(await connections(other), 1)
  })

  t.test('H1 any frame counts as life: who talks is not pinged', async (t) => {
    const tab = await Tab.open(server, 'ann')
    let asked = 0
    tab.socket.on('ping', () => asked++)
    for (let i = 0; i < 15; i++) {
      await new Promise((resolve) => setTimeout(resolve, 60))
      await tab.ask({ type: 'ping' })
    }
    t.equal(asked, 0)
  })

  t.test('HEART-5 a peer that answers stays up for ten intervals', async (t) => {
    const tab = await Tab.open(server, 'ann')
    await pings(tab, 10)
    t.equal((await tab.ask({ type: 'status' })).state, 'open')
  })

  t.test('HEART-6 a peer that stops without a word is found within interval × 2 + timeout', async (t) => {
    const other = await Tab.open(server, 'six')
    const peer = await deadPeer(server, 'six')
    t.equal(await connections(other), 2)
    const stopped = performance.now()
    peer.kill('SIGSTOP')
    await other.until(async () => (await connections(other)) === 1)
    const took = performance.now() - stopped
    t.ok(took <= 300 * 2 + 300 + 100, `${took.toFixed(0)} ms`)
    peer.kill('SIGKILL')
  })

  t.test('HEART-7 disconnecting removes the timer and the counter of the heartbeat', async (t) => {
    const own = await startServer(t, { env: { ...rules(200, 2000), CHARTROOM_SESSION_LINGER: '0' } })
    const [deadlines, asked] = ['chartroom_deadlines', 'chartroom_heartbeats_total{what="ping"}']
    const rest = await own.metric(deadlines)
    const survivor = await Tab.open(own, 'survivor')
    let heard = 0
    survivor.socket.on('ping', () => heard++)
    const perConnection = (await own.metric(deadlines)) - rest
    const leavers = await Promise.all(Array.from({ length: 9 }, (_, i) => Tab.open(own, `leaver${i}`)))
    await Promise.all(leavers.map((tab) => pings(tab, 1)))
    t.equal(await own.metric(deadlines), rest + 10 * perConnection, 'its timer and its token’s, for each')
    for (const [i, tab] of leavers.entries()) i % 2 === 0 ? tab.socket.terminate() : tab.socket.close(1000)
    await survivor.until(async () => (await own.metric(deadlines)) === rest + perConnection)
    const [before, countedBefore] = [heard, await own.metric(asked)]
    await pings(survivor, 5)
    const counted = (await own.metric(asked)) - countedBefore
    t.ok(counted < heard - before + leavers.length, `${counted} pings more, ${heard - before} of them the survivor’s`)
  })

  t.test('HEART-8 three connections at once: each pinged, all alive', async (t) => {
    const tabs = await Promise.all(['ann', 'bob', 'cat'].map((user) => Tab.open(server, user)))
    await Promise.all(tabs.map((tab) => pings(tab, 3)))
    for (const tab of tabs) t.equal((await tab.ask({ type: 'status' })).state, 'open')
  })

  t.test('H1 a client that asked for JSON pings gets those, and a pong frame answers them', async (t) => {
    const tab = await Tab.open(server, 'ann', { token: null })
    await tab.ask({ type: 'auth', token: await tokenFor('ann'), heartbeat: 'json' })
    for (let i = 0; i < 4; i++) {
      t.match(await tab.next('ping'), { time: Number })
      tab.send({ type: 'pong' })
    }
    const { heartbeat } = await tab.ask({ type: 'status' })
    t.same(heartbeat, { pings: 4, pongs: 4 })
  })
})

t.test('H2 nobody is dropped because the server slept', async (t) => {
  const server = await startServer(t, { env: rules(200, 200) })
  const tabs = await Promise.all(Array.from({ length: 50 }, (_, i) => Tab.open(server, `user${i}`)))
  await pings(tabs[0] as Tab, 2)
  process.kill(server.pid, 'SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 5000))
  process.kill(server.pid, 'SIGCONT')
  await pings(tabs[0] as Tab, 4)
  for (const tab of tabs) t.equal((await tab.ask({ type: 'status' })).state, 'open')
})

/** A client in a process of its own, connected, so that it can be stopped as a crashed machine would be. */
async function deadPeer(server: ServerProcess, user: string) {
  const script = `
    import WebSocket from 'ws'
    const socket = new WebSocket(process.env.URL, { headers: { authorization: 'Bearer ' + process.env.TOKEN } })
    socket.on('message', () => console.log('in'))`
  const peer = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: ROOT,
    env: { ...process.env, URL: server.url, TOKEN: await tokenFor(user) },
  })
  await once(peer.stdout as Readable, 'data')
  return peer
}
