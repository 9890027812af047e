/**
 * The documents, held together: every link leads somewhere, every block is in a language that somebody runs, every command,
 * file and test that is named exists. What the pages say in conversations and figures is run by tests of their own.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { transformSync } from 'esbuild'
import t from 'tap'
import { blocks } from './fixtures/as-written.ts'
import { compiled } from './fixtures/compiled.ts'
import { ROOT } from './fixtures/server.ts'

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')
const filesIn = (folder: string, ending: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`)

const PAGES = [
  'README.md',
  'SECURITY.md',
  'CHANGELOG.md',
  ...filesIn('docs', '.md'),
  'bench/README.md',
  'bench/results/report.md',
  'starter/README.md',
]
const page = new Map(PAGES.map((file) => [file, read(file)]))
const tests = readdirSync(join(ROOT, 'test'))
  .filter((name) => name.endsWith('.test.ts') && name !== 'docs.test.ts')
  .map((name) => read(`test/${name}`))

const FENCE = /^```(\S*)\n(.*?)^```$/gms
const withoutBlocks = (text: string): string => text.replaceAll(FENCE, '')

/** Every code block of every page. */
const BLOCKS = [...page].flatMap(([file, text]) =>
  [...text.matchAll(FENCE)].map(([, language = '', code = '']) => ({ file, language, code })),
)

/** What a heading is called in an address, as GitHub has it. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of withoutBlocks(text).matchAll(/^#+ (.+)$/gm)) {
    const words = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
    const slug = words.replaceAll(' ', '-')
    let name = slug
    for (let i = 1; anchors.has(name); i++) name = `${slug}-${i}`
    anchors.add(name)
  }
  return anchors
}

t.test('every relative link leads to a file that is there, and to a heading in it', (t) => {
  let links = 0
  for (const [file, text] of page) {
    const prose = withoutBlocks(text).replaceAll(/`[^`]*`/g, '')
    for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?|mailto):/.test(target)) continue
      links++
      const [path = '', anchor] = target.split('#')
      const to = path === '' ? file : join(dirname(file), path)
      t.ok(existsSync(join(ROOT, to)), `${file}: ${target}`)
      if (anchor !== undefined)
        t.ok(page.has(to) && anchorsOf(read(to)).has(anchor), `${file}: the heading of ${target}`)
    }
  }
  assert(links > 80, 'the pages have their links')
  t.end()
})

t.test('every file of the project that a page names is there', (t) => {
  const named = [...page].flatMap(([file, text]) =>
    [...text.matchAll(/`((?:src|docs|test|bench|deploy|starter)\/[\w./-]+)`/g)].map(([, path]) => [
      file,
      path as string,
    ]),
  )
  assert(named.length > 60, 'the pages name their files')
  for (const [file, path = ''] of named)
    if (path !== 'test/light.test.ts') t.ok(existsSync(join(ROOT, path)), `${file}: ${path}`)
  t.end()
})

/** What is done with a block of a language; what has no hand here is run by the test that names its page. */
const HANDS: Readonly<Record<string, ((code: string) => unknown) | 'run elsewhere'>> = {
  sh: () => {},
  json: (code) => JSON.parse(code),
  js: (code) => transformSync(code),
  mermaid: (code) => assertDrawn(code),
  ts: 'run elsewhere',
  html: 'run elsewhere',
  wscat: 'run elsewhere',
  feed: 'run elsewhere',
  stately: 'run elsewhere',
  check: 'run elsewhere',
  'check-deploy': 'run elsewhere',
}

