/** Markup as tagged templates. The only importer of preact and htm. */
import htm from 'htm'
import { type ComponentChild, h, render } from 'preact'

export { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
export { type ComponentChild, render }

type Markup = (strings: TemplateStringsArray, ...values: unknown[]) => ComponentChild

/** Its declarations speak of a CommonJS module, which it is not. */
const { bind } = htm as unknown as { bind(create: typeof h): Markup }

export const html = bind.call(htm, h)
