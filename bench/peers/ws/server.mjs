// `ws` alone. Echoes each message, or sends it to each client in a loop, as its README does.
import { WebSocketServer } from 'ws'

const [port, mode] = process.argv.slice(2)
const server = new WebSocketServer({ port: Number(port), host: '127.0.0.1', perMessageDeflate: false, backlog: 4096 })
const echo = (socket) => (message, isBinary) => socket.send(message, { binary: isBinary })
const fanout = () => (message, isBinary) => {
  for (const client of server.clients) client.send(message, { binary: isBinary })
}
server.on('connection', (socket) => socket.on('message', (mode === 'fanout' ? fanout : echo)(socket)))
server.on('listening', () => console.log('listening'))
