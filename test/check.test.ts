/** The command `check`: mistakes in machine files by their line, and stored rooms under files that have changed. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { lookAtMachineFiles } from '../src/check/load.ts'
import { blocks } from './fixtures/as-written.ts'
import { flip } from './fixtures/damage.ts'
import { ROOT, ServerProcess, startServer } from './fixtures/server.ts'
import { Tab } from './fixtures/tab.ts'

t.setTimeout(170_000)

interface Said {
  readonly code: number
  readonly said: string[]
  readonly complained: string[]
}

const lines = (text: string): string[] => text.split('\n').filter(Boolean)

/** Runs the real command, in a process of its own. */
function check(...words: string[]): Promise<Said> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['bin/chartroom.js', 'check', ...words], { cwd: ROOT }, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, said: lines(out), complained: lines(err) }),
    )
  })
}

/** A folder of machine files; `rooms` names those of the project that are in it as they are. */
function folderWith(t: Test, files: Readonly<Record<string, string>>, rooms: readonly string[] = []): string {
  const root = mkdtempSync(join(tmpdir(), 'chartroom-check-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'))
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }')
  const folder = join(root, 'rooms')
  mkdirSync(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  for (const name of rooms) writeFileSync(join(folder, `${name}.ts`), ofProject(name))
  return folder
}

const ofProject = (name: string): string => readFileSync(join(ROOT, `machines/rooms/${name}.ts`), 'utf8')

/** A machine of the project with one thing changed in it. */
function changed(name: string, from: string, to: string): string {
  const text = ofProject(name)
  if (!text.includes(from)) throw new Error(`${name} does not hold ${from}`)
  return text.replace(from, to)
}

const HEAD = `import { and, createMachine, not, raise, setup, spawnChild } from 'xstate'\n`
const PLAIN = `${HEAD}export default createMachine({ on: { go: {} } })\n`

/** A machine whose config begins in line 3. */
const chart = (config: string, setup = '{}'): string =>
  `${HEAD}export default setup(${setup}).createMachine({\n${config}\n})\n`

