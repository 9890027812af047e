/** What is reported of many measurements. */

/** The value below which a fraction `p` of them lies (nearest rank). */
export function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** Least, middle and most, in milliseconds. */
export function spread(values: readonly number[]): string {
  const [least, middle, most] = [0, 0.5, 1].map((p) => quantile(values, p).toFixed(0))
  return `${least} / ${middle} / ${most} ms`
}
