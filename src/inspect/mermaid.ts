/**
 * A chart as the text of a Mermaid diagram (stateDiagram-v2), for a README: states within states, regions side by side,
 * what an edge needs and does.
 *
 * Always true: each state is declared once, under an id that Mermaid takes; edges come behind all states.
 */
import type { Chart, ChartNode, Edge } from './shapes.ts'

export function mermaid({ root }: Chart): string {
  const drawing = new Drawing(root)
  return ['stateDiagram-v2', ...drawing.lines].join('\n')
}

class Drawing {
  readonly lines: string[] = []
  readonly #ids = new Map<string, string>()

  constructor(root: ChartNode) {
    this.#name(root)
    this.#declare(root, '  ')
    this.#connect(root)
  }

  /** Letters, digits and underscores, and no id twice. */
  #name(node: ChartNode): void {
    const plain = node.id.replaceAll(/\W/g, '_')
    const taken = new Set(this.#ids.values())
    let id = plain
    for (let n = 2; taken.has(id); n++) id = `${plain}_${n}`
    this.#ids.set(node.id, id)
    for (const child of node.states) this.#name(child)
  }

  #idOf(id: string): string {
    return this.#ids.get(id) ?? id
  }

  #declare(node: ChartNode, indent: string): void {
    const id = this.#idOf(node.id)
    const head = `${indent}state "${text(titleOf(node))}" as ${id}`
    if (node.states.length === 0)
      return void this.lines.push(head, ...this.#doesWithin(node).map((line) => indent + line))
    this.lines.push(`${head} {`)
    if (node.initial !== undefined) this.lines.push(`${indent}  [*] --> ${this.#idOf(node.initial)}`)
    node.states.forEach((child, i) => {
      if (node.type === 'parallel' && i > 0) this.lines.push(`${indent}  --`)
      this.#declare(child, `${indent}  `)
    })
    for (const { id: last } of node.states.filter(({ type }) => type === 'final')) {
      this.lines.push(`${indent}  ${this.#idOf(last)} --> [*]`)
    }
    this.lines.push(`${indent}}`)
  }

  /** What a state without states in it does, line by line. */
  #doesWithin(node: ChartNode): string[] {
    const staying = node.edges.filter(({ targets }) => targets.length === 0).map(labelOf)
    return [...habits(node), ...staying].map((line) => `${this.#idOf(node.id)} : ${text(line)}`)
  }

  #connect(node: ChartNode): void {
    const from = this.#idOf(node.id)
    for (const edge of node.edges) {
      const staying = node.states.length > 0 ? [node.id] : []
      for (const target of edge.targets.length > 0 ? edge.targets : staying) {
        this.lines.push(`  ${from} --> ${this.#idOf(target)} : ${text(labelOf(edge))}`)
      }
    }
    for (const child of node.states) this.#connect(child)
  }
}

function titleOf({ key, type, history }: ChartNode): string {
  return type === 'history' ? `${key} (H${history === 'deep' ? '*' : ''})` : key
}

function habits({ entry, exit, invoke }: ChartNode): string[] {
  const works = invoke.map(({ src }) => `invoke ${src}`)
  return [...entry.map((name) => `entry / ${name}`), ...works, ...exit.map((name) => `exit / ${name}`)]
}

function labelOf({ label, guard, actions }: Edge): string {
  return `${label}${guard === undefined ? '' : ` [${guard}]`}${actions.length === 0 ? '' : ` / ${actions.join(', ')}`}`
}

/** What Mermaid would read as something of its own, as the codes of the characters. */
const text = (given: string): string => given.replaceAll(/[#;"{}\n]/g, (character) => `#${character.codePointAt(0)};`)
