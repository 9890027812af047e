/**
 * The composition root: the only file that knows all the others.
 *
 * Always true: what `start` opened, `stop` closes, in the reverse order; the log is closed last.
 */
import type { Passivation } from './activations.ts'
import { type Credential, createVerifier, signToken, type Verify } from './auth/auth.ts'
import { developmentSecret } from './auth/development.ts'
import { remembering } from './auth/remembered.ts'
import { type Revocation, Revocations } from './auth/revocations.ts'
import { loadMachineFiles } from './check/load.ts'
import { type Config, isLoopback } from './config.ts'
import { Connections } from './connection/connections.ts'
import { Journal } from './connection/journal.ts'
import type { Observer } from './connection/peer.ts'
import { Sessions } from './connection/sessions.ts'
import { ActorSystem } from './connection/system.ts'
import { failure, httpStatus, isFailure } from './errors.ts'
import { createApi } from './http/api.ts'
import { createSite } from './http/http.ts'
import { requireFolder } from './http/pages.ts'
import { createRoutes } from './http/routes.ts'
import { Inboxes } from './inbox/inboxes.ts'
import { Feed } from './inspect/feed.ts'
import { Inspectors } from './inspect/inspectors.ts'
import { journalist } from './inspect/life-sight.ts'
import { Lookout } from './inspect/lookout.ts'
import { Commits } from './log/commits.ts'
import { Custody } from './log/custody.ts'
import { lockFolder } from './log/lock.ts'
import { createLogger, type Logger } from './logger.ts'
import { Machine } from './machine/machine.ts'
import { NO_DOWNTIME, Uptime } from './machine/uptime.ts'
import { Metrics } from './metrics.ts'
import { Alarm } from './room/alarm.ts'
import { Repertoire } from './room/repertoire.ts'
import { Rooms } from './room/rooms.ts'
import { type CertificateFacts, certificateFiles, readCertificate } from './transport/certificate.ts'
import { type HttpAnswer, type HttpRequest, jsonAnswer, type Transport, type Upgrade } from './transport/transport.ts'
import { listen } from './transport/transport-uws.ts'
import { TICK, Wheel } from './wheel.ts'

/** Over this, as a multiple of `maxFrame`, a frame ends its connection (rule E3). */
const HARD_LIMIT = 4
/** Bytes that a socket may hold: one frame of whatever size, and the replies behind it. */
const MAX_BUFFERED = 64 * 1024 * 1024

export interface Server {
  readonly host: string
  readonly port: number
  readonly machines: readonly string[]
  /** The machines themselves, which may change while it runs. */
  readonly repertoire: Repertoire
  /** Makes a token where the server holds the secret itself; `undefined` where keys are elsewhere. */
  readonly issueToken: ((user: string) => Promise<string>) | undefined
  /** Resolves when the log turns out to be damaged as a whole, or answers no more: there is nothing left but to stop. */
  readonly unsound: Promise<Error>
  /** Takes the certificate anew from its files; where those are wrong, that is logged, and the one before stays. */
  renewCertificate(): Promise<void>
  /** Resolves when nothing that is under way waits for the disk. */
  settled(): Promise<void>
  /** Tells every client to come back later, flushes the log, and lets go of everything. */
  stop(): Promise<void>
}

/** What a server can be given, instead of making it itself. */
export interface Parts {
  readonly wheel?: Wheel
}

/**
 * Starts a server.
 * @throws with one line that says what to do: a folder or port in use, a mistake in a machine file, an unusable key or certificate.
 */
export async function start(given: Config, parts: Parts = {}): Promise<Server> {
  const opened = new Opened()
  try {
    return await open(given, parts, opened)
  } catch (error) {
    await opened.close()
    throw error
  }
}

/** What is open, and how each of it is closed. */
class Opened {
  readonly #ends: (() => unknown)[] = []

  push(end: () => unknown): void {
    this.#ends.push(end)
  }

  /** In the reverse order. */
  async close(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end()
  }
}

