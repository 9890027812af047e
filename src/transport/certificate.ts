/**
 * The certificate with which the server speaks TLS (RFC 8446), as it lies in two PEM files.
 *
 * Always true: what is read here is a certificate and its own private key. A mistake is told with the option, the file
 * and what it should hold, and without a word of what it does.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { CertificateFiles } from './transport.ts'

/** What is told of a certificate that is in use. */
export interface CertificateFacts {
  readonly subject: string
  readonly names: string
  readonly validTo: string
  /** Unix epoch milliseconds. */
  readonly expiresAt: number
}

/** Where the files are, where TLS is to be spoken. */
export function certificateFiles(config: {
  readonly tlsCert?: string | undefined
  readonly tlsKey?: string | undefined
}): CertificateFiles | undefined {
  const { tlsCert: cert, tlsKey: key } = config
  return cert === undefined || key === undefined ? undefined : { cert, key }
}

/** @throws with one line that says which file is wrong, and what it should hold. */
export function readCertificate({ cert, key }: CertificateFiles): CertificateFacts {
  const certificate = read('tlsCert', cert, 'a certificate in PEM', (pem) => new X509Certificate(pem))
  const privateKey = read('tlsKey', key, 'a private key in PEM, without a passphrase', createPrivateKey)
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error(`tlsKey: ${key} is not the key of the certificate in ${cert}; take both from the same order`)
  }
  const { subject, subjectAltName: names = '', validTo } = certificate
  return { subject, names, validTo, expiresAt: Date.parse(validTo) }
}

function read<T>(option: string, file: string, expected: string, parse: (pem: string) => T): T {
  const pem = readText(option, file)
  try {
    return parse(pem)
  } catch {
    throw new Error(`${option}: expected ${expected} in ${file}`)
  }
}

function readText(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Error(`${option}: ${(error as Error).message}`)
  }
}
