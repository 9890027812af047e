/** How a visitor is talked to: in the feed's own words, or in those that its tools know. */
import type { CloseReason, Failure } from '../errors.ts'
import type { CorrelationId } from '../protocol.ts'
import { type Told, write } from './frames.ts'

export interface Tongue {
  /** The frames for what is told; none where there is no word for it. */
  say(told: Told | Failure, asked?: CorrelationId): readonly string[]
  /** The visitor is in; what it did not ask for begins to be watched for it. */
  begin(eyes: Eyes): Promise<void>
  /** The visitor is gone. */
  end(): void
}

/** What a tongue may do for its visitor. */
export interface Eyes {
  /** Whether an actor is not watched yet, and could be. */
  mayWatch(actor: string): boolean
  /** Resolves when it was told where the actor stands, and there is room for more. */
  watch(actor: string): Promise<void>
  forget(actor: string): void
  end(reason: CloseReason, message: string): void
}

/** Only what was asked for is told. */
export const plain: Tongue = {
  say: (told, asked) => [write(told, asked)],
  begin: async () => {},
  end: () => {},
}
