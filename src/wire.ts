/**
 * The protocol as other programs are offered it, `chartroom/protocol`: the frames of both sides, error codes, close codes.
 *
 * Always true: nothing but types comes from the codec, so that no schema library finds its way into a browser's bundle.
 */
export { type CloseReason, closeCodes, comesBack, type ErrorCode, errorCodes } from './errors.ts'
export type { Operation } from './patch.ts'
export type {
  ClientFrame,
  ClientFrameOf,
  ClientType,
  CorrelationId,
  JoinMode,
  Priority,
  RoomEvent,
  ServerFrame,
  ServerFrames,
  StateDocument,
} from './protocol.ts'
export { SUBPROTOCOL } from './subprotocol.ts'
