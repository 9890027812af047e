/** As much of a WebSocket as a client uses: what browsers, Node from 22 on and the package `ws` have in common. */

export interface WebSocketLike {
  send(text: string): void
  close(code?: number, reason?: string): void
  /** Where there is one: ends without waiting for a peer that is silent. */
  terminate?(): void
  // biome-ignore lint/suspicious/noExplicitAny: each kind of WebSocket has event classes of its own
  addEventListener(type: 'open' | 'message' | 'close' | 'error', listener: (event: any) => void): void
}

export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike

/** @throws {TypeError} where there is none, and none was given. */
export function webSocketClass(given: WebSocketClass | undefined): WebSocketClass {
  const found = given ?? (globalThis as { WebSocket?: WebSocketClass }).WebSocket
  if (!found) throw new TypeError('there is no WebSocket here: give one, as in createClient({ WebSocket })')
  return found
}

/** @throws {TypeError} for what is no URL of a WebSocket; in a page it may be relative. */
export function webSocketUrl(given: string | URL): string {
  const base = (globalThis as { location?: { href: string } }).location?.href
  let url: URL | undefined
  try {
    url = new URL(given, base)
  } catch {}
  const protocol = url?.protocol.replace('http', 'ws')
  if (!url || url.hash || (protocol !== 'ws:' && protocol !== 'wss:'))
    throw new TypeError(`not the URL of a WebSocket, such as wss://example.com/ws: ${given}`)
  return url.href.replace(/^http/, 'ws')
}
