/**
 * Taking turns (docs/decisions/0001): the requests to one durable thing, a room or an inbox, are decided and answered in
 * the order they came, and those of one turn share a commit.
 *
 * Always true: nobody is answered before what was decided is durable; where memory might have run ahead of the log, the
 * owner is read from the log again; while the storage refuses writes, whoever only reads is served.
 */

import { type Failure, failure } from './errors.ts'
import type { Commits, Participant } from './log/commits.ts'
import { DamagedLog, StorageRefused } from './log/log.ts'
import type { Logger } from './logger.ts'

/** Requests of one turn at most, so that a hot room lets the sockets breathe. */
const TURN = 1000

/** `decide` says what the request makes of the draft, and gives back what tells it once that is durable. */
export interface Request<Draft> {
  /** The connection that is told, if it is one. */
  readonly asker?: Asker | undefined
  decide(draft: Draft): Tell
  /** Answers where nothing could be made durable. */
  refuse(failure: Failure): void
}

/** Resolves, where it takes its time, when everything was told. */
export type Tell = () => Promise<void> | undefined | void

export interface Asker {
  readonly id: string
  /** What `run` has for it goes out in as few pieces as may be. */
  together(run: () => void): void
}

/** Whose turns they are. */
export interface Owner<Draft> {
  readonly name: string
  /** Reads everything from the log. */
  load(): Promise<void>
  /** One turn: decides the requests, makes durable what follows, tells. Those that were told are taken off the list; the others wait on. */
  commit(requests: Request<Draft>[]): Promise<void>
  /** Whether something has to be written that nobody asked for. */
  readonly isUnsettled: boolean
  /** Nothing waits and nothing is under way. */
  rested(): void
  /** It cannot be served: it could not be read, until somebody asks again, or it was given up, until it is revived. */
  failed(why: Failure): void
}

export class Turns<Draft> implements Participant {
  readonly #owner: Owner<Draft>
  readonly #commits: Commits
  readonly #logger: Logger
  readonly #waiting: Request<Draft>[] = []
  #phase: 'loading' | 'ready' | 'committing' | 'failed' = 'loading'
  /** Makes the owner another before it is read again. */
  #begin: (() => void) | undefined
  /** What everybody is told while the owner is given up. */
  #verdict: Failure | undefined

  constructor(owner: Owner<Draft>, commits: Commits, logger: Logger) {
    this.#owner = owner
    this.#commits = commits
    this.#logger = logger
  }

