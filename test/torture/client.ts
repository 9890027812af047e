/**
 * Clients of `chartroom/client` behind a network that delays, cuts, half-opens and drops, as a seed says; in the middle
 * the server is killed too. They talk all the while. At the end each holds the server's state, each record was told to each once
 * and in order, and every `send` is stored once, at the seq that it was told.
 */
import { isDeepStrictEqual } from 'node:util'
import WebSocket from 'ws'
import type chat from '../../machines/rooms/chat.ts'
import { type Client, createClient, type Room, type RoomRecord, type Sent } from '../../src/client/client.ts'
import type { EventOf, StateOf } from '../../src/client/shape.ts'
import { Dice } from '../fixtures/dice.ts'
import { TcpProxy } from '../fixtures/proxy.ts'
import { ServerProcess, tokenFor } from '../fixtures/server.ts'
import { type Frame, Tab } from '../fixtures/tab.ts'
import { spread } from './figures.ts'
import type { Outcome, Progress, Torture } from './torture.ts'

export const torture: Torture = { size: 1000, unit: 'disconnects', run: (size, progress) => run(size, progress) }

/** A server that notices soon who is silent. */
const HEARTBEAT = { CHARTROOM_HEARTBEAT_INTERVAL: '400', CHARTROOM_HEARTBEAT_TIMEOUT: '400' }
/** Seconds that a token lives: the provider is asked for others on the way. */
const TOKEN_LIFE = 20
const CLIENTS = 20
const ROOMS = 3
/** Sends of one client that may wait for their answers. */
const IN_FLIGHT = 4
/** Milliseconds in which everybody must be up to date again. */
const CALM = 30_000

export async function run(size: number, progress: Progress, seed = 20_261_128): Promise<Outcome> {
  const dice = new Dice(seed)
  const server = await new ServerProcess({ env: HEARTBEAT }).start()
  const proxy = await TcpProxy.before(server.port, { dice, life: 600, delay: 20 })
  const talkers = Array.from({ length: CLIENTS }, (_, n) => new Talker(`user${n}`, `chat/r${n % ROOMS}`, proxy.url))
  try {
    const lost = () => talkers.reduce((sum, { disconnects }) => sum + disconnects, 0)
    const talks = talkers.map((talker) => talker.talk())
    await reaches(lost, size / 2, progress, size)
    await server.crashAndRestart()
    await reaches(lost, size, progress, size)
    const disconnects = lost()
    proxy.weather = undefined
    for (const talker of talkers) talker.isDone = true
    await Promise.all(talks)
    return await verdict(server, talkers, { seed, disconnects })
  } finally {
    await Promise.all(talkers.map(({ client }) => client.close()))
    await proxy.close()
    await server.dispose()
  }
}