/** Each file, and the line and the words in which its mistake is told. */
const MISTAKES: Readonly<Record<string, readonly [text: string, told: string | RegExp, line?: number]>> = {
  'syntax.ts': [`${HEAD}const a = 1\nexport default { a: ] }`, /^it is no TypeScript: Unexpected "\]"$/, 3],
  'syntax-js.js': [`${HEAD}const a = 1\nexport default { a: ] }`, /^it is no JavaScript: /, 3],
  'missing-file.ts': [`${HEAD}import { a } from './nowhere.ts'\nexport default a`, /^there is no file .*nowhere/, 2],
  'missing-package.ts': [
    `${HEAD}import a from 'no-such-one'\nexport default a`,
    /^there is no package "no-such-one"/,
    2,
  ],
  'missing-name.ts': [`${HEAD}import { setpu } from 'xstate'\nexport default setpu({})`, /named 'setpu'/, 2],
  'throws.ts': [`${HEAD}interface A {}\nthrow new Error('as it is loaded')`, /^Error as it is loaded: as it is/, 3],
  'no-default.ts': ['export const x = 1', /^there is no default export; write "export default setup/],
  'no-machine.ts': ['\n\nexport default { on: {} }', /^the default export is not a machine of XState v5; write/, 3],
  'session.ts': [PLAIN, /^a chart of the server has this name; give the file another one$/],
  'No_Name.ts': [PLAIN, /^a machine file is named in lower case, .* write e\.g\. "my-room\.ts"$/],
  'misspelt.ts': [`${PLAIN}export const acces = {}`, 'acces: no such name; did you mean access?', 3],
  'misspelt-rule.ts': [
    `${PLAIN}export const access = {\n  jion: () => true }`,
    'access.jion: no such name; did you mean access.join?',
    4,
  ],
  'misspelt-policy.ts': [
    `${PLAIN}export const policy = {\n  hystory: 1 }`,
    'policy.hystory: no such name; did you mean policy.history?',
    4,
  ],
  'policy-redact.ts': [
    `${PLAIN}export const policy = {\n  redact: 'pin' }`,
    `policy.redact: expected names of properties, got "pin"; write "redact: ['password']"`,
    4,
  ],
  'policy-redact-index.ts': [
    `${PLAIN}export const policy = {\n  redact: ['pin', '0'] }`,
    'policy.redact: "0" is an index of lists; hide the property that they stand under',
    4,
  ],
  'policy.ts': [
    `${PLAIN}export const policy = {\n  history: -1 }`,
    'policy.history: expected a whole number of at least 0, got -1',
    4,
  ],
  'no-function.ts': [
    `${PLAIN}export const view = 1\nexport const viewEvent = () => null`,
    /^view: expected a function, got 1; /,
    3,
  ],
  'initial.ts': [
    chart(`initial: 'oof',\nstates: { a: {}, b: {} }, on: { go: '.b' }`),
    'no child state of (machine) is called "oof" (its initial); there are a, b',
    3,
  ],
  'initial-deep.ts': [
    chart(`initial: 'a',\nstates: { a: {}, b: {\n  initial: '#cook', states: { cook: {} } } },\non: { go: '.b' }`),
    'no child state of (machine).b is called "#cook" (its initial); did you mean cook?',
    5,
  ],
  'initial-none.ts': [chart(`initial: 'a'`), /^no child state .* is called "a" .*; there are none; leave it out$/, 3],
  'target.ts': [
    chart(`initial: 'a',\nstates: { a: {\n  on: { go: 'cookin' } }, cooking: {} }, on: { on: '.cooking' }`),
    'no state of (machine) is called "cookin" ((machine).a, on go); did you mean "cooking"?',
    5,
  ],
  'target-none-near.ts': [
    chart(`initial: 'a',\nstates: { a: {\n  after: { 10: ['oof'] } }, b: {} }, on: { go: '.b' }`),
    'no state of (machine) is called "oof" ((machine).a, after 10); there are a, b ("#id" is one elsewhere in the machine, ".child" one within)',
    5,
  ],
  'target-of-invoke.ts': [
    chart(
      `initial: 'a', states: { b: { initial: 'deep', states: { deep: {} } }, a: { invoke: { src: 'work',\n onDone: { target: 'deep' } } } }`,
      '{ actors: { work: createMachine({}) } }',
    ),
    'no state of (machine) is called "deep" ((machine).a, invoke, onDone); did you mean "#(machine).b.deep"?',
    4,
  ],
  'target-absolute.ts': [
    chart(`id: 'kitchen', initial: 'a', states: { a: {}, cooking: {} },\non: { go: '#kitchen.cookin' }`),
    'no state of kitchen is called "cookin" (kitchen, on go); did you mean "#kitchen.cooking"?',
    4,
  ],
  'target-id.ts': [
    chart(`on: {\n  go: '#oof' }`),
    'no state has the id "oof" ((machine), on go); there are #(machine)',
    4,
  ],
  'target-no-id.ts': [
    chart(`id: 'kitchen', initial: 'a', states: { a: {} },\non: { go: '#a' }`),
    'no state has the id "a" (kitchen, on go); did you mean "#kitchen.a"? That one has no id of its own',
    4,
  ],
  'target-no-dot.ts': [
    chart(`initial: 'a', states: { a: {} },\non: { go: 'a' }`),
    '"a" ((machine), on go) leads nowhere; did you mean ".a"?',
    4,
  ],
  'target-history.ts': [
    chart(
      `initial: 'a', states: { a: {}, last: { type: 'history',\n target: 'oof' }, c: {} }, on: { go: '.last', on: '.c' }`,
    ),
    /^no state of \(machine\) is called "oof" \(\(machine\)\.last, history target\); there are a, last, c/,
    4,
  ],
  'no-initial-misspelt.ts': [
    chart(`states: { a: {} },\ninital: 'a'`),
    'inital: no such name in a state ((machine)); did you mean initial?; the rest of the file cannot be looked at until this is mended',
    4,
  ],
  'key-transition.ts': [
    chart(`on: { go: { actions: [],\n  gaurd: 'isReady' } }`, '{ guards: { isReady: () => true } }'),
    'gaurd: no such name in a transition ((machine), on go); did you mean guard?',
    4,
  ],
  'key-elsewhere.ts': [
    chart(`on: { go: {\n  entry: [] } }`),
    'entry: no such name in a transition ((machine), on go); there are target, guard, actions, reenter, meta, description',
    4,
  ],
  'key-renamed.ts': [
    chart(`always: [{ guard: () => false }], on: { go: {\n  cond: () => false } }`),
    /^cond: no such name in a transition .* did you mean guard\?/,
    4,
  ],
  'key-state.ts': [
    chart(`initial: 'a', states: { a: {\n  onn: {} } }`),
    'onn: no such name in a state ((machine).a); did you mean on?',
    4,
  ],
  'key-machine.ts': [chart(`\nallways: []`), 'allways: no such name in a machine ((machine)); did you mean always?', 4],
  'key-parallel.ts': [
    chart(`type: 'parallel', states: { a: {} },\ninital: 'a'`),
    'inital: no such name in a machine ((machine)); did you mean initial?',
    4,
  ],
  'key-invoke.ts': [
    chart(`invoke: { src: 'work',\n  onDoen: {} }`, '{ actors: { work: createMachine({}) } }'),
    'onDoen: no such name in an invoke ((machine)); did you mean onDone?',
    4,
  ],
  'key-type.ts': [
    chart(`states: { a: {} },\ntype: 'paralel'`),
    'no type of state is called "paralel" ((machine)); did you mean parallel?',
    4,
  ],
  'schemas-misspelt.ts': [
    `${PLAIN}export const schemas = {\n  event: { go: {} } }`,
    'schemas.event: no such name; did you mean schemas.events?',
    4,
  ],
  'schemas-of-all.ts': [
    `${PLAIN}import { z } from 'zod'\nexport const schemas = {\n  events: z.object({}) }`,
    /^schemas\.events: expected an object with a schema for each event type; write "\{ go: z\./,
    5,
  ],
  'schema-no-schema.ts': [
    `${PLAIN}export const schemas = { events: {\n  go: { '~standard': { version: 1 } } } }`,
    /^schemas\.events\["go"\]: expected a Standard Schema/,
    4,
  ],
  'no-object.ts': [`${PLAIN}export const access = () => true`, 'access: expected an object, got a function', 3],
  'view-event.ts': [
    `${PLAIN}export const view = () => ({})\nexport const viewEvent = 3`,
    'viewEvent: expected a function, got 3; write "(record, who) => ..."',
    4,
  ],
  'born-with-date.ts': [
    chart(`context: { a: [{\n  startedAt: new Date() }] }`),
    /^context\.a\.0\.startedAt: a Date is no JSON; keep a Date as its number/,
    4,
  ],
  'born-with-actor.ts': [
    chart(
      `context: ({ input, spawn }) => ({ ...input,\n  worker: spawn('work') })`,
      '{ actors: { work: createMachine({}) } }',
    ),
    /^context\.worker: a Actor is no JSON; .* an actor as its id$/,
    4,
  ],
  'born-with-nan.ts': [
    chart(`context: {\n  sum: Number('a') }`),
    /^context\.sum: NaN is no JSON; write another number/,
    4,
  ],
  'born-throwing.ts': [
    chart(`context: () => {\n  throw new Error('no\\nlight') }`),
    'a room cannot be born: no light; mend the context, or what is done on entry',
    4,
  ],
  'born-endless.ts': [
    chart(`on: { go: {} }, initial: 'a',\nstates: { a: { always: 'b' }, b: { always: 'a' } }`),
    /^a room cannot be born: one event led to more than 1000 microsteps/,
  ],
  'no-initial.ts': [
    chart(`states: {\n a: {} }`),
    /^No initial state specified .* Try adding .*; the rest of the file cannot be looked at/,
    2,
  ],
  'guard.ts': [
    chart(`on: {\n  go: { guard: 'isRaedy', actions: [] } }`, '{ guards: { isReady: () => true } }'),
    'no guard is called "isRaedy" ((machine)); did you mean isReady?',
    4,
  ],
  'guard-within.ts': [
    chart(`on: { go: { actions: [],\n  guard: and(['ok', not('nope')]) } }`, '{ guards: { ok: () => true } }'),
    'no guard is called "nope" ((machine)); write it in setup({ guards: { ... } })',
    4,
  ],
  'guard-of-guards.ts': [
    chart('on: { go: {} }', `{ guards: {\n  both: and(['nope', 'nope']) } }`),
    /^no guard is called "nope" \(setup, both\)/,
    3,
  ],
  'action.ts': [
    chart(`entry: [\n  { type: 'ring' }]`),
    'no action is called "ring" ((machine)); write it in setup({ actions: { ... } })',
    4,
  ],
  'actor.ts': [
    chart(`invoke: {\n  src: 'work' }`),
    'no actor is called "work" ((machine)); write it in setup({ actors: { ... } })',
    4,
  ],
  'spawned.ts': [chart(`entry: spawnChild(\n  'work')`), /^no actor is called "work"/, 4],
  'after.ts': [
    chart(`initial: 'a', states: { b: {}, a: { after: {\n  soon: 'b' } } }`),
    'no delay is called "soon" ((machine).a); write it in setup({ delays: { ... } }), or a number of milliseconds',
    4,
  ],
  'delay.ts': [chart(`entry: raise({ type: 'go' },\n  { delay: 'soon' })`), /^no delay is called "soon"/, 4],
  'within-child.ts': [chart('invoke: { src: createMachine({\n  entry: "ring" }) }'), /^no action is called "ring"/, 4],
  'schema.ts': [
    `${PLAIN}import { z } from 'zod'\nexport const schemas = { events: {\n  og: z.looseObject({}) } }`,
    'schemas.events["og"]: no state has a transition for it; did you mean go?',
    5,
  ],
  'no-schema.ts': [
    `${PLAIN}export const schemas = { events: {\n  go: { type: 'object' } } }`,
    /^schemas\.events\["go"\]: expected a Standard Schema/,
    4,
  ],
  'room-event.ts': [
    chart(`on: {\n  'room.closed': {} }`),
    /^no event is called room\.closed; the server's own are room\.joined and room\.left/,
    4,
  ],
  'xstate-event.ts': [
    chart(`on: {\n  'xstate.go': {} }`),
    /^no event is called xstate\.go; what begins with "xstate\."/,
    4,
  ],
  'version.ts': [`${PLAIN}export const version = 2`, "version: expected a string, got 2; write '2'", 3],
  'migrate.ts': [
    `${PLAIN}export const version = '2'\nexport const migrate = { 1: (room) => room, 2: (room) => room }`,
    /^migrate\.2: leads on from the version that the file has .*; give version a new value, or leave migrate\.2 out$/,
    4,
  ],
  'step.ts': [
    `${PLAIN}export const version = '2'\nexport const migrate = {\n  1: 'none' }`,
    /^migrate\.1: expected a function, got "none"; /,
    5,
  ],
  'twin.js': [PLAIN, /twin\.js is called twin as well; rename one/],
}

t.test('CHECK-1 every mistake of every file is told at once, with its line and what to write instead', async (t) => {
  const texts = Object.fromEntries(Object.entries(MISTAKES).map(([name, [text]]) => [name, text]))
  const folder = folderWith(t, { ...texts, 'fine.ts': PLAIN, 'twin.ts': PLAIN })
  const { code, said, complained } = await check(folder)
  t.equal(code, 1)
  t.strictSame(complained, [])
  for (const [name, [, told, line]] of Object.entries(MISTAKES)) {
    const path = join(folder, name.replace('twin.js', 'twin.ts'))
    const [mine = '', ...more] = said.filter((line) => line.startsWith(`${path}:`) || line.startsWith(`${path} `))
    await t.test(`CHECK-1 ${name}`, async (t) => {
      const start = `${path}${line === undefined ? '' : `:${line}`}  `
      t.equal(mine.slice(0, start.length), start, mine)
      t.match(mine.slice(start.length), told)
      t.strictSame(more, [], 'one line')
    })
  }
  t.ok(said.includes('fine  version 1, 1 state, events: go'), 'and a line for a file that is fine')

  const refused = new ServerProcess({ env: { CHARTROOM_MACHINES: folder } })
  t.teardown(() => refused.dispose())
  await t.rejects(refused.start(), { message: /^the server ended with 1/ })
  const mistakes = said.filter((line) => line.startsWith(folder) && !line.includes('  note: '))
  t.strictSame(
    lines(refused.stderr),
    mistakes.map((line) => `chartroom: ${line}`),
    'a start says the same',
  )
})

t.test('CHECK-2 what may be meant so is a note, and no file is refused for it', async (t) => {
  const folder = folderWith(t, {
    'lonely.ts': chart(
      `initial: 'a',\nstates: {\n  a: {}, b: { initial: 'c', states: { c: {} } },\n  d: { type: 'history' } }, on: { go: '.d' }`,
    ),
    'mute.ts': `${PLAIN}export const view = () => ({})\n`,
    'newer.ts': `${PLAIN}export const version = '2'\n`,
    'of-key.ts': chart(`context: ({ input }) => ({\n  table: Number(input.key.slice(4)) })`),
    'own-word.ts': chart(`entry: () => console.log('an effect'),\ncolour: 'red'`),
    'unseen.ts': `import { createMachine, enqueueActions } from 'xstate'
      export default createMachine({
        entry: enqueueActions(({ enqueue }) => enqueue('nothing')) })`,
  })
  t.match(await check(folder), {
    code: 0,
    said: [
      'lonely  version 1, 4 states, events: go',
      `${folder}/lonely.ts:5  note: nothing leads to the state (machine).b; write a transition to it, or leave it out`,
      'mute  version 1, 1 state, events: go',
      /mute\.ts:3 {2}note: there is a view and no viewEvent: nobody is shown an event/,
      'newer  version 2, 1 state, events: go',
      /newer\.ts:3 {2}note: version is '2' and nothing migrates/,
      'of-key  version 1, 1 state, events: none',
      /of-key\.ts:4 {2}note: with the key "check": context\.table: NaN is no JSON/,
      'own-word  version 1, 1 state, events: none',
      /own-word\.ts:4 {2}note: colour: no such name in a machine \(\(machine\)\); there are initial, /,
      'unseen  version 1, 1 state, events: none',
      /unseen\.ts:3 {2}note: what enqueueActions does is seen only as it runs/,
    ],
    complained: [],
  })
  const json = await check(folder, '--json')
  t.match(JSON.parse(json.said.join('\n')), {
    ok: true,
    files: [
      { name: 'lonely', version: '1', states: 4, events: ['go'], remarks: [{ line: 5, isNote: true }] },
      {},
      {},
      {},
      {},
      {},
    ],
  })
})

t.test('CHECK-3 a chart of thousands of states, each leading to the next, is looked at whole', async (t) => {
  const long = `import { setup } from 'xstate'
const states = Object.fromEntries(
  Array.from({ length: 10_000 }, (_, i) => [\`s\${i}\`, { on: { next: \`s\${i + 1}\` } }]),
)
export default setup({}).createMachine({ id: 'long', initial: 's0', states: { ...states, s10000: {}, alone: {} } })
`
  const { code, said } = await check(folderWith(t, { 'long.ts': long }))
  t.equal(code, 0)
  t.match(said, ['long  version 1, 10002 states, events: next', /note: .*alone/])
  t.equal(said.length, 2)
})

t.test('CHECK-1 one file alone, and a target that leads nowhere hides nothing else', async (t) => {
  const many = `${chart(`initial: 'oof', states: { a: {\n  on: { go: '#cookin' } }, cooking: { id: 'cooking' } }, on: {\n  stay: { gaurd: 'x', actions: 'ring' } }`)}
export const schemas = { event: {} }\n`
  const folder = folderWith(t, { 'many.ts': many, 'other.ts': 'export default 1', 'read.md': '' })
  const file = join(folder, 'many.ts')
  t.match(await check(file), {
    code: 1,
    said: [
      `${file}:8  schemas.event: no such name; did you mean schemas.events?`,
      /many\.ts:3 {2}no child state of \(machine\) is called "oof"/,
      /many\.ts:4 {2}no state has the id "cookin" .* did you mean "#cooking"\?$/,
      /many\.ts:5 {2}gaurd: /,
      /many\.ts:5 {2}no action is called "ring"/,
    ],
    complained: [],
  })
  const other = join(folder, 'read.md')
  await t.rejects(lookAtMachineFiles(other), { message: `${other}: no machine file (.ts or .js) in it` })
})

t.test('CHECK-1 what a file began as it was loaded, and fails later, is told with its line', async (t) => {
  const later = `${HEAD}export const began = 1\nvoid new Promise((_, reject) => setTimeout(() => reject(new Error('too late')), 5))\n`
  const folder = folderWith(t, {
    'atonce.ts': `${PLAIN}void Promise.reject(new RangeError('lost'))\n`,
    'late.ts': later + PLAIN.slice(HEAD.length),
    'nameless.ts': `${PLAIN}setTimeout(() => {\n  throw 7\n}, 5)\n`,
    'patient.ts': `${PLAIN}await new Promise((resolve) => setTimeout(resolve, 100))\n`,
  })
  const { code, said, complained } = await check(folder)
  const words = 'what it began as it was loaded failed while nobody waited for it:'
  t.equal(code, 1)
  t.match(said, [/^atonce /, /^late /, /^nameless /, /^patient /])
  t.strictSame([...complained].sort(), [
    `${folder}/atonce.ts:3  ${words} RangeError: lost; await it, or catch it`,
    `${folder}/late.ts:3  ${words} Error: too late; await it, or catch it`,
    `a machine file  ${words} it threw: 7; await it, or catch it`,
  ])
  t.match(await check(folder, '--json'), { code: 1, said: ['{', '  "ok": false,'] })
})

t.test('CHECK-1 in a package that is not marked as one of modules, what to write into package.json', async (t) => {
  const folder = folderWith(t, { 'fine.ts': PLAIN })
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }')
  t.match(await check(folder), { code: 1, said: [/fine\.ts {2}.*write "type": "module" into the package\.json/] })
})