  get isAtRest(): boolean {
    return (this.#phase === 'ready' || this.#phase === 'failed') && this.#waiting.length === 0
  }

  /** Whether the owner could not be read; the next request tries again. */
  get hasFailed(): boolean {
    return this.#phase === 'failed'
  }

  /** Whether the owner is served to nobody, whoever asks. */
  get isGivenUp(): boolean {
    return this.#verdict !== undefined
  }

  receive(request: Request<Draft>): void {
    if (this.#verdict && this.#phase === 'failed') return request.refuse(this.#verdict)
    this.#waiting.push(request)
    if (this.#phase === 'ready') this.#commits.enlist(this)
    else if (this.#phase === 'failed') void this.load()
  }

  /** Serves nobody from the end of this turn on, until `revive`. */
  giveUp(verdict: Failure): void {
    this.#verdict = verdict
    if (this.#phase === 'ready') this.rest()
  }

  /** One that was given up is read from its log, as if nothing had been. */
  revive(): void {
    const wasGivenUp = this.isGivenUp
    this.#verdict = undefined
    if (wasGivenUp) this.beginAgain(() => {})
  }

  /** Behind the turn that is under way the owner is another, and read from its log, as if nothing had been. */
  beginAgain(begin: () => void): void {
    this.#begin = begin
    if (this.#phase === 'ready' || this.#phase === 'failed') void this.load()
  }

  /** Reads the owner from its log; what arrives meanwhile waits. */
  async load(): Promise<void> {
    this.#phase = 'loading'
    if (this.#begin) {
      this.#verdict = undefined
      this.#begin()
      this.#begin = undefined
    }
    try {
      await this.#owner.load()
    } catch (error) {
      return this.#fail(error)
    }
    this.rest()
  }

  async commit(): Promise<void> {
    if (this.#phase !== 'ready') return
    const requests = this.#waiting.splice(0, TURN)
    this.#phase = 'committing'
    try {
      await this.#owner.commit(requests)
    } catch (error) {
      return this.#restart(error, requests)
    }
    this.#waiting.unshift(...requests)
    this.rest()
  }

  /**
   * Answers in the order of the requests; who was told is taken off the list. What one who asks is told goes out together,
   * behind what `before` has for them.
   */
  async tell(requests: Request<Draft>[], tells: Tell[], before = (_asker: Asker): void => {}): Promise<void> {
    while (tells.length > 0) {
      const asker = requests[0]?.asker
      let telling: Promise<void> | undefined
      if (!asker) telling = this.#tellSome(requests, tells, asker)
      else {
        asker.together(() => {
          before(asker)
          telling = this.#tellSome(requests, tells, asker)
        })
      }
      if (telling) await telling
    }
  }

  /** Tells one who asks, up to what takes its time. */
  #tellSome(requests: Request<Draft>[], tells: Tell[], asker: Asker | undefined): Promise<void> | undefined {
    do {
      const telling = this.#tellOne(requests.shift(), tells.shift() as Tell)
      if (telling) return telling
    } while (tells.length > 0 && requests[0]?.asker === asker)
    return undefined
  }

  #tellOne(request: Request<Draft> | undefined, tell: Tell): Promise<void> | undefined {
    try {
      return tell()?.catch((error: unknown) => this.#untold(request, error))
    } catch (error) {
      this.#untold(request, error)
      return undefined
    }
  }

  #untold(request: Request<Draft> | undefined, error: unknown): void {
    this.#logger.error({ err: error, topic: this.#owner.name }, 'an answer could not be given')
    request?.refuse(
      error instanceof DamagedLog ? this.#failure() : failure('internal', 'the answer could not be given'),
    )
  }

  /** Waits for the next request, or goes on where there is something to do. */
  rest(): void {
    if (this.#begin) return void this.load()
    if (this.#verdict) return this.#refuseAll(this.#verdict)
    this.#phase = 'ready'
    if (this.#waiting.length > 0) this.#commits.enlist(this)
    else if (this.#owner.isUnsettled) this.#commits.enlistToWrite(this)
    else this.#owner.rested()
  }

  /**
   * The commit came to no known end, and the log says what is true. Where the storage refuses writes, those who wait are
   * decided again without any; where what is stored is damaged, nothing was written and the reading will say so; else they
   * may ask again.
   */
  #restart(error: unknown, requests: Request<Draft>[]): Promise<void> {
    if (error instanceof StorageRefused || error instanceof DamagedLog) this.#waiting.unshift(...requests)
    else {
      this.#logger.error(
        { err: error, topic: this.#owner.name },
        'a commit failed; its owner is read from the log again',
      )
      const unknown = failure('overloaded', 'the log did not answer; the outcome is unknown')
      for (const request of requests) request.refuse(unknown)
    }
    return this.load()
  }

  #fail(error: unknown): void {
    if (this.#begin) return void this.load()
    this.#logger.error({ err: error, topic: this.#owner.name }, 'the log could not be read')
    this.#refuseAll(this.#verdict ?? this.#failure())
  }

  #refuseAll(refusal: Failure): void {
    this.#phase = 'failed'
    for (const request of this.#waiting.splice(0)) request.refuse(refusal)
    this.#owner.failed(refusal)
    this.#owner.rested()
  }

  #failure(): Failure {
    return failure('room_failed', `${this.#owner.name} cannot be read; its operator can see why`)
  }
}
