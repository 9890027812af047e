/**
 * How each server is spoken to: its opening, its echo, its fan-out. The same work in each one's own words.
 *
 * Always true: every echo is one frame of `SIZE` bytes of payload, whatever of it the protocol takes for itself; what
 * must come back is known beforehand, byte for byte.
 */
import { request } from 'node:http'
import { BINARY, clientFrame, type OnFrame } from './frames.ts'
import type { Signer } from './tokens.ts'
import { type Address, Wire } from './wire.ts'

/** Bytes of an echo's payload. */
export const SIZE = 108
/** The first correlation id: all have four digits. */
export const FIRST_ID = 1000

export type DialectName = 'raw' | 'chartroom' | 'socketio' | 'colyseus'

/** A frame that is sent, and what answers it. */
export interface Exchange {
  readonly frame: Buffer
  /** With what the answer begins. */
  readonly answer: Buffer
}

export interface Echo {
  readonly exchanges: readonly Exchange[]
  /** Where the four digits of the id stand in an answer. */
  readonly idAt: number
  /** Bytes of an answer behind what is known of it (a time). */
  readonly tail: number
}

export interface Dialect {
  /** Opens a connection as far as the server lets it talk. */
  open(port: number, user: string, fail: (error: Error) => void, sign: Signer): Promise<Wire>
  echo(ring: number): Echo
  /** A message to all, itself among them; `size` bytes of payload reach each. */
  toAll?(ring: number, size: number): Echo
}

const ids = (ring: number): number[] => Array.from({ length: ring }, (_, slot) => FIRST_ID + slot)

/** The text `head`, as many letters as make it `size` bytes, and `tail`. */
function padded(head: string, tail: string, size = SIZE): string {
  return head + 'x'.repeat(size - head.length - tail.length) + tail
}

const ping = (id: number): string => padded(`{"type":"ping","id":${id},"data":"`, '"}')

/** Opens, and waits for the frame that `isReady` says yes to. */
async function openUntil(
  address: Address,
  fail: (error: Error) => void,
  isReady: (frame: Buffer, wire: Wire) => boolean,
) {
  let opened: Wire | undefined
  let early: Buffer[] = []
  let ready = (): void => {}
  const readied = new Promise<void>((resolve) => {
    ready = resolve
  })
  const hear = (frame: Buffer): void => {
    if (!opened) early.push(frame)
    else if (isReady(frame, opened)) ready()
  }
  const onFrame: OnFrame = (_, bytes, start, end) => hear(Buffer.from(bytes.subarray(start, end)))
  opened = await Wire.open(address, fail, onFrame)
  for (const frame of early) hear(frame)
  early = []
  await readied
  return opened
}

const raw: Dialect = {
  open: (port, _user, fail) => Wire.open({ port, path: '/' }, fail),
  echo: (ring) => same(ids(ring).map(ping), 20),
  toAll: (ring, size) =>
    same(
      ids(ring).map((id) => padded(`{"type":"ping","id":${id},"data":"`, '"}', size)),
      20,
    ),
}

function same(texts: string[], idAt: number): Echo {
  return { exchanges: texts.map((text) => ({ frame: clientFrame(text), answer: Buffer.from(text) })), idAt, tail: 0 }
}

const chartroom: Dialect = {
  open: (port, user, fail, sign) => {
    const headers = { Authorization: `Bearer ${sign(user)}` }
    return openUntil({ port, path: '/ws', headers }, fail, (frame) => frame.includes('"type":"welcome"'))
  },
  echo: (ring) => ({
    exchanges: ids(ring).map((id) => {
      const text = ping(id)
      const answer = `${text.slice(0, -1).replace('ping', 'pong')},"time":`
      return { frame: clientFrame(text), answer: Buffer.from(answer) }
    }),
    idAt: 20,
    tail: '1767222000000}'.length,
  }),
}

/** Engine.IO's own: every 25 s the server says "2", and hears "3". */
const ENGINE_HEARTBEAT = { ping: '2'.charCodeAt(0), pong: '3' }

const socketio: Dialect = {
  open: (port, _user, fail) =>
    openUntil({ port, path: '/socket.io/?EIO=4&transport=websocket' }, fail, (frame, wire) => {
      if (frame[0] === 48) wire.send('40')
      wire.heartbeat = ENGINE_HEARTBEAT
      return frame.toString('latin1', 0, 2) === '40'
    }),
  echo: (ring) => {
    const exchanges = ids(ring).map((id) => {
      const text = padded(`42${id}["m","`, '"]')
      return { frame: clientFrame(text), answer: Buffer.from(`43${id}[${text.slice(text.indexOf(',') + 1)}`) }
    })
    return { exchanges, idAt: 2, tail: 0 }
  },
  toAll: (ring, size) =>
    same(
      ids(ring).map((id) => padded(`42["m","${id}`, '"]', size)),
      8,
    ),
}

const JOIN_ROOM = 10
const ROOM_DATA = 13

const colyseus: Dialect = {
  open: async (port, _user, fail) => {
    const seat = await post(port, '/matchmake/joinOrCreate/bench')
    const path = `/${seat.processId}/${seat.roomId}?sessionId=${seat.sessionId}`
    return openUntil({ port, path }, fail, (frame, wire) => {
      if (frame[0] === JOIN_ROOM) wire.send(Buffer.from([JOIN_ROOM]), BINARY)
      return frame[0] === JOIN_ROOM
    })
  },
  echo: (ring) => colyseusMessages(ring, SIZE),
  toAll: (ring, size) => colyseusMessages(ring, size),
}

/** `[13, "m", text]`: the code in one byte, the rest in msgpack, the text as `str 8`. */
function colyseusMessages(ring: number, size: number): Echo {
  const head = Buffer.from([ROOM_DATA, 0xa1, 0x6d, 0xd9, size - 5])
  const exchanges = ids(ring).map((id) => {
    const answer = Buffer.concat([head, Buffer.from(padded(`${id}`, '', size - 5))])
    return { frame: clientFrame(answer, BINARY), answer }
  })
  return { exchanges, idAt: 5, tail: 0 }
}

interface Seat {
  readonly processId: string
  readonly roomId: string
  readonly sessionId: string
}

function post(port: number, path: string): Promise<Seat> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', 'Content-Length': 2 }
    const asked = request({ port, host: '127.0.0.1', method: 'POST', path, headers }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(body))
        else reject(new Error(`no seat: ${response.statusCode} ${body}`))
      })
    })
    asked.on('error', reject)
    asked.end('{}')
  })
}

export const dialects: Readonly<Record<DialectName, Dialect>> = { raw, chartroom, socketio, colyseus }