t.test('CHECK-3 a folder is no machine file, whatever it is called', async (t) => {
  const folder = folderWith(t, { 'fine.ts': PLAIN })
  mkdirSync(join(folder, 'other.ts'))
  t.match(await check(folder), { code: 0, said: [/^fine /], complained: [] })
})

t.test('CHECK-3 the machines of the project are without a mistake; a folder without any is refused', async (t) => {
  t.match(await check(), { code: 0, said: [/^auction {2}version 1, 4 states, events: bid, offer$/], complained: [] })
  const empty = folderWith(t, {})
  t.match(await check(empty), { code: 1, complained: [`chartroom: ${empty}: no machine file (.ts or .js) in it`] })
  const none = join(empty, 'none')
  t.match(await check(none), { code: 1, complained: [/none.*; name the folder with --machines$/] })
  t.match(await check('--deploy', '--data', none), {
    code: 1,
    complained: [`chartroom: ${none} holds no log; name its folder with --data`],
  })
})

const PAGE = readFileSync(join(ROOT, 'docs/machines.md'), 'utf8')

t.test('CHECK-1 docs/machines.md says what it says', async (t) => {
  const [shopping = ''] = blocks(PAGE, 'ts')
  const folder = folderWith(t, { 'shopping.ts': shopping.replace("guard: 'isThere'", "guard: 'isThree'") })
  const { code, said } = await check(folder)
  t.equal(code, 1)
  t.strictSame(
    said,
    lines(blocks(PAGE, 'check').join('')).map((line) => line.replace('machines/rooms', folder)),
  )
})

