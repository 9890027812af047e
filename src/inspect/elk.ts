/** ELK in this process, where a chart is drawn for a file. The page has its own, in a Worker. */
import ELK from 'elkjs/lib/elk.bundled.js'
import type { Elk } from './layout.ts'

/** Its declarations do not say that the module is the constructor. */
const Bundled = ELK as unknown as new () => Elk

export const createElk = (): Elk => new Bundled()
