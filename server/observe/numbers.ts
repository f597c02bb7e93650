import { quantile, total } from "./history.ts";
import { type Gauges, type Metrics, refusals } from "./metrics.ts";

/** What a server is at the moment and has counted, for whoever looks at it. */
export interface Numbers {
  readonly gauges: Gauges;
  readonly totals: {
    readonly connections: number;
    readonly accepted: number;
    readonly delivered: number;
    readonly expired: number;
    readonly commands: number;
    readonly bytesReceived: number;
    readonly bytesSent: number;
    readonly handshakesFailed: number;
    readonly internalErrors: number;
    readonly logFailures: number;
    /** Milliseconds of a delivery, as the bound of a bucket. */
    readonly p50: number | null;
    readonly p99: number | null;
  };
  readonly refused: Readonly<Record<string, number>>;
}

export function numbersOf(metrics: Readonly<Metrics>, gauges: Gauges): Numbers {
  return {
    gauges,
    totals: {
      connections: metrics.connectionsAccepted,
      accepted: metrics.messagesAccepted,
      delivered: metrics.messagesDelivered,
      expired: metrics.messagesExpired,
      commands: total(metrics.commands),
      bytesReceived: metrics.bytesReceived,
      bytesSent: metrics.bytesSent,
      handshakesFailed: metrics.handshakesFailed,
      internalErrors: metrics.internalErrors,
      logFailures: metrics.logFailures,
      p50: quantile(metrics.delivery.counts, 0.5),
      p99: quantile(metrics.delivery.counts, 0.99),
    },
    refused: Object.fromEntries(refusals.map((reason) => [reason, metrics.refusals(reason)])),
  };
}
