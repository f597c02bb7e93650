import { assert, assertEquals } from "@std/assert";
import { openSslPaths } from "../../protocol/mod.ts";
import { openSslLack } from "../support/openssl.ts";
import { requiring } from "../support/requires.ts";

/** What Deno says of each of some expressions, with the permission that the server is given. */
async function tryAll(expressions: readonly string[]): Promise<string[]> {
  const attempts = expressions.map((text) => `() => ${text}`).join(", ");
  const program = `for (const attempt of [${attempts}]) {
    try { attempt(); console.log("allowed"); } catch (error) { console.log(error.name); }
  }`;
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/program.ts`, program);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-config",
        "--no-prompt",
        `--allow-ffi=${openSslPaths.join(",")}`,
        `${folder}/program.ts`,
      ],
    }).output();
    return new TextDecoder().decode(stdout).trim().split("\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

requiring(openSslLack)(
  "with the permission for OpenSSL's paths no other library is opened, and no memory read",
  async () => {
    // Not all of these are there: an error of the system is as good as none.
    const opened = await tryAll(openSslPaths.map((path) => `Deno.dlopen(${JSON.stringify(path)}, {})`));
    assertEquals(opened.filter((said) => said === "NotCapable"), []);
    assert(opened.includes("allowed"));
    const refused = await tryAll([
      'Deno.dlopen("libc.so.6", {})',
      'Deno.dlopen("/lib/x86_64-linux-gnu/libc.so.6", {})',
      "Deno.UnsafePointer.create(4096n)",
      "Deno.UnsafePointer.of(new Uint8Array(8))",
      "Deno.UnsafePointerView.getArrayBuffer(null, 8)",
      "Deno.UnsafePointerView.getCString(null)",
    ]);
    assertEquals(refused, refused.map(() => "NotCapable"));
  },
);