/** A server that had rooms of the project's machines and was stopped: its data, and the data alone. */
async function storedRooms(t: Test): Promise<string> {
  const folder = folderWith(t, {}, ROOMS)
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: folder } })
  const [ann, bob] = [await Tab.open(server, 'ann'), await Tab.open(server, 'bob')]
  const send = async (tab: Tab, room: string, event: { type: string; [key: string]: unknown }) =>
    t.match(await tab.ask({ type: 'send', room, event }), { type: 'ok' }, `${room} ${event.type}`)
  for (const by of [1, 2, 3]) await send(ann, 'counter/a', { type: 'increment', by })
  await send(ann, 'counter/b', { type: 'decrement' })
  await ann.join('chat/lobby')
  await bob.join('chat/lobby')
  for (const text of ['one', 'two']) await send(bob, 'chat/lobby', { type: 'message.post', text })
  for (const tab of [bob, ann]) t.match(await tab.ask({ type: 'leave', room: 'chat/lobby' }), { type: 'ok' })
  await ann.join('auction/lot')
  await send(ann, 'auction/lot', { type: 'offer', lot: 'a lamp', lasts: 150, grace: 100 })
  await send(bob, 'auction/lot', { type: 'bid', amount: 5 })
  await send(bob, 'auction/open', { type: 'offer', lot: 'a chair', price: 10 })
  await ann.join('workflow/task')
  await send(ann, 'workflow/task', { type: 'submit', task: 'paint' })
  await send(bob, 'workflow/task', { type: 'approve' })
  await comesTo(ann, 'auction/lot', 'sold')
  await comesTo(ann, 'workflow/task', 'done')
  t.match(await check(folder, '--deploy', '--data', server.data), AS_BEFORE, 'also while the server runs')
  t.equal(await server.end('SIGTERM'), 0)
  return server.data
}

