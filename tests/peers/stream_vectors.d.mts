// Types of stream_vectors.mjs, for the test that runs it in Deno.

export function streamVectors(): string;