async function reaches(lost: () => number, goal: number, progress: Progress, size: number): Promise<void> {
  for (; lost() < goal; await pause(20)) progress(Math.min(lost(), size), size)
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** One user: sends numbered messages, and writes down all that it is told. */
class Talker {
  readonly client: Client
  readonly room: Room<StateOf<typeof chat>, EventOf<typeof chat>>
  readonly records: RoomRecord[] = []
  readonly sent = new Map<string, Sent>()
  readonly faults: string[] = []
  disconnects = 0
  isDone = false
  /** The seq of the state that it had first: its records begin behind that. */
  began: number | undefined
  readonly #user: string
  #written = 0

  constructor(user: string, name: string, url: string) {
    this.#user = user
    const token = () => tokenFor(user, { life: TOKEN_LIFE })
    this.client = createClient({ url, token, WebSocket, timeout: 2000, backoff: { base: 20, cap: 200 } })
    this.room = this.client.room<typeof chat>(name, { events: true })
    let was = ''
    this.client.subscribe(({ state, error }) => {
      if (was === 'open' && state === 'waiting') this.disconnects++
      if (state === 'closed' && error?.code !== 'closed') this.faults.push(`${user} was closed: ${error}`)
      was = state
    })
    this.room.records(
      (record) => this.records.push(record),
      (gap) => this.faults.push(`${user} was told of a gap: ${JSON.stringify(gap)}`),
      (error) => this.#failed(error),
    )
    this.room.subscribe(
      () => {
        this.began ??= this.room.seq
      },
      (error) => this.#failed(error),
    )
  }

  /** Until it is done, and all is answered. */
  async talk(): Promise<void> {
    const lane = async () => {
      while (!this.isDone) await this.#say(`${this.#user} ${++this.#written}`)
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
  }

  async #say(text: string): Promise<void> {
    try {
      this.sent.set(text, await this.room.send({ type: 'message.post', text }))
      await pause(100)
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    if (!this.isDone || (error as Error & { code: string }).code !== 'closed')
      this.faults.push(`${this.#user}: ${error}`)
  }
}

async function verdict(server: ServerProcess, talkers: readonly Talker[], about: Frame): Promise<Outcome> {
  const judge = await Tab.open(server, 'judge')
  const violations = talkers.flatMap(({ faults }) => faults)
  let stored = 0
  for (const name of new Set(talkers.map(({ room }) => room.name))) {
    const members = talkers.filter(({ room }) => room.name === name)
    const { snapshot, held } = await settled(judge, name, members)
    const past = await history(judge, name, snapshot.seq)
    stored += past.length
    violations.push(...judgeSends(name, past, members))
    for (const { seq, state, began, records } of held) {
      if (seq !== snapshot.seq || !isDeepStrictEqual(state, snapshot.state))
        violations.push(`${name}: a state is not the server's`)
      violations.push(...judgeRecords(name, past.slice(began), records))
    }
  }
  await judge.leave()
  const dups = talkers.reduce((sum, { sent }) => sum + [...sent.values()].filter(({ dup }) => dup).length, 0)
  const told = talkers.map(({ records }) => records.length)
  return {
    figures: {
      ...about,
      'events acknowledged': talkers.reduce((sum, { sent }) => sum + sent.size, 0),
      'of these sent again, and found stored': dups,
      'records in the rooms': stored,
      'records told to each: least / middle / most': spread(told).replace(' ms', ''),
    },
    violations: [...new Set(violations)],
  }
}

/** What a client has at one moment. */
interface Held {
  readonly seq: number | undefined
  readonly state: unknown
  readonly began: number | undefined
  readonly records: readonly RoomRecord[]
}

/**
 * The server's state and everybody's, once they are at the same seq, or time is over. The network is calm, but a connection
 * that went silent before may yet be noticed: whoever leaves and comes back by that is a record more.
 */
async function settled(
  judge: Tab,
  name: string,
  members: readonly Talker[],
): Promise<{ snapshot: Frame; held: readonly Held[] }> {
  for (const deadline = Date.now() + CALM; ; await pause(100)) {
    const snapshot = await judge.ask({ type: 'get', room: name })
    const held = members.map(({ room: { seq, state }, began, records }) => ({
      seq,
      state,
      began,
      records: [...records],
    }))
    const isSettled = held.every(
      ({ seq, began, records }) => seq === snapshot.seq && (records.at(-1)?.seq ?? began) === seq,
    )
    if (isSettled || Date.now() > deadline) return { snapshot, held }
  }
}

/** The records of a room, up to a seq. */
async function history(judge: Tab, room: string, upTo: number): Promise<Frame[]> {
  const past: Frame[] = []
  for (;;) {
    const page = await judge.ask({ type: 'history', room, since: past.length, limit: 1000 })
    past.push(...page.events)
    if (!page.more) return past.filter(({ seq }) => seq <= upTo)
  }
}

/** Each text is there once, at the seq that its sender was told. */
function judgeSends(name: string, past: readonly Frame[], members: readonly Talker[]): string[] {
  const posts = past.filter(({ event }) => event.type === 'message.post')
  const seqs = new Map<string, number>(posts.map(({ seq, event }) => [event.text, seq]))
  const sent = members.flatMap((member) => [...member.sent])
  const faults = sent
    .filter(([text, { seq }]) => seqs.get(text) !== seq)
    .map(([text]) => `${name}: "${text}" is not where it was acknowledged`)
  if (posts.length !== seqs.size) faults.push(`${name}: ${posts.length - seqs.size} events are stored twice`)
  if (posts.length !== sent.length) faults.push(`${name}: ${posts.length} are stored, ${sent.length} acknowledged`)
  return faults
}

/** What was told is what is expected, without a hole and without a double. */
function judgeRecords(name: string, expected: readonly Frame[], records: readonly RoomRecord[]): string[] {
  const isSame =
    records.length === expected.length &&
    records.every(({ seq, event }, i) => seq === expected[i]?.seq && isDeepStrictEqual(event, expected[i]?.event))
  return isSame ? [] : [`${name}: ${records.length} records were told, ${expected.length} are there`]
}
