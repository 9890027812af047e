/**
 * Holds the writers' lock of a log, as LMDB lets any process do, until it is killed: whoever commits waits. Says
 * `held` on stdout.
 */
import { writeSync } from 'node:fs'
import { open } from 'lmdb'

const log = open({ path: `${process.argv[2]}/log.mdb`, encoding: 'binary', keyEncoding: 'binary' })
log.transactionSync(() => {
  writeSync(1, 'held\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
