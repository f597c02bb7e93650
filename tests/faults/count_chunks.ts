/**
 * Preloaded into agents that send files: counts the chunks that they give to servers, in a file `sent` beside their
 * database that is right after a kill, too.
 *
 * @module
 */
import { SmpClient } from "../../client/mod.ts";

/** Bytes of a body that has a chunk for blocks of 64 KiB, at least. */
const chunkLength = 60_000;

const db = Deno.args[Deno.args.indexOf("--db") + 1];
if (db !== undefined) {
  const path = db.replace(/[^/]*$/, "sent");
  const { send } = SmpClient.prototype;
  SmpClient.prototype.send = function (queue, body, options) {
    if (body.length > chunkLength) Deno.writeFileSync(path, Uint8Array.of(1), { append: true });
    return send.call(this, queue, body, options);
  };
}
