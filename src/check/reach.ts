/**
 * Which states of a chart can be come to at all, guards and events aside.
 *
 * Always true: a state that is not reached here is in no configuration that the machine can come to by its own transitions.
 */
import type { AnyStateMachine } from 'xstate'
import { nodesOf, type StateNode } from './names.ts'

/** The outermost states that nothing leads to. */
export function unreachable(machine: AnyStateMachine): StateNode[] {
  const { active } = new Reach(machine.root)
  return nodesOf(machine.root).filter(
    (node) => !active.has(node) && (!node.parent || active.has(node.parent as StateNode)),
  )
}

class Reach {
  /** States that can be active. */
  readonly active = new Set<StateNode>()
  /** Those that can be entered as such, so that their first states are entered with them. */
  readonly #entered = new Set<StateNode>()

  /** In a list, not on the stack: a chart may have thousands of states in a row. A Set gives what is added on the way, too. */
  constructor(root: StateNode) {
    this.#entered.add(root)
    for (const node of this.#entered) {
      this.#activate(node)
      for (const next of firstOf(node)) this.#entered.add(next)
    }
  }

  /** Whoever is in a state is in those around it, and in every region beside it. */
  #activate(node: StateNode): void {
    if (this.active.has(node)) return
    this.active.add(node)
    if (node.parent) this.#activate(node.parent as StateNode)
    if (node.type === 'parallel') this.#entered.add(node)
    for (const next of targetsOf(node)) this.#entered.add(next)
  }
}

function targetsOf(node: StateNode): StateNode[] {
  const transitions = [...node.transitions.values(), node.always ?? []].flat()
  return transitions.flatMap(({ target }) => (target ?? []) as StateNode[])
}

/** What is entered with a state: its first, all of a parallel one, or what a history state falls back to. */
function firstOf(node: StateNode): StateNode[] {
  if (node.type === 'parallel') return Object.values(node.states) as StateNode[]
  if (node.type === 'history') return [fallbackOf(node)]
  return node.config.initial === undefined ? [] : [...(node.initial.target as StateNode[])]
}

function fallbackOf(node: StateNode): StateNode {
  const { target } = node.config as { target?: unknown }
  const parent = node.parent as StateNode
  const steps = typeof target === 'string' ? target.split('.').filter(Boolean) : []
  return steps.reduce<StateNode | undefined>((at, step) => at?.states[step] as StateNode | undefined, parent) ?? parent
}
