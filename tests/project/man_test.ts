import { assertEquals, assertStringIncludes } from "@std/assert";
import { debianChangelog } from "../../deploy/debian/changelog.ts";
import { manualPages } from "../../deploy/man/pages.ts";
import { roffOf } from "../../deploy/man/roff.ts";

const permissions = "none";

Deno.test("a manual page is what --help prints, with terms and what they mean", { permissions }, () => {
  const text = `Usage: p [options]
  and more

  -a FILE   a file - or "none"
            at all
  --long-one
            long
  --fits FF it fits

.Text\\… of
two lines`;
  const parts = [{ title: "Description", text }];
  const page = roffOf({ name: "p", section: 1, summary: "a program", version: "1", parts });
  assertEquals(
    page,
    String.raw`.TH P 1 "" "SimpleXMQ for Deno 1"
.SH NAME
p \- a program
.SH "DESCRIPTION"
.PP
.B "p [options]"
.TP
.B "and more"
.TP
.B "\-a FILE"
a file \- or \(dqnone\(dq
at all
.TP
.B "\-\-long\-one"
long
.TP
.B "\-\-fits FF"
it fits
.PP
\&.Text\e\[u2026] of
two lines
`,
  );
});

Deno.test("each command and option of the programs is in their manual pages", { permissions }, () => {
  const texts = new Map(manualPages().map((page) => [page.name, roffOf(page)]));
  for (const term of ["status", "-l, --store-log", "--cluster SERVERS", "[ACCESS] create"]) {
    assertStringIncludes(texts.get("smp-server")!, `.TP\n.B "${term.replaceAll("-", "\\-")}"\n`);
  }
  for (const title of ["INVITE", "SEND-FILE", "PASSPHRASE"]) {
    assertStringIncludes(texts.get("smp-agent")!, `.SH "${title}"\n.PP\n.B "smp\\-agent `);
  }
  assertStringIncludes(texts.get("smp")!, '.B "queue key \\-\\-file FILE"\nmake a sender');
});

Deno.test("the changelog of a Debian package has all versions and changes", { permissions }, () => {
  const markdown = `# Changes

## 1.1.0 (not released)

- [One](https://a.example) with \`code\`, and so long a text that it does not fit
  on a line.
- Two.

## 1.0.0 (2026-02-03)

- First.
`;
  const date = new Date("2026-11-27T01:02:03Z");
  assertEquals(
    debianChangelog(markdown, { name: "p", maintainer: "M <m@a.example>", date }),
    `p (1.1.0) UNRELEASED; urgency=medium

  * One with code, and so long a text that it does not fit on a line.
  * Two.

 -- M <m@a.example>  Fri, 27 Nov 2026 01:02:03 +0000

p (1.0.0) unstable; urgency=medium

  * First.

 -- M <m@a.example>  Tue, 03 Feb 2026 00:00:00 +0000
`,
  );
});