const ROOMS = ['auction', 'chat', 'counter', 'workflow']

const AS_BEFORE = {
  code: 0,
  said: [
    'auction  2 rooms, 6 events, as before',
    'chat  1 room, 7 events, as before',
    'counter  2 rooms, 6 events, as before',
    'workflow  1 room, 4 events, as before',
    '6 rooms, 23 events: all as before',
  ],
  complained: [],
}

async function comesTo(tab: Tab, room: string, value: string): Promise<void> {
  while (tab.state(room).value !== value) await tab.next('patch')
}

t.test('CHECK-4 --deploy', async (t) => {
  const data = await storedRooms(t)
  /** Everything as it was but for some files. */
  const deployed = (files: Readonly<Record<string, string>>, rooms = ROOMS, ...words: string[]) => {
    const untouched = rooms.filter((name) => !(`${name}.ts` in files))
    return check(folderWith(t, files, untouched), '--deploy', '--data', data, ...words)
  }

  t.test('CHECK-4 the same files behave as before, timers, presence and invoked work too', async (t) => {
    t.strictSame(await deployed({}), AS_BEFORE)
  })

  t.test('CHECK-4 a changed action: the first event, and what it changes', async (t) => {
    const { code, said } = await deployed({
      'counter.ts': changed('counter', '+ (event.by ?? 1)', '+ 2 * (event.by ?? 1)'),
    })
    t.equal(code, 1)
    t.match(said, [
      /^auction .* as before$/,
      /^chat .* as before$/,
      'counter/a  seq 2, increment from ann: would behave differently',
      '  /context/count: 1 then, 2 now',
      'counter  2 rooms, 4 events, 1 not as before',
      /^workflow .* as before$/,
      /^the event that it stopped at is the first/,
      /Math\.random/,
      '6 rooms, 21 events: 1 room would behave differently',
    ])
  })

  t.test('CHECK-4 one difference is not told again in what follows from it', async (t) => {
    const { said } = await deployed(
      {
        'counter.ts': changed(
          'counter',
          'event.by ?? 1) }) },\n    decrement',
          '0) + (event.by === 2 ? 7 : event.by) }) },\n    decrement',
        ),
      },
      ROOMS,
      '--room',
      'counter/a',
    )
    t.match(said, ['counter/a  seq 3, increment from ann: would behave differently', '  /context/count: 3 then, 8 now'])
  })

  t.test('CHECK-4 a stricter guard and a removed event', async (t) => {
    const strict = await deployed({
      'auction.ts': changed('auction', 'event.amount >= price', 'event.amount >= 2 * price + 4'),
    })
    t.match(strict.said, [
      'auction/lot  seq 3, bid from bob: would behave differently',
      '  the machine does not take it any more',
    ])
    const removed = await deployed({
      'chat.ts': changed('chat', "'message.post': {", "'message.say': {").replace(
        "{ 'message.post'",
        "{ 'message.say'",
      ),
    })
    t.match(removed.said.slice(1), [
      'chat/lobby  seq 4, message.post from bob: would behave differently',
      '  the machine does not take it any more',
    ])
  })

  t.test('CHECK-4 a changed delay, a timer that comes to something else, work that does', async (t) => {
    const later = await deployed({ 'auction.ts': changed('auction', '- event.time }', '- event.time + 5 }') })
    t.match(later.said, [
      'auction/lot  seq 2, offer from ann: would behave differently',
      /^ {2}\/timers\/0\/dueAt: \d+ then, \d+ now$/,
      /^ {2}\/delays\/0\/dueAt: /,
    ])
    t.match(later.said, [/./, /./, /./, /./, '  and 1 other room of auction'])
    const sold = await deployed({
      'auction.ts': changed('auction', "guard: 'isSold', target: 'sold'", "guard: 'isSold', target: 'unsold'"),
    })
    t.match(sold.said, [
      /^auction\/lot {2}seq 4, xstate\.after\.closing\.auction\.open: would behave differently$/,
      '  /value: "sold" then, "unsold" now',
    ])
    const work = await deployed({
      'workflow.ts': changed('workflow', 'receipt: ({ event }) => event.output', 'receipt: () => 1'),
    })
    t.match(work.said.slice(3), [
      'workflow/task  seq 4, xstate.done.actor.carryOut: would behave differently',
      /^ {2}\/output\/receipt: |^ {2}\/context\/receipt: /,
    ])
    const joined = await deployed({
      'chat.ts': changed('chat', '[...context.online, event.user]', '[event.user, ...context.online]'),
    })
    t.match(joined.said.slice(1), ['chat/lobby  seq 3, room.joined: would behave differently'])
  })

  t.test('CHECK-4 a machine that asks the clock differs, and the report says so', async (t) => {
    const { code, said } = await deployed({ 'chat.ts': changed('chat', 'id: seq, from', 'id: Math.random(), from') })
    t.equal(code, 1)
    t.match(said.slice(1), ['chat/lobby  seq 4, message.post from bob: would behave differently'])
    t.match(said.join('\n'), /asks Math\.random\(\) or the clock differs from itself/)
  })

  t.test('CHECK-4 a machine whose file is gone, or whose state is', async (t) => {
    const gone = await deployed({}, ['auction', 'chat', 'workflow'])
    t.equal(gone.code, 1)
    t.match(gone.said.slice(2), [
      'counter/a  could not be compared: there is no machine of that name; put counter.ts back, or leave it: it answers unknown_machine, and what is stored of it stays',
      /^counter\/b {2}could not be compared/,
      'counter  2 rooms, 0 events, 2 could not be compared',
      /^workflow .* as before$/,
      '6 rooms, 17 events: 2 rooms could not be compared',
    ])
    const renamed = await deployed({
      'auction.ts': ofProject('auction').replaceAll("'open'", "'running'").replace('open: {', 'running: {'),
    })
    t.match(renamed.said.join('\n'), /^auction\/open {2}it cannot go on from where it is: .*open/m)
    t.equal(renamed.said.at(-1), '6 rooms, 21 events: 2 rooms would behave differently')
  })

  t.test('CHECK-4 a newer version: its migration is run, and what an older one did is not compared', async (t) => {
    const newer = (migrate: string) =>
      `${ofProject('counter').replace('context.count +', '5 +')}\nexport const version = '2'\n${migrate}`
    const good = await deployed({ 'counter.ts': newer('export const migrate = { 1: (room) => room }') })
    t.match(good, {
      code: 0,
      said: [/./, /./, 'counter  2 rooms, 0 events, as before, 6 events of an older version not compared'],
    })
    const throwing = await deployed({
      'counter.ts': newer(`export const migrate = { 1: () => { throw new Error('no way') } }`),
    })
    t.match(throwing.said.slice(2), ['counter/a  it cannot go on from where it is: no way'])
    t.equal(throwing.code, 1)
    t.match((await deployed({ 'counter.ts': newer('') })).said.slice(2), [
      /^counter\/a {2}it cannot go on from where it is: the room was stored by version 1 of counter, this is 2; no migration leads there$/,
    ])
  })

  t.test('CHECK-4 docs/machines.md says what it says', async (t) => {
    const twice = { 'counter.ts': changed('counter', '+ (event.by ?? 1)', '+ 2 * (event.by ?? 1)') }
    const { said } = await deployed(twice, ROOMS, '--room', 'counter/a')
    t.strictSame(said, lines(blocks(PAGE, 'check-deploy').join('')))
  })

  t.test('CHECK-4 one room alone, as JSON', async (t) => {
    const { code, said } = await deployed({}, ROOMS, '--json', '--room', 'counter/b')
    t.equal(code, 0)
    t.strictSame(JSON.parse(said.join('\n')), {
      ok: true,
      rooms: [{ room: 'counter/b', machine: 'counter', compared: 2, outdated: 0, unseen: 0, missed: 0 }],
    })
    t.match(await deployed({}, ROOMS, '--room', 'counter/none'), {
      code: 1,
      complained: [/nothing is stored of counter\/none/],
    })
  })

  t.test('CHECK-4 files with mistakes are told, and nothing is replayed', async (t) => {
    const { code, said } = await deployed({ 'counter.ts': 'export default 1' })
    t.equal(code, 1)
    t.match(said.join('\n'), /counter\.ts:1 {2}the default export is not a machine/)
    t.notMatch(said.join('\n'), /would behave/)
  })

  t.test('CHECK-4 a damaged room is told, and the others are looked at', async (t) => {
    flip(join(data, 'log.mdb'), 'message.post')
    const { code, said } = await deployed({})
    t.equal(code, 1)
    t.match(said, [
      'auction  2 rooms, 6 events, as before',
      /^chat\/lobby {2}it is damaged: .*CRC32/,
      'chat  1 room, 0 events, 1 not as before',
      'counter  2 rooms, 6 events, as before',
      'workflow  1 room, 4 events, as before',
      '6 rooms, 16 events: 1 room could not be served',
    ])
  })
})

