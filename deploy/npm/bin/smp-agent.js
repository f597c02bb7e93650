#!/usr/bin/env node
import { needsDeno, run } from "./run.js";

// Without a command it is start, which serves a port.
const [command = "start"] = process.argv.slice(2);
const isStart = command === "start" ||
  command.startsWith("-") && !["--help", "-h", "--version"].includes(command);
if (isStart && !process.argv.includes("--help")) needsDeno("smp-agent start");
else await run("smp-agent", () => import("../agent/main.js"));
