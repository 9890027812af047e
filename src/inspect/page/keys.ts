/** The keyboard: what a key does where nobody is writing. */

export const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'search'],
  ['↑ ↓', 'through the list'],
  ['← →', 'one step back, forward'],
  ['Space', 'live, or stop here'],
  ['f', 'fit: whole chart, readable part'],
  ['+ −', 'zoom'],
  ['Ctrl ↵', 'run a fork'],
  ['Esc', 'leave a field, close these keys'],
  ['?', 'these keys'],
]

export function listen(actions: Readonly<Record<string, () => void>>): void {
  addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target as Element))
      return
    if (event.key === ' ' && (event.target as Element).matches('button, summary')) return
    const action = actions[event.key]
    if (!action) return
    event.preventDefault()
    action()
  })
  addEventListener('keydown', ({ key, target }) => {
    if (key === 'Escape') (target as HTMLElement).blur?.()
  })
}

function isWriting(element: Element): boolean {
  return element.matches?.('input:not([type=checkbox]), textarea, select') ?? false
}
