/** What can be done when a port cannot be had, to stand behind the message of the error; empty where there is nothing. */
export function portAdvice(error: unknown, options: string): string {
  if (!(error instanceof Error) || !error.message.startsWith("Cannot listen on ")) return "";
  switch (error.cause instanceof Error ? error.cause.name : "") {
    case "AddrInUse":
      return `; stop the program that has the port, or choose another one: ${options}`;
    case "AddrNotAvailable":
      return "; it must be an address of this machine";
    case "PermissionDenied":
      return "; ports below 1024 take root, or CAP_NET_BIND_SERVICE";
    default:
      return "";
  }
}
