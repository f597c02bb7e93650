/**
 * Gives back the memory of bytes that nobody uses any more, where the runtime can: of what WebCrypto gives so much comes in
 * a second that it would take more than all else until the garbage collector looks.
 */
export function release({ buffer }: Uint8Array<ArrayBuffer>): void {
  (buffer as { transfer?(length: number): ArrayBuffer }).transfer?.(0);
}
