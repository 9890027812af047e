/** The WebSocket subprotocol that names this version of the protocol (RFC 6455 1.9). */
export const SUBPROTOCOL = 'chartroom.v1'
