/**
 * What an operator may ask of a room's dead letters: to see them, to have one sent again, to have one removed.
 *
 * Always true: it has its turn among the room's other requests, so what is shown is durable, and a letter is replayed or
 * removed once; the letters of a room that failed are shown all the same.
 */

import { type Failure, failure, isFailure } from '../errors.ts'
import type { ServerFrames } from '../protocol.ts'
import type { Turns } from '../turns.ts'
import type { DeadLetters, LetterPage, ShownLetter } from './dead-letters.ts'
import type { Draft } from './draft.ts'

/** Those behind `since`, at most `limit`. */
export interface Range {
  readonly since: number
  readonly limit: number
}

type Verdict = ServerFrames['ok'] | Failure

export class DeadLetterOffice {
  readonly #turns: Turns<Draft>
  readonly #letters: DeadLetters

  constructor(turns: Turns<Draft>, letters: DeadLetters) {
    this.#turns = turns
    this.#letters = letters
  }

  page(range: Range): Promise<LetterPage | Failure> {
    return this.#inTurn(() => this.#letters.page(range))
  }

  /** One letter, with the state before it. */
  letter(seq: number): Promise<ShownLetter | Failure> {
    return this.#inTurn(() => this.#letters.get(seq))
  }

  /**
   * Sends the event of a letter once more, in the name of who sent it. The turn that reads it is followed by the one that
   * decides: a room that rested between them might be forgotten, and be there twice.
   */
  replay(seq: number): Promise<Verdict> {
    return new Promise((answer) => {
      const read = async () => {
        const letter = await this.#letters.get(seq)
        if (isFailure(letter)) answer(letter)
        else void this.#decide(seq, (draft) => draft.replay(seq, letter)).then(answer)
      }
      this.#turns.receive({ decide: () => read, refuse: answer })
    })
  }

  /** Removes a letter for good. */
  delete(seq: number): Promise<Verdict> {
    return this.#decide(seq, (draft) => draft.deleteLetter(seq))
  }

  /** What `read` gives, once all that came before is durable; also where nobody is served. */
  #inTurn<T>(read: () => Promise<T>): Promise<T> {
    return new Promise<void>((resolve) => {
      const go = () => resolve()
      this.#turns.receive({ decide: () => go, refuse: go })
    }).then(read)
  }

  #decide(seq: number, decide: (draft: Draft) => Verdict): Promise<Verdict> {
    return new Promise((answer) => {
      this.#turns.receive({
        decide: (draft) => {
          const isThere = this.#letters.has(seq) && !draft.changes.removed.includes(seq)
          const decided = isThere ? decide(draft) : noLetter(seq)
          return () => answer(decided)
        },
        refuse: answer,
      })
    })
  }
}

const noLetter = (seq: number): Failure =>
  failure('unknown_seq', `the room has no dead letter ${seq}`, { path: '/seq' })
