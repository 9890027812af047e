/**
 * The inspector's doors: upgrade requests to the feed, its page, a room's past as a file. Knows who looks.
 *
 * Always true: whoever the gate does not let in is refused over HTTP, or, where the token is still to come, told nothing;
 * there are so many visitors at most, and one export at a time; no answer can be used by a page of another site.
 */

import type { Credential, Verify } from '../auth/auth.ts'
import type { Config } from '../config.ts'
import {
  type HandshakeRules,
  refuseHandshake,
  sameHost,
  subprotocolOf,
  tokenOf,
  unauthorized,
  unavailable,
} from '../connection/handshake.ts'
import { Link } from '../connection/link.ts'
import { type Failure, failure, httpStatus, isFailure } from '../errors.ts'
import { answerWith } from '../http/asset.ts'
import type { Logger } from '../logger.ts'
import {
  type HttpAnswer,
  type HttpRequest,
  jsonAnswer,
  type RequestHead,
  textAnswer,
  type Upgrade,
} from '../transport/transport.ts'
import type { Wheel } from '../wheel.ts'
import { assets } from './assets.ts'
import type { Feed } from './feed.ts'
import { SUBPROTOCOL } from './frames.ts'
import { atHome, type Visitor, visitorBy, visitorOf } from './gate.ts'
import { Inspector } from './inspector.ts'
import { noSeat, Seats } from './seats.ts'
import { Stately } from './stately.ts'
import { plain, type Tongue } from './tongue.ts'

export interface InspectorsSurroundings {
  readonly config: Config
  readonly feed: Feed
  readonly verify: Verify
  readonly wheel: Wheel
  readonly logger: Logger
}

const FEED_PATH = '/inspect/feed'
const STATELY_PATH = '/inspect/stately'
const EXPORT_PATH = '/inspect/export/'

export class Inspectors {
  readonly #around: InspectorsSurroundings
  readonly #all = new Set<Inspector>()
  /** Who takes the upgrade requests, by their path. */
  readonly upgrades: Readonly<Record<string, (upgrade: Upgrade) => void>> = {
    [FEED_PATH]: (upgrade) => this.#accept(upgrade, plain),
    [STATELY_PATH]: (upgrade) => this.#accept(upgrade, new Stately(this.#around.feed, upgrade.query)),
  }
  readonly #seats: Seats
  #isExporting = false

  constructor(around: InspectorsSurroundings) {
    this.#around = around
    this.#seats = new Seats(around.config, around.wheel)
  }

  /** Whether a request is for here, by its path. */
  owns(path: string): boolean {
    return /^\/inspect(\/|$)/.test(path)
  }

