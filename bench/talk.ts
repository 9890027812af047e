/** Slow and whole: one JSON frame to Chartroom and what answers it, for what comes before and after a measurement. */
import { type Json, Watch } from './watch.ts'
import type { Wire } from './wire.ts'

export type { Json }

let nextId = 1

/** Resolves with the frame for which `isAnswer` holds: the one with that id, unless told. */
export function ask(wire: Wire, frame: object, isAnswer?: (frame: Json) => boolean): Promise<Json> {
  const id = nextId++
  const before = wire.onFrame
  return new Promise((resolve, reject) => {
    wire.onFrame = (_, bytes, start, end) => {
      const came: Json = JSON.parse(bytes.toString('utf8', start, end))
      try {
        if (!(isAnswer ? isAnswer(came) : came.id === id)) return
      } catch (error) {
        return reject(error as Error)
      }
      wire.onFrame = before
      if (came.type === 'error') reject(new Error(JSON.stringify(came)))
      else resolve(came)
    }
    wire.send(JSON.stringify({ ...frame, id }))
  })
}

/** From its snapshot on, every patch of the room is followed. */
export async function join(wire: Wire, room: string, keepsAll: boolean): Promise<Watch> {
  let watch: Watch | undefined
  await ask(wire, { type: 'join', room }, (frame) => {
    if (frame.type === 'error') throw new Error(JSON.stringify(frame))
    return frame.type === 'snapshot'
  }).then((snapshot) => {
    watch = new Watch(snapshot, keepsAll)
    wire.onFrame = (_, bytes, start, end) => watch?.patch(bytes, start, end)
  })
  return watch as unknown as Watch
}
