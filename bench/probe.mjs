// Loaded into every server that is measured, ours and others' alike: says what the process has used, when it is asked.
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import v8 from 'node:v8'
import vm from 'node:vm'

const session = new Session()
const inspect = (method) => new Promise((resolve) => session.post(method, (_, result) => resolve(result)))

/** All that nobody holds is gone. */
function collect() {
  v8.setFlagsFromString('--expose-gc')
  const gc = vm.runInNewContext('gc')
  for (let i = 0; i < 4; i++) gc()
}

const answers = {
  usage: () => {
    const { user, system } = process.cpuUsage()
    const { rss, heapUsed } = process.memoryUsage()
    return { cpu: user + system, at: Number(process.hrtime.bigint()) / 1e6, rss, heap: heapUsed }
  },
  rest: () => {
    collect()
    return answers.usage()
  },
  profile: async () => {
    session.connect()
    await inspect('Profiler.enable')
    await inspect('Profiler.start')
  },
  profiled: async ({ file }) => {
    const { profile } = await inspect('Profiler.stop')
    writeFileSync(file, JSON.stringify(profile))
    session.disconnect()
  },
}

process.on('message', async ({ id, what, given }) => process.send({ id, answer: await answers[what](given) }))
// The server lives as long as it likes, whether or not somebody may ask.
process.channel?.unref()
process.on('disconnect', () => process.exit(0))
