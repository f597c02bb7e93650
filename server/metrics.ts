/** What a server has counted since it started. No entry names a peer, a queue or a key. */
export interface Metrics {
  /** Connections that were accepted. */
  connectionsAccepted: number;
  /** Connections that were refused because there were too many. */
  connectionsRefused: number;
  /** Connections that ended in the handshake. */
  handshakesFailed: number;
  /** Connections that were closed because the peer did not read in time. */
  slowPeersClosed: number;
  /** Messages that were accepted. */
  messagesAccepted: number;
  /** Messages that were dropped because they do not fit the recipient's blocks. */
  messagesDropped: number;
  /** Commands that failed because of the server itself. */
  internalErrors: number;
}

/** All counters at zero. */
export function newMetrics(): Metrics {
  return {
    connectionsAccepted: 0,
    connectionsRefused: 0,
    handshakesFailed: 0,
    slowPeersClosed: 0,
    messagesAccepted: 0,
    messagesDropped: 0,
    internalErrors: 0,
  };
}
