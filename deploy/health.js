// Ends with 0 if the server of this machine is alive. It asks where the environment says that the server listens, over
// TLS if that is spoken; the certificate is not looked at, since it names the server as others know it.
import http from 'node:http'
import https from 'node:https'

const {
  CHARTROOM_HOST: host = '127.0.0.1',
  CHARTROOM_PORT: port = '8080',
  CHARTROOM_TLS_CERT: certificate,
} = process.env
const anywhere = { '0.0.0.0': '127.0.0.1', '::': '::1' }
const options = { host: anywhere[host] ?? host, port, path: process.argv[2] ?? '/health', rejectUnauthorized: false }

const end = (why) => {
  console.error(why)
  process.exit(1)
}
const asked = certificate ? https.get(options) : http.get(options)
asked.on('response', ({ statusCode }) => (statusCode === 200 ? process.exit(0) : end(`answered ${statusCode}`)))
asked.on('error', ({ message }) => end(message))
asked.setTimeout(2000, () => end('no answer within 2 s'))