async function open(given: Config, parts: Parts, opened: Opened): Promise<Server> {
  if (given.public !== undefined) requireFolder(given.public)
  const certificate = certificateFiles(given)
  let shown = certificate && readCertificate(certificate)
  const lock = await lockFolder(given.data)
  opened.push(() => lock.release())
  const config = developmentSecret(given)
  const logger = createLogger(config.logLevel)
  const custody = new Custody(config.data, logger)
  const files = await loadMachineFiles(config.machines)
  const machines = new Map([...files].map(([name, file]) => [name, new Machine(name, file)]))
  const metrics = new Metrics()
  const log = await custody.openLog(config.inspectionBudget)
  opened.push(() => custody.closeLog())
  const revocations = await custody.need(Revocations.load(log))
  const verifyByKey = await createVerifier(config)
  const verifyToken = config.jwksUrl ? verifyByKey : remembering(verifyByKey)
  const verify: Verify = async (token) => {
    const proved = await verifyToken(token)
    const verdict = isFailure(proved) ? proved : (revocations.refuse(proved) ?? proved)
    metrics.verified(isFailure(verdict) ? verdict.code : 'ok')
    return verdict
  }
  const journal = new Journal()
  let uptime: Uptime | undefined
  opened.push(() => uptime?.stop())
  const wheel = parts.wheel ?? new Wheel(TICK)
  opened.push(() => wheel.stop())
  const lookout = config.inspector ? new Lookout(journal, logger) : undefined
  const system = new ActorSystem(wheel, lookout && journalist(journal))
  const commits = new Commits(log, logger)
  const sessions = new Sessions(config, system, logger)
  opened.push(() => sessions.stop())
  let listening: Transport | undefined
  opened.push(() => listening?.close())
  const isUptimeNeeded = [...machines.values()].some((machine) => machine.countsDowntime)
  if (isUptimeNeeded) uptime = await custody.need(Uptime.begin(log, wheel, logger))
  const downtime = uptime?.downtime ?? NO_DOWNTIME
  const onPassivated = (why: Passivation): void => {
    metrics.passivated(why)
    alarm.slept()
  }
  const { maxResidentRooms } = config
  const rooms: Rooms = new Rooms({
    machines,
    log,
    commits,
    logger,
    wheel,
    downtime,
    maxResidentRooms,
    onPassivated,
    ...(lookout && { onlooker: lookout.onlooker }),
  })
  opened.push(() => rooms.stop())
  const alarm: Alarm = new Alarm(log, wheel, rooms)
  opened.push(() => alarm.stop())
  opened.push(() => commits.stop())
  const recipientsOf = (user: string) => sessions.openOf(user)
  const inboxes = new Inboxes({
    log,
    commits,
    logger,
    wheel,
    policy: config,
    recipientsOf,
    maxResidentInboxes: maxResidentRooms,
  })
  const observer: Observer = {
    transition: (subject, transition) => {
      journal.note(subject, transition)
      metrics.moved(transition)
      logger.debug({ ...subject, ...transition }, 'connection')
    },
    error: (code) => metrics.error(code),
    heartbeat: (what) => metrics.heartbeat(what),
  }
  const connections = new Connections({ config, verify, sessions, rooms, inboxes, system, wheel, logger, observer })
  const feed = lookout && new Feed({ machines, rooms, log, connections, sessions, journal, lookout, logger })
  const inspectors = feed && new Inspectors({ config, feed, verify, wheel, logger })
  let isStopping = false
  const isReady = (): boolean => !isStopping && commits.isWritable
  metrics.watch({
    ready: () => Number(isReady()),
    certificate_expires_seconds: () => (shown ? shown.expiresAt / 1000 : Number.NaN),
    sessions: () => sessions.size,
    rooms: () => rooms.size,
    rooms_failed: () => rooms.failed,
    rooms_in_use: () => rooms.inUse,
    subscriptions: () => rooms.subscriptions,
    deadlines: () => wheel.size,
  })

  await custody.need(alarm.begin())

  const { jwtSecret } = config
  const issueToken = jwtSecret === undefined ? undefined : (user: string) => signToken(jwtSecret, user)
  const isPrivate = !config.production && isLoopback(config.host)
  const revoke = async (revocation: Revocation, by: string): Promise<number> => {
    await revocations.revoke(revocation, by)
    const isRevoked = (credential: Credential): boolean => revocations.refuse(credential) !== undefined
    inspectors?.endWhere(isRevoked)
    return connections.endWhere(isRevoked)
  }
  const storyOf = (connection: string) => journal.storyOf(connection)
  const api = createApi(verify, createRoutes({ rooms, inboxes, revoke, storyOf }), config.maxFrame, logger)
  const site = createSite({
    ...config,
    isReady,
    metrics: () => metrics.read(),
    issueToken: isPrivate ? issueToken : undefined,
  })
  const request = async (asked: HttpRequest): Promise<HttpAnswer> => {
    try {
      if (asked.path.startsWith('/v1/')) return await api(asked)
      return await (inspectors?.owns(asked.path) ? inspectors.request(asked) : site(asked))
    } catch (error) {
      logger.error({ err: error, path: asked.path }, 'a request could not be answered')
      return jsonAnswer(httpStatus('internal'), failure('internal', 'the request could not be answered'))
    }
  }
  const upgrades = {
    '/ws': (upgrade: Upgrade) => connections.accept(upgrade),
    ...inspectors?.upgrades,
  }
  const transport = await listen(
    { ...config, certificate, maxPayload: HARD_LIMIT * config.maxFrame, maxBuffered: MAX_BUFFERED },
    { upgrades, request },
  )
  listening = transport
  if (shown) tellCertificate(logger, shown)
  const renewCertificate = async (): Promise<void> => {
    if (!certificate) return
    try {
      const renewed = readCertificate(certificate)
      await transport.renewCertificate()
      shown = renewed
      tellCertificate(logger, shown)
    } catch (error) {
      logger.error({ error: (error as Error).message }, 'the certificate could not be renewed')
    }
  }

  const unsound = Promise.race([custody.unsound, commits.stuck])
  void unsound.then((error) => logger.fatal({ err: error }, 'the log cannot be served from; the server has to end'))
  const stop = async (): Promise<void> => {
    isStopping = true
    transport.stopListening()
    connections.drain(config.drainTimeout)
    inspectors?.drain()
    await opened.close()
  }
  return {
    host: config.host,
    port: transport.port,
    machines: [...machines.keys()],
    repertoire: new Repertoire(machines, rooms, alarm),
    issueToken,
    unsound,
    renewCertificate,
    settled: () => commits.settled(),
    stop,
  }
}

/** What whoever connects from now on is shown. */
function tellCertificate(logger: Logger, { expiresAt, ...certificate }: CertificateFacts): void {
  if (expiresAt < Date.now()) logger.warn({ certificate }, 'the certificate has expired: no browser will connect')
  else logger.info({ certificate }, 'a certificate is shown')
}
