import { assertEquals } from "@std/assert";
import { ToldCertificate } from "../../../server/workers/told_certificate.ts";

Deno.test("a certificate that a worker could not take is tried until it is taken, and told once", {
  permissions: "none",
}, () => {
  const log: string[] = [];
  let fails = true;
  const told = new ToldCertificate(({ cert }) => {
    if (fails) throw new Error(`no descriptors for ${cert}`);
    log.push(`uses ${cert}`);
  }, (error) => void log.push((error as Error).message));
  for (const cert of ["first", "second"]) {
    told.take({ cert, key: "" });
    for (let i = 0; i < 3; i++) told.look();
  }
  fails = false;
  for (let i = 0; i < 3; i++) told.look();
  assertEquals(log, ["no descriptors for first", "no descriptors for second", "uses second"]);
  told.take({ cert: "third", key: "" });
  told.look();
  assertEquals(log.slice(3), ["uses third"]);
});
