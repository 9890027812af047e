/**
 * One who watches a room by the inspector's feed, and reads whatever it is told.
 *
 * Always true: a stretch in which the feed showed nothing of the room is an error of the run.
 */
import { ask } from './talk.ts'
import { signerOf, type TokenKey } from './tokens.ts'
import { Wire } from './wire.ts'

export interface Looking {
  readonly port: number
  readonly key: TokenKey
  readonly room: string
}

const STEP = Buffer.from('{"type":"step"')

export class Look {
  #steps = 0

  /** Resolves when the room's state has come. @param fail hears of an end that nobody asked for */
  static async open({ port, key, room }: Looking, fail: (error: Error) => void): Promise<Look> {
    const headers = { Authorization: `Bearer ${signerOf(key, { scope: 'inspect' })('onlooker')}` }
    const wire = await Wire.open({ port, path: '/inspect/feed', headers }, fail)
    const look = new Look()
    wire.onFrame = (_, bytes, start) => look.#read(bytes, start)
    await ask(wire, { type: 'watch', actor: `room:${room}` })
    return look
  }

  #read(bytes: Buffer, start: number): void {
    if (bytes.compare(STEP, 0, STEP.length, start, start + STEP.length) === 0) this.#steps++
  }

  /** @throws where nothing was seen since the last time */
  check(): void {
    if (this.#steps === 0) throw new Error('whoever looks was shown no step')
    this.#steps = 0
  }
}
