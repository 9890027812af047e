/** What is said of a figure that was taken several times. */

export interface Spread {
  readonly least: number
  readonly median: number
  readonly most: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const at = (n: number): number => sorted[n] ?? Number.NaN
  const median = sorted.length % 2 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2
  return { least: at(0), median, most: at(sorted.length - 1) }
}

/** Three digits that matter. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (Math.abs(value) >= 1e6) return `${(value / 1e6).toFixed(2)} M`
  if (Math.abs(value) >= 10_000) return `${(value / 1000).toFixed(0)} k`
  if (Math.abs(value) >= 100) return value.toFixed(0)
  return value.toPrecision(3)
}

export const shown = ({ least, median, most }: Spread): string => `${short(median)} (${short(least)} to ${short(most)})`
