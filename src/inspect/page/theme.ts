/** Light or dark: as the system prefers, until somebody chooses. */

const KEY = 'chartroom.theme'

export type Theme = 'light' | 'dark'

export function startTheme(): void {
  const chosen = localStorage.getItem(KEY)
  if (chosen) document.documentElement.dataset.theme = chosen
}

export function toggleTheme(): void {
  const system: Theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
  const shown = document.documentElement.dataset.theme ?? system
  const next: Theme = shown === 'dark' ? 'light' : 'dark'
  document.documentElement.dataset.theme = next
  localStorage.setItem(KEY, next)
}
