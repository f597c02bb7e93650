import type { Certificate } from "../../server/net/certificate.ts";

const vector = (name: string) => Deno.readTextFileSync(new URL(`../vectors/tls/${name}`, import.meta.url));

/** What has signed the certificates, PEM; valid until 2126, made by openssl. */
export const authority = vector("ca.pem");

/** One for localhost and 127.0.0.1, as `CN=server1`. */
export const certificate: Certificate = { cert: vector("cert1.pem"), key: vector("key1.pem") };

/** Another one for them, as `CN=server2`. */
export const otherCertificate: Certificate = { cert: vector("cert2.pem"), key: vector("key2.pem") };

/** One that `node:crypto` can read, with a key of 1024 bits, which is too short for TLS here. */
export const weak: Certificate = { cert: vector("weak_cert.pem"), key: vector("weak_key.pem") };

/** One that was valid in 2020 alone, with the key of {@linkcode certificate}. */
export const expired: Certificate = { cert: vector("expired_cert.pem"), key: vector("key1.pem") };

/** Connects to a loopback port and has done the TLS handshake. */
export async function dialTls(port: number): Promise<Deno.TlsConn> {
  const connection = await Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [authority] });
  try {
    await connection.handshake();
  } catch (error) {
    connection.close();
    throw error;
  }
  return connection;
}
