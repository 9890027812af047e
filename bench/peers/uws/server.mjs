// The limit: uWebSockets.js alone. Echoes each message, or publishes it to all with its native `publish`.
import uWS from 'uWebSockets.js'

const [port, mode] = process.argv.slice(2)
const echo = { message: (ws, message, isBinary) => void ws.send(message, isBinary) }
const fanout = {
  open: (ws) => void ws.subscribe('all'),
  message: (_, message, isBinary) => void app.publish('all', message, isBinary),
}
const limits = { maxPayloadLength: 256 * 1024, maxBackpressure: 16 * 1024 * 1024, idleTimeout: 0 }
const app = uWS.App().ws('/*', { ...limits, ...(mode === 'fanout' ? fanout : echo) })
app.listen('127.0.0.1', Number(port), uWS.LIBUS_LISTEN_EXCLUSIVE_PORT, (socket) => {
  if (!socket) throw new Error(`port ${port} is taken`)
  console.log('listening')
})
