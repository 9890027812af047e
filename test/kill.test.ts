/** The short run of `npm run torture -- kill`: the same clients, the same server process, the same judge. */
import t from 'tap'
import { torture } from './torture/kill.ts'

t.setTimeout(120_000)

t.test('L2 L3 S1 20 kills under load lose, double and reorder nothing that was acknowledged', async (t) => {
  const { figures, violations } = await torture.run(20, () => {})
  t.comment(JSON.stringify(figures, null, 2))
  t.strictSame(violations, [])
  t.ok(Number(figures.acknowledgements) >= 10_000, 'there was something to lose')
})
