import { createPrivateKey, X509Certificate } from "node:crypto";
import { type MadeCertificate, makeCertificate } from "./certificate.ts";

const day = 86_400_000;
/** Milliseconds for which a certificate is made: browsers take no longer ones. */
const lifetime = 397 * day;
/** Milliseconds before its end in which it is replaced at a start. */
const renewal = 30 * day;
/** Milliseconds before its end in which a program that runs says so. */
const notice = 14 * day;

/** The certificate that is stored in a folder, or a new one for a name or IPv4 address and this machine's own names. */
export async function certificateFor(host: string, directory: string): Promise<MadeCertificate> {
  const folder = `${directory}/tls`;
  const paths = {
    cert: `${folder}/certificate.pem`,
    key: `${folder}/key.pem`,
    authority: `${folder}/authority.pem`,
  };
  const stored = await read(paths);
  if (stored !== null && fits(stored, host)) return stored;
  // Clocks differ.
  const from = Date.now() - day;
  const hosts = [...new Set([host, "localhost", "127.0.0.1"])];
  const made = await makeCertificate({ hosts, valid: [new Date(from), new Date(from + lifetime)] });
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of ["authority", "cert", "key"] as const) {
    // What is there keeps its mode.
    await Deno.remove(paths[name]).catch(() => {});
    await Deno.writeTextFile(paths[name], made[name], { mode: 0o600, createNew: true });
  }
  return made;
}

/** What is said when a certificate runs out while the program serves it; `null`: nothing is to be said. */
export function endNotice({ cert }: Pick<MadeCertificate, "cert">, now: number): string | null {
  const end = new X509Certificate(cert).validToDate;
  if (now < end.getTime() - notice) return null;
  const what = `${now > end.getTime() ? "has run" : "runs"} out on ${end.toISOString().slice(0, 10)}`;
  return `The certificate ${what}: start the chat again for a new one, and tell the phones.`;
}

/** Gives `log` the notice of a certificate, while there is one, once a day or each `pause` milliseconds, until it is disposed. */
export function tellEnd(
  certificate: Pick<MadeCertificate, "cert">,
  log: (line: string) => void,
  pause = day,
): Disposable {
  const look = () => {
    const text = endNotice(certificate, Date.now());
    if (text !== null) log(text);
  };
  const timer = setInterval(look, pause);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** What people compare: SHA-256 of a certificate, as browsers and phones show it. */
export function fingerprintOf(certificate: string): string {
  return new X509Certificate(certificate).fingerprint256;
}

/** An address of this machine in its network; `null` when it has none. Needs `--allow-sys=networkInterfaces`. */
export function networkAddress(): string | null {
  const found = Deno.networkInterfaces().filter(({ family, address }) =>
    family === "IPv4" && !/^(127|169\.254)\./.test(address)
  );
  // Those of containers and virtual machines come last.
  const isVirtual = (name: string) => /^(docker|br-|veth|virbr|vmnet|vbox|tailscale|tun|utun)/i.test(name);
  return (found.find(({ name }) => !isVirtual(name)) ?? found[0])?.address ?? null;
}

async function read(paths: Readonly<Record<keyof MadeCertificate, string>>): Promise<MadeCertificate | null> {
  try {
    const { cert, key, authority } = paths;
    return {
      cert: await Deno.readTextFile(cert),
      key: await Deno.readTextFile(key),
      authority: await Deno.readTextFile(authority),
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Whether it can be used for a host; what a crash or a full disk has left of one cannot. */
function fits({ cert, key, authority }: MadeCertificate, host: string): boolean {
  try {
    const certificate = new X509Certificate(cert);
    const isAddress = /^[\d.]+$/.test(host);
    const hasHost = (isAddress ? certificate.checkIP(host) : certificate.checkHost(host)) !== undefined;
    const isOne = certificate.checkPrivateKey(createPrivateKey(key)) &&
      certificate.verify(new X509Certificate(authority).publicKey);
    const [now, { validFromDate, validToDate }] = [Date.now(), certificate];
    // Made by a clock that was ahead it would be of no use for long.
    return hasHost && isOne && validFromDate.getTime() <= now && validToDate.getTime() > now + renewal;
  } catch {
    return false;
  }
}
