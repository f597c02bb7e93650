import { encodeBase64, type RouteRecord } from "../../protocol/mod.ts";

/** A route record with parts of an own fill; its key is none. */
export function routeRecord(fill: number, change: Partial<RouteRecord> = {}): RouteRecord {
  return {
    routeId: new Uint8Array(8).fill(fill),
    server: `smp${fill}.example.org:5223#${encodeBase64(new Uint8Array(32).fill(fill))}`,
    senderId: new Uint8Array(24).fill(fill),
    p: new Uint8Array(128).fill(0xf1),
    q: new Uint8Array(128).fill(0xe3),
    routeKey: new Uint8Array(32).fill(fill),
    blockSize: 4096,
    ...change,
  };
}
