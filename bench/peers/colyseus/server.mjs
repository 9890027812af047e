// Colyseus: one room for all, on its ws transport. Echoes a room message, or broadcasts it; no state, no token.
import { Room, Server } from '@colyseus/core'
import { WebSocketTransport } from '@colyseus/ws-transport'

const [port, mode] = process.argv.slice(2)

class Bench extends Room {
  maxClients = 100_000
  onCreate() {
    this.setPatchRate(null)
    this.onMessage('m', (client, data) => (mode === 'fanout' ? this.broadcast('m', data) : client.send('m', data)))
  }
}

const server = new Server({ transport: new WebSocketTransport({ maxPayload: 256 * 1024 }), greet: false })
server.define('bench', Bench)
await server.listen(Number(port), '127.0.0.1', 4096)
console.log('listening')
