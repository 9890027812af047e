/**
 * Plays one history on a real room over a log, with fake connections and a clock that is moved, and holds it to: snapshot
 * + patches = `get`, for every view, at every seq; each event once, in order; the log alone gives the room as it lives.
 */
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import type { Principal } from '../../src/auth/auth.ts'
import { isFailure } from '../../src/errors.ts'
import { Commits } from '../../src/log/commits.ts'
import type { Log } from '../../src/log/log.ts'
import { createLogger } from '../../src/logger.ts'
import { Machine } from '../../src/machine/machine.ts'
import type { MachineFile } from '../../src/machine/machine-file.ts'
import { NO_DOWNTIME } from '../../src/machine/uptime.ts'
import type { ServerFrames } from '../../src/protocol.ts'
import { recover } from '../../src/room/recovery.ts'
import type { Room } from '../../src/room/room.ts'
import type { Answer } from '../../src/room/room-requests.ts'
import { Rooms } from '../../src/room/rooms.ts'
import { fileOf } from './chart.ts'
import { Clock } from './clock.ts'
import { type Held, Outsider, type Tally } from './outsider.ts'
import { type History, type Step, TABS } from './steps.ts'
import { Truth, toJson, witnessed } from './truth.ts'

const USERS = ['ann', 'ann', 'bob', 'bob', 'eve']
const IDLE = 500
const logger = createLogger('silent')

export interface Setting {
  readonly files: ReadonlyMap<string, MachineFile>
  readonly log: Log
  /** The room's key, where a log is used again. */
  readonly key?: string
}

/** @throws where a promise was broken. */
export async function play(history: History, setting: Setting, tally: Tally = {}): Promise<void> {
  const stage = new Stage(history, setting, tally)
  try {
    await stage.play(history.turns)
  } finally {
    stage.close()
  }
}

class Stage {
  readonly #machine: Machine
  readonly #name: string
  readonly #truth: Truth
  readonly #witnessed: ReturnType<typeof witnessed>
  readonly #clock = new Clock()
  readonly #tally: Tally
  readonly #tabs: Outsider[]
  #commits!: Commits
  #rooms!: Rooms
  #connections = 0
  #fault: unknown

  constructor({ machine, chart, policy }: History, { files, log, key = 'one' }: Setting, tally: Tally) {
    const file = chart ? fileOf(chart) : (files.get(machine) as MachineFile)
    const kept = { ...file.policy, ...policy, idle: IDLE, maxFailures: 0 }
    this.#machine = new Machine(machine, { ...file, policy: kept, path: `${machine}.ts` })
    this.#name = `${machine}/${key}`
    this.#truth = new Truth(this.#machine)
    this.#witnessed = witnessed(log, this.#truth)
    this.#tally = tally
    const scopes = (tab: number) => (tab === 3 ? ['see'] : [])
    this.#tabs = USERS.map((user, tab) => this.#connect({ user, scopes: scopes(tab), claims: {} }))
    this.#clock.hold()
    this.#start()
  }

  close(): void {
    this.#clock.release()
    this.#rooms.stop()
  }

  async play(turns: History['turns']): Promise<void> {
    for (const steps of turns) {
      for (const step of steps) await this.#do(step)
      await this.#judge()
    }
    for (const tab of this.#tabs) if (tab.congested || tab.stalling) tab.drain()
    await this.#judge()
    await this.#resumeFromEverywhere()
    const { seq, document } = await recover(this.#witnessed.log, this.#name)
    assert.equal(seq, this.#truth.seq)
    assert.deepEqual(toJson(document), this.#truth.document ?? null, 'the log alone gives the document')
    this.#count('records', seq)
  }

  #start(): void {
    const { log } = this.#witnessed
    this.#commits = new Commits(log, logger)
    const machines = new Map([[this.#machine.name, this.#machine]])
    const wheel = this.#clock.wheel()
    const onPassivated = () => this.#count('passivated')
    const around = { machines, log, commits: this.#commits, logger, wheel, downtime: NO_DOWNTIME }
    this.#rooms = new Rooms({ ...around, maxResidentRooms: 100, onPassivated })
  }

  get #room(): Room {
    const room = this.#rooms.of(this.#name, 'ann')
    assert(!isFailure(room))
    return room
  }

  #connect(who: Principal, past?: Held[]): Outsider {
    return new Outsider(`c${this.#connections++} (${who.user})`, who, this.#truth, this.#tally, past)
  }

  /** The connection at a place; a new one where the last is gone. */
  #tab(place: number): Outsider {
    const tab = this.#tabs[place % TABS] as Outsider
    if (!tab.isGone) return tab
    const next = this.#connect(tab.who, tab.past)
    this.#tabs[place % TABS] = next
    return next
  }

  async #do(step: Step): Promise<void> {
    switch (step.do) {
      case 'send':
        return this.#send(step)
      case 'join': {
        const tab = this.#tab(step.tab)
        const since = step.back === null ? undefined : tab.past.at(-1 - step.back)
        return this.#join(tab, step.mode, since)
      }
      case 'leave': {
        const tab = this.#tab(step.tab)
        return this.#room.leave(tab, tab.who, () => {})
      }
      case 'lose':
        return this.#tab(step.tab).lose()
      case 'drain':
        return this.#tab(step.tab).drain()
      case 'stall':
        return this.#stall(this.#tab(step.tab), step.how)
      case 'become':
        return this.#become(step.tab, step.scopes)
      case 'wait':
        return this.#clock.move(step.ms)
      case 'restart':
        return this.#restart()
      case 'fail':
        return this.#witnessed.failNext(step.how)
    }
  }

  #send({ tab: place, event, key, if: expected }: Step & { do: 'send' }): void {
    const tab = this.#tab(place)
    this.#room.send(
      { who: tab.who, event, key, if: expected },
      this.#guarded((answer) => {
        this.#count(isFailure(answer) ? answer.code : 'sent')
        if (answer.type !== 'ok') return
        const { seq = 0, dup } = answer as ServerFrames['ok']
        const record = this.#truth.records[seq - 1]
        assert.equal(record?.from, tab.who.user, 'what was acknowledged is in the log')
        if (!dup) assert.equal(record?.event.type, event.type)
        const isWatching = tab.room && tab.mode !== 'events' && tab.seq !== undefined && !tab.congested
        if (isWatching) assert((tab.seq ?? 0) >= seq, 'the patch comes before the ok (rule R2)')
      }),
      tab,
    )
  }

