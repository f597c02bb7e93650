import { assert, assertEquals } from "@std/assert";
import { type Condition, TestNetwork } from "../support/network.ts";
import { requiring } from "../support/requires.ts";
import { commandOf, linesOf, ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { next, soon } from "../support/wait.ts";

const test = requiring(await TestNetwork.lack());

test(
  "over cut, slow and lossy connections agents lose, double and reorder nothing, and recover by themselves",
  async () => {
    await using network = await TestNetwork.create();
    await using folder = await temporaryFolder();
    const place = ["--config-dir", folder.path, "--log-dir", folder.path, "--port", "0"];
    await using server = await ServerProcess.startBare({
      folder: folder.path,
      wrapper: network.wrapper("server"),
      args: ["start", "-y", "--host", network.serverAddress, ...place],
    });
    const [file, ...args] = [
      ...network.wrapper("client"),
      ...commandOf([server.address], { script: "tests/operator/network_child.ts", folder: folder.path }),
    ];
    await using child = new Deno.Command(file!, { args, stdin: "piped", stdout: "piped" }).spawn();
    const lines = linesOf(child.stdout);
    assertEquals(await next(lines), "ready");
    let received = 0;
    const readUntil = async (isDone: (line: string) => boolean) => {
      for (;;) {
        const line = await next(lines);
        assert(!line.startsWith("wrong"), line);
        if (line.startsWith("received")) received++;
        if (isDone(line)) return;
      }
    };
    for (const condition of ["cut", "good", "slow and lossy", "cut", "good"] satisfies Condition[]) {
      await network.set(condition);
      const before = received;
      // Nobody tells the agents that the cable is cut: they have to notice.
      await readUntil((line) => condition === "cut" ? line === "down" : received >= before + 50);
    }
    const input = child.stdin.getWriter();
    await input.write(new Uint8Array(1));
    await input.close();
    await readUntil((line) => line === "complete");
    assertEquals((await soon(child.status)).code, 0);
    await lines.return?.();
  },
);