  /** Refuses the request over HTTP, or opens a socket. */
  #accept(upgrade: Upgrade, tongue: Tongue): void {
    const { config, logger } = this.#around
    const waits = !atHome(upgrade, config.production) && tokenOf(upgrade, config) === undefined
    const refusal =
      refuseHandshake(upgrade, doorOf(upgrade, config)) ?? this.#seats.refuse(upgrade.remoteAddress, waits)
    if (refusal) return upgrade.refuse(refusal)
    const [link, inspector] = this.#enter(upgrade, waits, tongue)
    this.#letIn(upgrade, link, inspector).catch((error) => {
      logger.error({ err: error }, 'the gate of the inspector failed')
      link.refuse(unavailable('the token could not be verified'))
      inspector.closed()
    })
  }

  #enter(upgrade: Upgrade, waits: boolean, tongue: Tongue): [Link, Inspector] {
    const { config, wheel } = this.#around
    const link = new Link(upgrade, subprotocolOf(upgrade, SUBPROTOCOL), wheel, config.maxLag)
    const verify: Verify = (token) => this.#verified(token, inspector)
    const inspector: Inspector = new Inspector(link, {
      ...this.#around,
      ...config,
      tongue,
      verify,
      onGone: (gone) => this.#gone(gone),
    })
    this.#all.add(inspector)
    this.#seats.enter(inspector, link.remoteAddress, waits)
    upgrade.onAborted(() => inspector.closed())
    return [link, inspector]
  }

  #gone(inspector: Inspector): void {
    this.#all.delete(inspector)
    this.#seats.leave(inspector)
  }

  async #letIn(upgrade: Upgrade, link: Link, inspector: Inspector): Promise<void> {
    const visitor = await this.#visitorAt(upgrade, inspector)
    if (visitor && isFailure(visitor)) {
      link.refuse(refused(visitor))
      return inspector.closed()
    }
    if (!link.open(inspector)) return inspector.closed()
    if (visitor) greet(inspector, visitor)
  }

  /** `undefined` where the token is still to come. */
  async #visitorAt(upgrade: Upgrade, inspector: Inspector): Promise<Visitor | Failure | undefined> {
    const { config } = this.#around
    const token = tokenOf(upgrade, config)
    if (token !== undefined) return visitorBy(token, (token) => this.#verified(token, inspector))
    const visitor = atHome(upgrade, config.production)
    return visitor && !this.#seats.take(inspector) ? NO_SEAT : visitor
  }

  /** A token that holds takes a seat; one that is refused counts against its address. */
  async #verified(token: string, inspector: Inspector): Promise<Credential | Failure> {
    const credential = await this.#around.verify(token)
    if (isFailure(credential)) this.#seats.tokenRefused(inspector)
    else if (!this.#seats.take(inspector)) return NO_SEAT
    return credential
  }

  /** Ends those whose token is refused from now on (rule A4). @returns how many they were. */
  endWhere(isRevoked: (credential: Credential) => boolean): number {
    const ended = [...this.#all].filter(({ credential }) => credential && isRevoked(credential))
    for (const inspector of ended) inspector.end('revoked', 'the token was revoked')
    return ended.length
  }

  drain(): void {
    for (const inspector of [...this.#all]) inspector.end('going_away', 'the server is shutting down')
    this.#around.feed.stop()
  }

  /** Answers any request below `/inspect` that is not an upgrade. */
  async request(request: HttpRequest): Promise<HttpAnswer> {
    const answer = await this.#answer(request)
    return { ...answer, headers: { ...answer.headers, 'Cross-Origin-Resource-Policy': 'same-origin' } }
  }

  async #answer(request: HttpRequest): Promise<HttpAnswer> {
    const { path, method } = request
    if (Object.hasOwn(this.upgrades, path))
      return (
        refuseHandshake(request, doorOf(request, this.#around.config)) ??
        textAnswer(400, 'this upgrade was not understood')
      )
    if (method !== 'GET' && method !== 'HEAD') return textAnswer(405, 'read only', { Allow: 'GET, HEAD' })
    return path.startsWith(EXPORT_PATH) ? this.#export(request) : assetOf(request)
  }

  /** It is dear: whoever comes while one is made comes back later. */
  async #export(request: HttpRequest): Promise<HttpAnswer> {
    const { config, verify } = this.#around
    const visitor = await visitorOf(request, config.production, verify)
    if (isFailure(visitor)) return refused(visitor)
    if (this.#isExporting) return unavailable('another export is being made', 1000)
    this.#isExporting = true
    try {
      return await this.#file(decoded(request.path.slice(EXPORT_PATH.length)))
    } finally {
      this.#isExporting = false
    }
  }

  async #file(room: string | undefined): Promise<HttpAnswer> {
    const file =
      room === undefined
        ? failure('bad_room', 'the path is not percent-encoded UTF-8')
        : await this.#around.feed.export(room)
    if (typeof file !== 'string') return jsonAnswer(httpStatus(file.code), file)
    const name = `${room}.jsonl`.replaceAll(/[^\w.-]/g, '-')
    return {
      status: 200,
      headers: { ...FILE_HEADERS, 'Content-Disposition': `attachment; filename="${name}"` },
      body: file,
    }
  }
}

function greet(inspector: Inspector, visitor: Visitor): void {
  inspector.admit(visitor)
  inspector.welcome()
}

/** A file of the page, or that the browser has it. The page's own links begin beside it, so that it has no slash behind. */
async function assetOf(request: HttpRequest): Promise<HttpAnswer> {
  if (request.path === '/inspect/') return textAnswer(308, 'the page is at /inspect', { Location: '../inspect' })
  const file = (await assets()).get(request.path.slice('/inspect/'.length))
  return file ? answerWith(file, request, PAGE_HEADERS) : textAnswer(404, 'nothing is here')
}

/** The page's own origin, whichever others are on the list. */
const doorOf = (request: RequestHead, rules: HandshakeRules): HandshakeRules =>
  sameHost(request.header('origin'), request.header('host')) ? { ...rules, origins: [] } : rules

function refused(refusal: Failure): HttpAnswer {
  if (refusal.code === 'overloaded') return noSeat()
  return refusal.code === 'forbidden' ? jsonAnswer(httpStatus(refusal.code), refusal) : unauthorized(refusal)
}

const NO_SEAT = failure('overloaded', 'too many inspectors are here')

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

const PAGE_HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
}

const FILE_HEADERS = {
  'Content-Type': 'application/jsonl',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
}
