/** One process of members. */
import { answerRequests, pool } from './clients.ts'
import { Member, type Mode, type Resumed } from './member.ts'

/** Handshakes under way at a time. */
const AT_ONCE = 250

let members: Member[] = []

answerRequests({
  /** Everybody joins one of the rooms. */
  settle: async ({ url, users, rooms, mode }: { url: string; users: string[]; rooms: string[]; mode: Mode }) => {
    members = await Promise.all(users.map((user, i) => Member.of(url, user, rooms[i % rooms.length] as string, mode)))
    await pool(members.length, AT_ONCE, (i) => (members[i] as Member).settle())
  },

  /** Everybody comes back as fast as it can. */
  resume: async () => {
    const resumed: Resumed[] = []
    await pool(members.length, AT_ONCE, async (i) => {
      resumed.push(await (members[i] as Member).resume())
    })
    return resumed
  },

  leave: async () => {
    await pool(members.length, AT_ONCE, (i) => (members[i] as Member).leave())
  },
})
