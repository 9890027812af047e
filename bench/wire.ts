/**
 * One WebSocket of the load generator over plain TCP: opened, read in place, written in pieces of many frames.
 *
 * Always true: whatever arrives goes to `onFrame` of the moment; an end that was not asked for is an error of the run.
 */
import { connect, type Socket } from 'node:net'
import { CLOSE, clientFrame, FrameReader, type OnFrame, PING, PONG } from './frames.ts'

/** One for all: what is read is used before the next read. */
const READ = Buffer.allocUnsafe(256 * 1024)

export interface Address {
  readonly port: number
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
}

export class Wire {
  onFrame: OnFrame = () => {}
  /** A ping of the server's own protocol, and what answers it. */
  heartbeat: { readonly ping: number; readonly pong: string } | undefined
  /** Everything that came at once was read. */
  afterRead = (): void => {}
  readonly #socket: Socket
  readonly #reader: FrameReader
  readonly #fail: (error: Error) => void
  #head: string | undefined = ''
  #isEnding = false
  #opened = (): void => {}

  private constructor({ port }: Address, fail: (error: Error) => void) {
    this.#fail = fail
    this.#reader = new FrameReader((opcode, bytes, start, end) => this.#frame(opcode, bytes, start, end))
    const onread = { buffer: READ, callback: (size: number) => this.#read(READ.subarray(0, size)) }
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread })
    this.#socket.on('error', (error) => this.#ended(error.message))
    this.#socket.on('close', () => this.#ended('closed'))
  }

  /** Resolves when the server has answered 101. @param fail hears of an end that nobody asked for. */
  static open(address: Address, fail: (error: Error) => void, onFrame: OnFrame = () => {}): Promise<Wire> {
    const wire = new Wire(address, fail)
    wire.onFrame = onFrame
    const fields = Object.entries(address.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`)
    wire.#socket.write(
      `GET ${address.path} HTTP/1.1\r\nHost: 127.0.0.1:${address.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${fields.join('')}\r\n`,
    )
    return new Promise((resolve) => {
      wire.#opened = () => resolve(wire)
    })
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  send(payload: string | Buffer, opcode?: number): void {
    this.write(clientFrame(payload, opcode))
  }

  /** Ends it with a reset, so that no port waits for the peer. */
  cut(): void {
    this.#isEnding = true
    this.#socket.resetAndDestroy()
  }

  #read(chunk: Buffer): boolean {
    try {
      if (this.#head === undefined) this.#reader.read(chunk)
      else this.#readHead(chunk)
      this.afterRead()
    } catch (error) {
      this.#fail(error as Error)
    }
    return true
  }

  #readHead(chunk: Buffer): void {
    this.#head += chunk.toString('latin1')
    const end = this.#head?.indexOf('\r\n\r\n') ?? -1
    if (end < 0) return
    const head = this.#head as string
    if (!head.startsWith('HTTP/1.1 101')) throw new Error(`no WebSocket: ${head.slice(0, 200)}`)
    this.#head = undefined
    this.#opened()
    if (head.length > end + 4) this.#reader.read(Buffer.from(head.slice(end + 4), 'latin1'))
  }

  #frame(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode === PING) return this.send(Buffer.from(bytes.subarray(start, end)), PONG)
    if (opcode === CLOSE) throw new Error(`the server closed: ${bytes.subarray(start + 2, end)}`)
    const { heartbeat } = this
    if (heartbeat && end - start === 1 && bytes[start] === heartbeat.ping) return this.send(heartbeat.pong)
    if (opcode !== PONG) this.onFrame(opcode, bytes, start, end)
  }

  #ended(why: string): void {
    if (!this.#isEnding) this.#fail(new Error(`a connection ended: ${why}`))
    this.#isEnding = true
  }
}
