// The whole conversation by hand: a token, a join, a snapshot, then patches. "?user=bob" is somebody else.
const room = 'light/stairs'
const light = document.querySelector('#light')
const told = document.querySelector('#told')
const user = new URLSearchParams(location.search).get('user') ?? 'ann'

let state

function show() {
  light.disabled = false
  light.setAttribute('aria-pressed', String(state.value === 'on'))
  const { by, presses } = state.context
  told.textContent = presses === 0 ? `${user}, press it.` : `Pressed ${presses} times, last by ${by}.`
}

/** One operation of a JSON Patch (RFC 6902), as the server sends them. */
function apply({ op, path, value }) {
  const steps = path.split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const last = steps.pop()
  const parent = steps.slice(1).reduce((at, step) => at[step], state)
  if (Array.isArray(parent)) parent.splice(Number(last), op === 'add' ? 0 : 1, ...(op === 'remove' ? [] : [value]))
  else if (op === 'remove') delete parent[last]
  else parent[last] = value
}

const hear = {
  snapshot: (frame) => {
    state = frame.state
    show()
  },
  patch: ({ ops }) => {
    ops.forEach(apply)
    show()
  },
  error: ({ message }) => {
    told.textContent = message
  },
}

/** In development the server gives a token to whoever asks; your own back end does so in production. */
async function connect() {
  const { token } = await (await fetch(`/dev/token?user=${encodeURIComponent(user)}`)).json()
  const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, ['chartroom.v1', `bearer.${token}`])
  socket.onopen = () => socket.send(JSON.stringify({ type: 'join', room }))
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data)
    hear[frame.type]?.(frame)
  }
  socket.onclose = again
  light.onclick = () => socket.send(JSON.stringify({ type: 'send', room, event: { type: 'press' } }))
}

function again() {
  light.disabled = true
  told.textContent = 'Connecting ...'
  setTimeout(() => connect().catch(again), 1000)
}

connect().catch(again)
