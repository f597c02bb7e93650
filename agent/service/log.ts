import type { Logger } from "../../cli/logger.ts";

/** Where a service tells how it is: without names of connections, and without content. */
export type ServiceLog = Pick<Logger, "warn" | "info" | "debug">;
