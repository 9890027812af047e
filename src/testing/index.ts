/** What `chartroom/testing` offers: a server of a test's own, tabs to talk to it, a clock to move (docs/testing.md). */
export type { Clock } from './clock.ts'
export { startServer, type TestServer } from './server.ts'
export { type Frame, Tab, type TabOptions } from './tab.ts'
