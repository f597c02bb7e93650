/** A line with its end, or `null` when the peer ends before it or it has more than `longest` bytes. */
export async function readLine(connection: Pick<Deno.Conn, "read">, longest: number): Promise<string | null> {
  const chunk = new Uint8Array(Math.min(longest, 65_536));
  const parts: Uint8Array[] = [];
  for (let length = 0; length < longest;) {
    const count = await connection.read(chunk);
    if (count === null) return null;
    const end = chunk.subarray(0, count).indexOf(10);
    parts.push(chunk.slice(0, end < 0 ? count : end));
    if (end >= 0) return await new Blob(parts as Uint8Array<ArrayBuffer>[]).text();
    length += count;
  }
  return null;
}

export async function writeLine(connection: Pick<Deno.Conn, "write">, value: object): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}
