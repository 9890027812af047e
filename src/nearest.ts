/** What somebody may have meant who wrote a name that does not exist. */

/** @returns the known name that is nearest to `name`, by its letters alone, or `undefined` where none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const meant = letters(name)
  const [best] = known
    .map((candidate) => ({ candidate, steps: distance(meant, letters(candidate)) }))
    .sort((a, b) => a.steps - b.steps)
  return best && best.steps <= Math.max(1, Math.min(3, meant.length / 3)) ? best.candidate : undefined
}

/** `--max-lag`, `CHARTROOM_MAX_LAG` and `maxLag` are one name. */
const letters = (name: string): string => name.replace(/^CHARTROOM_|[-_]/g, '').toLowerCase()

/** Letters to put in, leave out, change, or swap with their neighbour (Damerau and Levenshtein, restricted). */
function distance(from: string, to: string): number {
  let before: number[] = []
  let row = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const at = (line: number[], column: number) => line[column] ?? Number.POSITIVE_INFINITY
      const changed = at(row, j - 1) + (from[i - 1] === to[j - 1] ? 0 : 1)
      const isSwap = i > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      next[j] = Math.min(changed, at(row, j) + 1, at(next, j - 1) + 1, isSwap ? at(before, j - 2) + 1 : changed)
    }
    before = row
    row = next
  }
  return row[to.length] ?? 0
}
