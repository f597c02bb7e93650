import { assertEquals } from "@std/assert";
import {
  encodeServerTransmission,
  type ServerResponse,
  type ServerTransmission,
} from "../../../protocol/mod.ts";
import { fitAnswer, fits } from "../../../server/broker/answer.ts";

const permissions = "none";
const queueId = "AAAAAAAAAAAAAAAA";
const none = new Uint8Array(0);

function transmission(response: ServerResponse, corrIdLength: number): ServerTransmission {
  return { corrId: new Uint8Array(corrIdLength).fill(0x31), queueId, response };
}

function message(length: number): ServerResponse {
  return { type: "MSG", messageId: "AAAAAAAA", timestamp: new Date(0), body: new Uint8Array(length) };
}

const badBlock: ServerTransmission = { corrId: none, queueId: "", response: { type: "ERR", error: "BLOCK" } };

Deno.test("what fits leaves one byte for the padding", { permissions }, () => {
  // transport.md Blocks: content shorter than the block less its tag by at least one byte
  for (const blockSize of [4096, 8192, 65536]) {
    const most = blockSize - 17 - encodeServerTransmission(transmission({ type: "OK" }, 0)).length;
    assertEquals(encodeServerTransmission(transmission({ type: "OK" }, most)).length, blockSize - 17);
    assertEquals(fits(transmission({ type: "OK" }, most), blockSize), true);
    assertEquals(fits(transmission({ type: "OK" }, most + 1), blockSize), false);
  }
});

Deno.test("a message of 4015 bytes fits a block of 4096 without corrId", { permissions }, () => {
  // smp.md Size of a message
  assertEquals([4015, 4016].map((length) => fits(transmission(message(length), 0), 4096)), [true, false]);
});

Deno.test("an answer that fits is sent as it is", { permissions }, () => {
  const responses: ServerResponse[] = [{ type: "OK" }, { type: "ERR", error: "AUTH" }, message(4000), {
    type: "END",
  }];
  for (const response of responses) {
    const answer = transmission(response, 15);
    assertEquals(fitAnswer(answer, 4096), { answer, push: null });
  }
});

Deno.test("a message whose corrId is too long is pushed after OK", { permissions }, () => {
  // smp.md Size of a message: it never blocks the queue or the connection
  const most = 4015 - 1000;
  assertEquals(fitAnswer(transmission(message(1000), most), 4096).push, null);
  for (const length of [most + 1, 4079 - 22]) {
    const answer = transmission(message(1000), length);
    assertEquals(fitAnswer(answer, 4096), {
      answer: { ...answer, response: { type: "OK" } },
      push: { ...answer, corrId: none },
    });
  }
});

Deno.test("an answer that cannot fit becomes ERR BLOCK without corrId", { permissions }, () => {
  const tooLong: [response: ServerResponse, corrIdLength: number][] = [
    [message(100), 4079 - 21],
    [{ type: "OK" }, 4079 - 21],
    [{ type: "ERR", error: "CMD PROHIBITED" }, 4079 - 37],
    [{ type: "PONG" }, 5000],
  ];
  for (const [response, length] of tooLong) {
    assertEquals(fitAnswer(transmission(response, length), 4096), { answer: badBlock, push: null });
    assertEquals(fitAnswer(transmission(response, length), 8192).answer.response, response);
  }
});

Deno.test("whatever comes of an answer fits", { permissions }, () => {
  for (let length = 3800; length < 4200; length++) {
    for (const response of [message(100), message(4015), { type: "OK" } as const]) {
      const { answer, push } = fitAnswer(transmission(response, length), 4096);
      assertEquals([fits(answer, 4096), push === null || fits(push, 4096)], [true, true]);
    }
  }
});