/** As much of Mermaid as the pages use. */
function assertDrawn(code: string): void {
  const [kind = '', ...lines] = code.trimEnd().split('\n')
  if (kind === 'stateDiagram-v2') return
  assert.match(kind, /^flowchart (TD|LR)$/)
  const end = /\w+(\["[^"]+"\])?/.source
  for (const line of lines) assert.match(line, new RegExp(`^  ${end} -->(\\|"[^"]+"\\|)? ${end}$`))
}

t.test('every block is in a language that is known, and somebody runs it', (t) => {
  assert(BLOCKS.length > 60, 'the pages have their blocks')
  const fences = [...page.values()].flatMap((text) => text.match(/^\s*```/gm) ?? [])
  t.equal(fences.length, 2 * BLOCKS.length, 'each begins at the edge of the page, and ends')
  for (const { file, language, code } of BLOCKS) {
    const hand = HANDS[language]
    const what = `${file}, ${language || 'a block without a language'}: ${code.slice(0, 40)}`
    if (typeof hand === 'function') t.doesNotThrow(() => hand(code), what)
    else {
      const runs = (test: string): boolean => test.includes(`'${file}'`) && test.includes(`, '${language}')`)
      t.ok(hand && tests.some(runs), what)
    }
  }
  t.end()
})

t.test('the TypeScript of the pages is right', (t) => {
  const [lamp = '', ...more] = blocks(read('README.md'), 'ts')
  t.same(more, [])
  const named = [...blocks(read('docs/machines.md'), 'ts'), ...blocks(read('docs/testing.md'), 'ts')]
  const files = Object.fromEntries(named.map((text) => [/^\/\/ (\S+)/.exec(text)?.[1] as string, text]))
  assert(Object.keys(files).length >= 9, 'each says whose file it is')
  t.equal(compiled(t, { ...files, 'machines/rooms/lamp.ts': lamp }), '')
  t.end()
})

const help = execFileSync(process.execPath, ['bin/chartroom.js', '--help'], { cwd: ROOT, encoding: 'utf8' })
const commands = new Set(
  [...help.matchAll(/^chartroom ([a-z]+)(?: ([a-z]+) )?/gm)].flatMap(([, name, of]) => [name, of]),
)
const flags = new Set(['--help', ...(help.match(/--[\w-]+/g) ?? [])])
const { scripts } = JSON.parse(read('package.json'))
const scriptsOfAnApp = ['start', 'dev', 'test']

/** Commands that somebody else brings along. */
const FOREIGN = /^(curl|systemctl|cd|set|export|\.|wscat|esbuild|tsc|giget)$/

/** What is wrong with a command as a page writes it, its comment left out. */
function wrongWith(command: string, file: string): string | undefined {
  const [first = '', ...rest] = command.trim().split(/\s+/)
  const words = first === 'npx' ? rest.filter((word, i) => !(word.startsWith('-') && i < 2)) : [first, ...rest]
  const [name = '', what = '', of = ''] = words
  if (name === 'chartroom') {
    if (what !== '' && !what.startsWith('-') && !commands.has(what)) return `there is no chartroom ${what}`
    if (what === 'log' && /^[a-z]+$/.test(of) && !commands.has(of)) return `there is no chartroom log ${of}`
    return words.find((word) => /^--\w/.test(word) && !flags.has(word.split('=')[0] as string))
  }
  if (name === 'npm') return wrongWithNpm(words, file)
  if (name === 'node') return words.find((word) => /^[\w./-]+\.js$/.test(word) && !existsSync(join(ROOT, word)))
  return FOREIGN.test(name) ? undefined : `what is ${name}?`
}

function wrongWithNpm([, verb = '', script = '', ...rest]: string[], file: string): string | undefined {
  if (['ci', 'install', 'pack'].includes(verb)) return undefined
  const name = verb === 'run' ? script : verb
  const known = file === 'starter/README.md' ? scriptsOfAnApp : Object.keys(scripts)
  if (!known.includes(name)) return `there is no script ${name}`
  const [asked] = rest.filter((word) => word !== '--')
  if (name === 'torture' && asked && !asked.startsWith('<'))
    return existsSync(join(ROOT, `test/torture/${asked}.ts`)) ? undefined : `there is no torture ${asked}`
  const options = rest.filter((word) => /^--\w/.test(word))
  const listed = name === 'bench' ? read('bench/main.ts') : help
  return options.find((option) => name !== 'torture' && !listed.includes(`  ${option} `))
}

/** The commands of a line of a shell: also those within others. Values that are quoted are left out. */
function commandsIn(line: string): string[] {
  const within = [...line.matchAll(/\$\((npx [^)]*)\)/g)].map(([, command]) => command as string)
  const plain = line.replaceAll(/"[^"]*"|'[^']*'|\$\([^)]*\)/g, 'value').replaceAll(/>\s*\S+/g, '')
  return [...within, ...plain.split(/\s*(?:&&|[;|])\s*/).filter((command) => !/^(\w+=)?value$|^$/.test(command))]
}

t.test('every command exists, with the options that it is given', (t) => {
  let count = 0
  const look = (command: string, file: string): void => {
    count++
    t.equal(wrongWith(command, file), undefined, `${file}: ${command}`)
  }
  for (const { file, code } of BLOCKS.filter(({ language }) => language === 'sh')) {
    const lines = code
      .replaceAll('\\\n', ' ')
      .replaceAll(/(^|\s{2,})#.*$/gm, '')
      .split('\n')
      .filter(Boolean)
    for (const line of lines) for (const command of commandsIn(line)) look(command, file)
  }
  for (const [file, text] of page) {
    for (const [, span = ''] of withoutBlocks(text).matchAll(/`((?:npx|npm|chartroom) [^`]+)`/g))
      for (const command of commandsIn(span.split('|')[0] as string)) look(command, file)
  }
  assert(count > 120, 'the pages have their commands')
  t.end()
})

t.test('docs/security.md: every test that it names holds that rule today', (t) => {
  const titles = [...read('docs/security.md').matchAll(/(?<!\*)\*([^*|]+)\*(?!\*)/g)].map(
    ([, title]) => title as string,
  )
  assert(titles.length > 50, 'the page names its tests')
  for (const title of titles)
    t.ok(
      tests.some((test) => test.includes(`'${title}'`)),
      title,
    )
  t.end()
})

t.test('docs/architecture.md: its floors stand as test/architecture.ts has them', (t) => {
  const [, list = ''] = /^const FLOORS = \[(.*?)^\]/ms.exec(read('test/architecture.ts')) ?? []
  const floors = [...list.matchAll(/'([^']+)'/g)].map(([, name = '']) => name)
  const [, table = ''] = read('docs/architecture.md').split('\n## The floors\n')
  const named = [...table.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, names = '']) =>
    [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  )
  assert(named.length > 20, 'the page has its floors')
  t.strictSame(
    named,
    floors.filter((name) => named.includes(name)).sort((one, other) => floors.indexOf(other) - floors.indexOf(one)),
  )
  const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  for (const { name } of folders) if (name !== 'playground') t.ok(named.includes(name), `${name} stands on a floor`)
  t.end()
})

t.test('the pictures of the pages are there, and are pictures', (t) => {
  const pictures = filesIn('docs/images', '.png')
  for (const picture of pictures) {
    t.ok(statSync(join(ROOT, picture)).size > 10_000, picture)
    const name = picture.slice('docs/'.length)
    t.ok(
      [...page.values()].some((text) => text.includes(name)),
      `somebody shows ${name}`,
    )
  }
  t.end()
})
