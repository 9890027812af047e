// Socket.IO, on Node's http or on uWebSockets.js. Echoes by acknowledgement, or emits to all; in memory, no token.

import uWS from 'uWebSockets.js'
import { createServer } from 'node:http'
import { Server } from 'socket.io'

const [port, mode, on] = process.argv.slice(2)
const io = new Server({ transports: ['websocket'], serveClient: false })
const echo = (data, acknowledge) => acknowledge(data)
const fanout = (data) => io.emit('m', data)
io.on('connection', (socket) => socket.on('m', mode === 'fanout' ? fanout : echo))
const listening = () => console.log('listening')

if (on === 'uws') {
  const app = uWS.App()
  io.attachApp(app)
  app.listen('127.0.0.1', Number(port), uWS.LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
    if (!socket) throw new Error(`port ${port} is taken`)
    listening()
  })
} else {
  const server = createServer()
  io.attach(server)
  server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 }, listening)
}
