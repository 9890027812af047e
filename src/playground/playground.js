/**
 * The playground: one tab's conversation with one room, and every frame of it.
 *
 * The straight line: connect → dial → received → snapshot or patch → render. Always true: what is shown of a room is
 * what the server's snapshot and patches made of it; an event waits in the outbox, under one key, until the server has
 * answered it, so that no crash loses or doubles it; what comes from outside reaches the page as text, never as markup.
 */

const page = Object.fromEntries([...document.querySelectorAll('[id]')].map((element) => [element.id, element]))

/** The connection under way. Each dial makes a new one, so that what an old socket still says reaches nobody. */
let connection
/** Who calls which room, and what this tab holds of it. It outlives the connection: a resume begins here. */
let held = {}
/** Events without an answer, by frame id, in the order they were sent. */
const outbox = new Map()
let attempts = 0
let redial
let lastId = 0

// The connection.

function connect() {
  const caller = { user: page.user.value, token: page.token.value, room: page.room.value }
  if (Object.keys(caller).some((key) => caller[key] !== held[key])) {
    held = caller
    outbox.clear()
  }
  const query = new URLSearchParams({ user: held.user, room: held.room })
  history.replaceState(null, '', `?${String(query).replaceAll('%2F', '/')}`)
  page.notice.textContent = ''
  attempts = 0
  dial()
}

function hangUp() {
  clearTimeout(redial)
  connection?.socket?.close(1000)
  connection = undefined
}

async function dial() {
  hangUp()
  const dialled = {}
  connection = dialled
  show('connecting', 'connecting')
  try {
    const token = await obtainToken()
    if (connection === dialled) open(dialled, token)
  } catch (error) {
    if (connection !== dialled) return
    // fetch throws a TypeError where nobody answers, which is the same bad luck as a socket that breaks.
    if (error instanceof TypeError) ended({ code: 1006, reason: 'the server does not answer' })
    else ended({ code: '', reason: error.message })
  }
}

/** Rooms of the machines that there are; the first is a click away. */
function offer(machines) {
  const rooms = machines.map((machine) => `${machine}/one`)
  page.rooms.replaceChildren(...rooms.map((room) => new Option(room, room)))
  if (rooms[0]) page.room.value = rooms[0]
}

/** In development the server makes one for anybody on its own machine; elsewhere it is pasted. */
async function obtainToken() {
  if (!page.token.disabled) return held.token
  const answer = await fetch(`/dev/token?user=${encodeURIComponent(held.user)}`)
  if (answer.ok) return (await answer.json()).token
  if (answer.status !== 404) throw new Error(await answer.text())
  page.userField.hidden = page.user.disabled = true
  page.tokenField.hidden = page.token.disabled = false
  page.token.focus()
  throw new Error('this server makes no tokens; paste one, and connect')
}

function open(dialled, token) {
  const url = `${location.origin.replace(/^http/, 'ws')}/ws`
  dialled.socket = new WebSocket(url, ['chartroom.v1', `bearer.${token}`])
  dialled.socket.onmessage = ({ data }) => connection === dialled && received(data)
  dialled.socket.onclose = (close) => connection === dialled && ended(dialled.closing ?? close)
}

/** The range of the code is the verdict: from 4100 on, and for what only befell the line, the tab comes back. */
const comesBack = (code) => code >= 4100 || code === 1001 || code === 1006 || code === 1011

function ended({ code, reason, retryAfter }) {
  connection = undefined
  const why = reason || (code === 1006 ? 'the connection was lost' : '')
  log('note', 'close', `${code} ${why}`)
  if (!comesBack(code)) return show('closed', `closed ${code}`, why)
  const delay = retryAfter ?? backOff(code)
  show('waiting', `closed ${code}`, `${why} · back in ${(delay / 1000).toFixed(1)} s`)
  redial = setTimeout(dial, delay)
}

/** Full jitter, so that the tabs of a fallen server do not return as one; from 4200 on the first try is nearly at once. */
function backOff(code) {
  const first = code >= 4200 ? 100 : 500
  return Math.random() * Math.min(10_000, first * 2 ** attempts++)
}

// The conversation.

function transmit(frame) {
  const text = JSON.stringify(frame)
  connection.socket.send(text)
  log('out', frame.type, text)
}

function join() {
  const { room, epoch, seq } = held
  connection.joinId = ++lastId
  transmit({ type: 'join', id: lastId, room, ...(epoch && { since: { epoch, seq } }) })
}

