// One room, shown as it is now, and pressed. "?user=bob" is somebody else.
import { createClient } from 'chartroom/client'

const light = document.querySelector('#light')
const told = document.querySelector('#told')
const user = new URLSearchParams(location.search).get('user') ?? 'ann'

/** In development the server gives a token to whoever asks; your own back end does so in production. */
async function token() {
  const answer = await fetch(`/dev/token?user=${encodeURIComponent(user)}`)
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()).token
}

const client = createClient({ url: '/ws', token })
const room = client.room('light/stairs')

function show() {
  const isHere = client.status.state === 'open' && room.state !== undefined
  light.disabled = !isHere
  if (isHere) showLight(room.state)
  else told.textContent = client.status.error?.message ?? 'Connecting ...'
}

function showLight({ value, context: { by, presses } }) {
  light.setAttribute('aria-pressed', String(value === 'on'))
  told.textContent = presses === 0 ? `${user}, press it.` : `Presses: ${presses}, the last by ${by}.`
}

function complain({ message }) {
  told.textContent = message
}

client.subscribe(show)
room.subscribe(show, complain)
light.onclick = () => room.send({ type: 'press' }).catch(complain)