  /** Who changes its mode has left, and read what waited, so that no frame of one mode is read in the other. */
  #join(tab: Outsider, mode: Outsider['mode'], since?: Held): void {
    if (tab.mode !== mode && (tab.room || tab.congested || tab.joining > 0)) return
    const given = since && { epoch: since.epoch, seq: since.seq }
    const room = this.#room
    tab.mode = mode
    tab.joining++
    room.join(
      tab,
      tab.who,
      { mode: tab.mode, since: given },
      this.#guarded((answer) => {
        tab.joining--
        if (isFailure(answer)) return this.#count(answer.code)
        tab.reply(() => tab.joined(answer as ServerFrames['ok'], since))
      }),
    )
  }

  #stall(tab: Outsider, how: 'queued' | 'dropped' | 'full'): void {
    if (how === 'full') tab.congested = true
    else tab.stalling = how
  }

  /** As with a new token (rule A2): the same connection goes on as somebody with other scopes. */
  async #become(place: number, scopes: readonly string[]): Promise<void> {
    await this.#settle()
    const tab = this.#tab(place)
    if (tab.room && tab.mode !== 'state') return
    const who = { ...tab.who, scopes }
    tab.past.length = 0
    if (tab.room && !tab.congested && !tab.stalling) {
      ;(tab as { who: Principal }).who = who
      return tab.room.recheck(tab, who)
    }
    tab.lose()
    this.#tabs[place % TABS] = this.#connect(who)
  }

  /** The process ends, and another goes on with its log. */
  async #restart(): Promise<void> {
    await this.#settle()
    this.#rooms.stop()
    for (const tab of this.#tabs) {
      tab.room = undefined
      tab.isGone = true
    }
    this.#start()
    this.#rooms.wake(this.#name)
    this.#count('restarted')
  }

  /** An answer is looked at while the room would catch what its reader throws. */
  #guarded(read: Answer): Answer {
    return (answer) => {
      try {
        read(answer)
      } catch (error) {
        this.#fault ??= error
      }
    }
  }

  /** Until nothing is under way any more: no commit, no invoked work. */
  async #settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      await this.#commits.settled()
      await setImmediate()
    }
    if (this.#fault) throw this.#fault
    for (const { fault } of this.#tabs) if (fault) throw fault
  }

  async #judge(): Promise<void> {
    await this.#settle()
    for (const tab of this.#tabs) {
      const got = await this.#get(tab.who)
      if (!got) continue
      if (got.seq > 0) {
        assert.equal(got.seq, this.#truth.seq, 'the room stands where its log does')
        assert.deepEqual(toJson(got.state), this.#truth.stateAt(got.seq, tab.who), 'get answers what is true')
      }
      tab.judge(got)
    }
  }

  async #get(who: Principal): Promise<ServerFrames['snapshot'] | undefined> {
    const answer = await new Promise((resolve) => this.#room.get(who, resolve))
    await this.#settle()
    return isFailure(answer as ServerFrames['snapshot']) ? undefined : (answer as ServerFrames['snapshot'])
  }

  /** Whoever comes back with any state of before comes to the same. */
  async #resumeFromEverywhere(): Promise<void> {
    const tabs = this.#tabs.map(({ who, past }) => ({ who, past: past.slice(-5) }))
    for (const { who, past } of tabs) {
      for (const since of past) {
        const tab = this.#connect(who)
        this.#join(tab, 'state', since)
        await this.#settle()
        const got = await this.#get(who)
        if (got) tab.judge(got)
        tab.lose()
        await this.#settle()
      }
    }
  }

  #count(what: string, by = 1): void {
    this.#tally[what] = (this.#tally[what] ?? 0) + by
  }
}
