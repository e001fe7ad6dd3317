// The client's HTTP: a command until it is decided, a refresh that is repeated as the very same attempt.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import test from "node:test";
import { Credentials, MemoryStore, postCommand } from "../client/index.js";

const TEXT = '{"type":"presence.set","cmd":"1","mode":"online"}';
const RESULT = '{"type":"result","cmd":"1","ok":true,"code":"ok"}';
const problem = (status, code, headers) => ({ status, body: JSON.stringify({ code, status }), headers });

/** Answers one after another; null hangs up. What was asked comes back. */
async function answering(answers, act) {
  const asked = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    asked.push({ url: request.url, headers: request.headers, body });
    const answer = answers.shift();
    if (!answer) return request.socket.destroy();
    response.writeHead(answer.status, answer.headers);
    response.end(answer.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await act(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return asked;
}

const post = (base, credentials, waits) =>
  postCommand(base, { credentials, deviceId: "phone", text: TEXT, sleep: async (ms) => waits.push(ms), random: () => 1 });

test("a command by HTTP: the same again until it is decided", async () => {
  const waits = [];
  const asked = await answering(
    [null, problem(503, "outcome_unknown"), problem(429, "rate_limited", { "retry-after": "2" }), { status: 200, body: RESULT }],
    async (base) => {
      const credentials = new Credentials(new MemoryStore(), base, { accessToken: "a" });
      assert.equal((await post(base, credentials, waits)).text, RESULT);
    },
  );
  assert.deepEqual(waits, [250, 500, 2_000]);
  assert.deepEqual([...new Set(asked.map((each) => each.body))], [TEXT]);
  assert.equal(asked[0].headers["flexlive-device"], "phone");
});

test("a command by HTTP: refused is refused", () =>
  answering([problem(403, "deactivated")], async (base) => {
    const credentials = new Credentials(new MemoryStore(), base, { accessToken: "a" });
    await assert.rejects(post(base, credentials, []), { status: 403, code: "deactivated" });
  }));

test("an expired token: refreshed by one attempt, however often its answer is lost", async () => {
  const store = new MemoryStore({ tokens: { access_token: "old", refresh_token: "r-1" } });
  const pair = { access_token: "new", refresh_token: "r-2" };
  const expired = problem(401, "token_expired");
  const asked = await answering(
    [expired, null, expired, { status: 200, body: JSON.stringify(pair) }, { status: 200, body: RESULT }],
    async (base) => {
      await assert.rejects(post(base, new Credentials(store, base), []));
      assert.equal((await post(base, new Credentials(store, base), [])).text, RESULT);
    },
  );
  const refreshes = asked.filter((each) => each.url === "/v1/driver/refresh").map((each) => each.body);
  assert.equal(refreshes.length, 2);
  assert.equal(refreshes[0], refreshes[1]);
  assert.equal(asked.at(-1).headers.authorization, "Bearer new");
  assert.deepEqual([store.get("tokens"), store.get("attempt", null)], [pair, null]);
});
