/**
 * A chart as it is written: the config of a state, and the places in it where a transition stands.
 *
 * Always true: a config that somebody wrote is not changed; what is changed is a copy.
 */
export type Config = Readonly<Record<string, unknown>>

/** What becomes of a transition at a place of a state, e.g. `on go`. */
export type Change = (transition: unknown, place: string) => unknown

/** `config` with every transition of that state as `change` has it; those of the states within are not looked at. */
export function withTransitions(config: Config, change: Change): Config {
  const copy: Record<string, unknown> = { ...config }
  for (const place of ['always', 'onDone']) if (place in config) copy[place] = each(config[place], place, change)
  for (const place of ['on', 'after']) {
    if (isPlain(config[place])) copy[place] = mapped(config[place], (one, key) => each(one, `${place} ${key}`, change))
  }
  if (config.invoke !== undefined) copy.invoke = [config.invoke].flat().map((item) => ofInvoke(item, change))
  return copy
}

const OF_INVOKE = ['onDone', 'onError', 'onSnapshot']

function ofInvoke(item: unknown, change: Change): unknown {
  if (!isPlain(item)) return item
  return mapped(item, (one, key) => (OF_INVOKE.includes(key) ? each(one, `invoke, ${key}`, change) : one))
}

function each(given: unknown, place: string, change: Change): unknown {
  if (given === undefined) return undefined
  return Array.isArray(given) ? given.map((one) => change(one, place)) : change(given, place)
}

function mapped(given: Config, change: (value: unknown, key: string) => unknown): Config {
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [key, change(value, key)]))
}

/** What a state invokes, as it is written. */
export function invokesOf({ invoke = [] }: Config): Config[] {
  return [invoke].flat().filter(isPlain)
}

export function isPlain(value: unknown): value is Config {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
