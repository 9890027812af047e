/**
 * Whom a proxy speaks for: the address in `X-Forwarded-For` that the operator's own proxies have written; and whether one
 * speaks at all.
 *
 * Always true: each proxy appends the address of its peer, so that only the last entries are believed, as many as proxies
 * are trusted; what stands left of them anybody can have written. An address has one spelling, since it is counted by it.
 */
import { isIP, SocketAddress } from 'node:net'
import type { RequestHead } from './transport.ts'

/**
 * @param peer the address of the socket itself, which it is where the header has fewer entries, or none that is an address
 * @param hops the proxies that are trusted; 0 for none
 */
export function clientAddress(peer: string, forwardedFor: string, hops: number): string {
  const written = hops > 0 ? forwardedFor.split(',').at(-hops) : undefined
  return (written && spelled(bare(written.trim()))) || spelled(peer) || peer
}

/** What proxies say of whom they speak for (RFC 7239, RFC 9110 7.6.3, and what was there before). */
const PASSED_ON = /^(forwarded|x-forwarded.*|x-real-ip|x-client-ip|x-cluster-client-ip|via|cf-.+|true-client-ip)$/

/** Whether a proxy passes the request on, so that who asks is elsewhere, whatever the socket says; an empty header says so too. */
export function isPassedOn(request: RequestHead): boolean {
  return [...request.headerNames()].some((name) => PASSED_ON.test(name))
}

/** Some proxies write the port as well. */
const bare = (entry: string): string => entry.replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1')

/** The one spelling of an address, in which an IPv4 one is never written as IPv6; `undefined` where it is none. */
function spelled(address: string): string | undefined {
  const family = isIP(address)
  if (family !== 6) return family === 4 ? address : undefined
  return new SocketAddress({ address, family: 'ipv6' }).address.replace(/^::ffff:(?=\d+\.)/, '')
}