/** The key makes it safe to send the same frame again when its answer was lost. */
function post(event) {
  const key = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`
  const frame = { type: 'send', id: ++lastId, room: held.room, event, key }
  outbox.set(frame.id, frame)
  if (connection?.isJoined) transmit(frame)
  renderSoon()
}

const answers = {
  welcome({ user }) {
    attempts = 0
    held.who = user
    show('open', 'open')
    join()
  },
  ok({ id }) {
    if (outbox.delete(id)) page.notice.textContent = ''
    if (id !== connection.joinId) return
    connection.isJoined = true
    for (const frame of outbox.values()) transmit(frame)
  },
  error({ id, code, message, retry, retryAfter = 1000, allowed = [] }) {
    page.notice.textContent = `${code}: ${message}`
    if (code === 'unknown_machine') offer(allowed)
    if (!retry) return outbox.delete(id)
    const asked = connection
    setTimeout(() => connection === asked && join(), retryAfter)
  },
  snapshot({ epoch, seq, state }) {
    Object.assign(held, { epoch, seq, state })
  },
  patch({ epoch, base, seq, ops }) {
    if (held.epoch === undefined) return
    try {
      if (epoch !== held.epoch || base !== held.seq) throw new Error(`it starts at ${base}, held is ${held.seq}`)
      Object.assign(held, { seq, state: applyPatch(held.state, ops) })
    } catch (error) {
      log('note', 'mismatch', `${error.message}; joining again`)
      held.epoch = undefined
      join()
    }
  },
  closing(frame) {
    connection.closing = frame
  },
}

function received(text) {
  const frame = JSON.parse(text)
  log('in', frame.type, text)
  if (Object.hasOwn(answers, frame.type)) answers[frame.type](frame)
  renderSoon()
}

// JSON Patch (RFC 6902).

const operations = {
  add: (root, { path, value }) => insert(placeOf(root, path, true), value),
  remove: (root, { path }) => take(placeOf(root, path)),
  replace: (root, { path, value }) => {
    const { parent, key } = placeOf(root, path)
    parent[key] = value
  },
  move: (root, { from, path }) => {
    if (path.startsWith(`${from}/`)) throw new Error(`${from} cannot move into itself`)
    const value = take(placeOf(root, from))
    insert(placeOf(root, path, true), value)
  },
  copy: (root, { from, path }) => insert(placeOf(root, path, true), structuredClone(read(placeOf(root, from)))),
  test: (root, { path, value }) => {
    if (!isSame(read(placeOf(root, path)), value)) throw new Error(`the value at "${path}" is another`)
  },
}

/** `document` with `ops` applied, in place: where one throws, it is left half done and must be fetched anew. */
export function applyPatch(document, ops) {
  // The document stands under the key '', so that the path '' is a place like any other.
  const root = { '': document }
  for (const op of ops) operations[op.op](root, op)
  return root['']
}

/** Where a JSON Pointer (RFC 6901) leads: a container, and a key that is in it or, if `isNew`, may be added to it. */
function placeOf(root, pointer, isNew = false) {
  const steps = pointer.split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const last = steps.pop()
  const parent = steps.reduce((container, step) => container[keyIn(container, step)], root)
  return { parent, key: keyIn(parent, last, isNew) }
}

function keyIn(container, step, isNew = false) {
  if (Array.isArray(container)) {
    if (isNew && step === '-') return container.length
    if (/^(0|[1-9]\d*)$/.test(step) && Number(step) < container.length + Number(isNew)) return Number(step)
  } else if (typeof container === 'object' && container !== null && step !== '__proto__') {
    if (isNew || Object.hasOwn(container, step)) return step
  }
  throw new Error(`"${step}" leads nowhere`)
}

const read = ({ parent, key }) => parent[key]

function insert({ parent, key }, value) {
  if (Array.isArray(parent)) parent.splice(key, 0, value)
  else parent[key] = value
}

function take({ parent, key }) {
  const value = parent[key]
  if (Array.isArray(parent)) parent.splice(key, 1)
  else delete parent[key]
  return value
}

function isSame(a, b) {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  const keys = Object.keys(a)
  const isAlike = Array.isArray(a) === Array.isArray(b) && keys.length === Object.keys(b).length
  return isAlike && keys.every((key) => Object.hasOwn(b, key) && isSame(a[key], b[key]))
}

// What is seen.

function make(tag, className, ...content) {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...content)
  return element
}

function show(state, verdict, reason = '') {
  page.connection.dataset.state = state
  page.verdict.textContent = verdict
  page.reason.textContent = reason
  page.disconnect.disabled = state === 'closed'
  renderSoon()
}

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })
const DIRECTIONS = { in: ['↓', 'received'], out: ['↑', 'sent'], note: ['·', 'note'] }
const KEPT_FRAMES = 200

function log(direction, type, text) {
  const now = new Date()
  const [sign, title] = DIRECTIONS[direction]
  const arrow = Object.assign(make('abbr', '', sign), { title })
  const time = make('time', '', `${clock.format(now)}.${String(now.getMilliseconds()).padStart(3, '0')}`)
  const row = make('details', '', make('summary', '', arrow, make('b', '', type), time, make('code', '', text)))
  const tone = type === 'error' || type === 'closing' ? 'refusal' : direction
  page.frames.append(make('li', tone, row))
  if (page.frames.childElementCount > KEPT_FRAMES) page.frames.firstElementChild.remove()
}

let isRenderDue = false
/** A hot room is drawn once a frame of the screen, not once a frame of the wire. */
function renderSoon() {
  if (!isRenderDue) requestAnimationFrame(render)
  isRenderDue = true
}

function render() {
  isRenderDue = false
  const { who, room, state } = held
  document.title = [who, room, 'Chartroom'].filter(Boolean).join(' · ')
  for (const name of ['who', 'room', 'seq', 'epoch']) page[`${name}Held`].textContent = held[name] ?? '–'
  page.waiting.textContent = outbox.size > 0 && !connection?.isJoined ? `${outbox.size} waiting to be sent` : ''
  page.events.disabled = room === undefined
  renderState(state, [room, held.epoch, held.seq].join(' '))
  renderCan(state?.can ?? [])
  page.chat.hidden = !(room?.startsWith('chat/') && Array.isArray(state?.context?.messages))
  if (!page.chat.hidden) renderChat(state.context)
}

/** Drawn anew only for another place in another log, since a long one takes the browser a while. */
function renderState(state, place) {
  if (page.document.dataset.place === place) return
  page.document.dataset.place = place
  page.document.replaceChildren(...(state === undefined ? [] : painted(JSON.stringify(state, null, 2))))
}

const JSON_WORD = /("(?:[^"\\]|\\.)*")(:)?|-?\d[\d.eE+-]*|true|false|null/g

function painted(json) {
  const pieces = []
  let end = 0
  for (const { 0: match, 1: text, 2: colon, index } of json.matchAll(JSON_WORD)) {
    const word = text ?? match
    pieces.push(json.slice(end, index), make('span', colon ? 'key' : text ? 'text' : 'literal', word))
    end = index + word.length
  }
  return [...pieces, json.slice(end)]
}

/** What the shipped rooms expect beside `type`. */
const EXAMPLES = {
  increment: { by: 1 },
  decrement: { by: 1 },
  'message.post': { text: 'hello' },
  'document.patch': { ops: [{ op: 'add', path: '/title', value: 'Notes' }] },
}

/** Rebuilt only when it changes, so that a button keeps its focus. */
function renderCan(types) {
  if (page.can.dataset.types === String(types)) return
  page.can.dataset.types = String(types)
  page.can.replaceChildren(...types.map(prefillButton))
}

function prefillButton(type) {
  const onclick = () => {
    page.event.value = JSON.stringify({ type, ...EXAMPLES[type] }, null, 2)
    page.event.focus()
    checkEvent()
  }
  return Object.assign(make('button', 'event', type), { type: 'button', onclick })
}

function checkEvent() {
  try {
    const isEvent = typeof JSON.parse(page.event.value)?.type === 'string'
    page.event.setCustomValidity(isEvent ? '' : 'An event is { "type": "…" }.')
  } catch (error) {
    page.event.setCustomValidity(`This is not JSON: ${error.message}`)
  }
}

function renderChat({ messages, online = [] }) {
  page.online.replaceChildren(...online.map((user) => make('li', user === held.who ? 'me' : '', user)))
  // Only what came is added and what went is removed, so that a screen reader hears each message once.
  const shown = new Map([...page.messages.children].map((item) => [item.dataset.key, item]))
  messages.forEach((message, at) => {
    const key = [held.who, held.room, held.epoch, message.id].join(' ')
    if (!shown.delete(key)) page.messages.append(messageItem(key, message, messages[at - 1]))
  })
  for (const gone of shown.values()) gone.remove()
}

function messageItem(key, { from, text, time }, before) {
  const isMore = before?.from === from && time - before.time < 120_000
  const head = make('div', 'head', make('b', '', from), ' ', make('time', '', clock.format(time).slice(0, 5)))
  const item = make('li', from === held.who ? 'mine' : '', ...(isMore ? [] : [head]), make('p', '', text))
  item.dataset.key = key
  return item
}

// What the person does.

function onSubmit(form, act) {
  form.onsubmit = (submission) => {
    submission.preventDefault()
    act()
  }
}

onSubmit(page.call, connect)
onSubmit(page.sending, () => post(JSON.parse(page.event.value)))
onSubmit(page.saying, () => {
  post({ type: 'message.post', text: page.words.value })
  page.words.value = ''
})
page.disconnect.onclick = () => {
  hangUp()
  log('note', 'close', 'by you')
  show('closed', 'closed', 'by you')
}
page.clear.onclick = () => page.frames.replaceChildren()
page.event.oninput = checkEvent
page.event.onkeydown = ({ key, ctrlKey, metaKey }) => {
  if (key === 'Enter' && (ctrlKey || metaKey)) page.sending.requestSubmit()
}

const query = new URLSearchParams(location.search)
page.user.value = query.get('user') ?? ''
page.room.value = query.get('room') ?? page.room.value
page.user.focus()