t.test('CHECK-4 delays that a start put off are as before, and one file looks at its own rooms alone', async (t) => {
  const auction = `${ofProject('auction')}\nexport const policy = { timers: 'resume' }\n`
  const folder = folderWith(t, { 'auction.ts': auction }, ['counter'])
  const server = await startServer(t, { env: { CHARTROOM_MACHINES: folder } })
  const ann = await Tab.open(server, 'ann')
  const event = { type: 'offer', lot: 'a lamp', lasts: 60_000 }
  t.match(await ann.ask({ type: 'send', room: 'auction/lot', event }), { type: 'ok' })
  t.match(await ann.ask({ type: 'send', room: 'counter/a', event: { type: 'increment' } }), { type: 'ok' })
  t.equal(await server.end('SIGTERM'), 0)
  await server.start()
  const bob = await Tab.open(server, 'bob')
  const bid = { type: 'bid', amount: 5 }
  t.match(await bob.ask({ type: 'send', room: 'auction/lot', event: bid }), { type: 'ok', seq: 4 }, 'seq 3 put it off')
  t.equal(await server.end('SIGTERM'), 0)
  t.strictSame(await check(join(folder, 'auction.ts'), '--deploy', '--data', server.data), {
    code: 0,
    said: ['auction  1 room, 3 events, as before', '1 room, 3 events: all as before'],
    complained: [],
  })
})

t.test('CHECK-1 a file that ends the process, or never finishes, is named', async (t) => {
  for (const text of ['process.exit(0)', 'await new Promise(() => {})']) {
    const folder = folderWith(t, { 'odd.ts': `${text}\nexport default 1\n` })
    const { code, complained } = await check(folder)
    t.equal(code, 1, text)
    t.match(complained.join(), /odd\.ts {2}ends the process while it is loaded, or waits for what never comes/, text)
  }
})
