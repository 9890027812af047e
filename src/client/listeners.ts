/** Telling many: one listener that throws keeps nothing from the others, nor from us; it is an uncaught error all the same. */

export function each<One>(all: Iterable<One>, run: (one: One) => void): void {
  for (const one of [...all]) {
    try {
      run(one)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}

export const ignore = (): void => {}
