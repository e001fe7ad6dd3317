// What the document says of bad links, commands and close codes, held to a server that makes trouble.

import assert from "node:assert/strict";
import test from "node:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileStore } from "../client/index.js";
import { offer, SNAPSHOT, until, WELCOME, withServer } from "./fake_server.js";

const at = (seq) => ({ sid: "s-1", epoch: "e-1", seq });
const LIVE = { type: "live" };
const presence = { type: "presence.set", mode: "online" };

test("a hole is not applied: close, and resume from the last good fact", () =>
  withServer({}, async ({ client, peer, opened }) => {
    const first = await opened();
    first.say(offer(1), offer(3), offer(4));
    const second = await peer(1);
    assert.deepEqual((await second.hello()).resume, at(1));
    second.say({ type: "resumed", from: 1, to: 3 }, offer(2), offer(3), LIVE);
    await until(() => client.phase === "live");
    assert.deepEqual(client.offers.map((each) => each.offer_id), ["o-1", "o-2", "o-3"]);
  }));

test("the third hole without a new fact begins anew", () =>
  withServer({}, async ({ peer, opened }) => {
    (await opened()).say(offer(2));
    const second = await peer(1);
    assert.deepEqual((await second.hello()).resume, at(0));
    second.say({ type: "resumed", from: 0, to: 2 }, LIVE);
    const third = await peer(2);
    assert.deepEqual((await third.hello()).resume, at(0));
    third.say({ type: "resumed", from: 7, to: 8 });
    assert.equal((await (await peer(3)).hello()).resume, null);
  }));

test("a fact, or a snapshot, before the answer to hello is a hole; a repeat is not", () =>
  withServer({}, async ({ client, peer, opened }) => {
    const first = await opened();
    first.say(offer(1), offer(1), WELCOME, { ...SNAPSHOT, seq: 0 }, LIVE, "not json", { type: "of tomorrow", seq: 1 });
    await until(() => first.of("ack").length > 0);
    assert.equal(client.session.seq, 1);
    assert.equal(client.offers.length, 1);
    first.socket.terminate();
    const second = await peer(1);
    second.say(offer(2));
    const third = await peer(2);
    third.say({ ...SNAPSHOT, seq: 2 });
    assert.deepEqual((await (await peer(3)).hello()).resume, at(1));
  }));

test("a removed offer stays removed, whatever was on its way", () =>
  withServer({}, async ({ client, opened }) => {
    const first = await opened();
    first.say(offer(1, "o"), { type: "offer.gone", seq: 2, offer_id: "o", reason: "taken" });
    first.say({ ...offer(3, "o"), type: "offer.update", offer_version: 2 });
    first.say({ ...SNAPSHOT, seq: 3, offers: [{ offer_id: "o", offer_version: 3 }] });
    await until(() => client.session.seq === 3);
    assert.deepEqual(client.offers, []);
  }));

test("acknowledged once, with the last of what came meanwhile", () =>
  withServer({ random: () => 0.05 }, async ({ opened }) => {
    const first = await opened();
    first.say(offer(1), offer(2), offer(3));
    await until(() => first.of("ack").length > 0);
    assert.deepEqual(first.of("ack"), [{ type: "ack", seq: 3 }]);
  }));

test("one command in flight, in order; an accept goes ahead", () =>
  withServer({}, async ({ client, opened }) => {
    const first = await opened();
    const answers = ["1", "2"].map((cmd) => client.command({ ...presence, cmd }));
    client.command({ type: "offer.accept", cmd: "3", offer_id: "o", offer_version: 1 });
    await until(() => first.of("presence.set").length === 1);
    const cmds = () => first.frames.filter((each) => each.cmd).map((each) => each.cmd);
    const answer = (cmd, more = { ok: true, code: "ok" }) => first.say({ type: "result", cmd, ...more });
    answer("1");
    assert.equal((await answers[0]).code, "ok");
    await until(() => cmds().length === 2);
    answer("3", { ok: false, code: "rate_limited", retry_after_ms: 30 });
    await until(() => cmds().length === 3);
    answer("3", { ok: true, code: "won" });
    answer("3", { ok: false, code: "taken" });
    answer("nobody's");
    await until(() => cmds().length === 4);
    answer("2");
    await answers[1];
    assert.deepEqual(cmds(), ["1", "3", "3", "2"]);
  }));

test("an answer that does not come: the same text four times more, then a new socket and unacked", () =>
  withServer({ answerMs: 15 }, async ({ client, peer, opened }) => {
    const first = await opened();
    const answer = client.command({ ...presence, cmd: "1" });
    const second = await peer(1);
    assert.equal(first.of("presence.set").length, 5);
    assert.equal(new Set(first.heard.filter((text) => text.includes("presence.set"))).size, 1);
    const hello = await second.hello();
    assert.deepEqual(hello.unacked, ["1"]);
    second.say({ type: "resumed", from: 0, to: 0, results: [{ type: "result", cmd: "1", ok: true, code: "ok" }] }, LIVE);
    assert.equal((await answer).code, "ok");
    assert.equal(second.of("presence.set").length, 0);
  }));

test("what is on disk outlives the app: unanswered commands and the inbox", async () => {
  const folder = mkdtempSync(join(tmpdir(), "flexlive-"));
  const disk = () => new FileStore(join(folder, "app.json"));
  let store = disk();
  let text;
  await withServer({ store }, async ({ client, opened }) => {
    const first = await opened();
    first.say({ ...SNAPSHOT, inbox: [{ inbox_seq: 7, kind: "notice", body: {}, created_at: WELCOME.server_time }] });
    client.command({ ...presence, cmd: "1" });
    await until(() => first.of("presence.set").length === 1 && store.get("inbox_seq") === 7);
    text = first.heard.find((each) => each.includes("presence.set"));
  });
  store = disk();
  await withServer({ store }, async ({ opened }) => {
    const first = await opened();
    const { resume, inbox_seq, unacked } = await first.hello();
    assert.deepEqual({ resume, inbox_seq, unacked }, { resume: null, inbox_seq: 7, unacked: ["1"] });
    await until(() => first.of("presence.set").length === 1);
    assert.ok(first.heard.includes(text));
  });
  rmSync(folder, { recursive: true });
});

test("a server that says nothing while opening is left", () =>
  withServer({ openingMs: 20 }, async ({ client, peer, peers }) => {
    client.start();
    await peer(0);
    await peer(1);
    assert.ok(peers.length >= 2 && client.failures >= 1);
  }));

test("drain: back when it says, from then on", () =>
  withServer({}, async ({ peer, opened }) => {
    const first = await opened();
    const begun = Date.now();
    first.say({ type: "drain", reconnect_after_ms: 150 });
    first.socket.close(4001);
    assert.deepEqual((await (await peer(1)).hello()).resume, at(0));
    assert.ok(Date.now() - begun >= 140);
  }));

for (const code of [4500, 4501, 4503, 4509, 4526, 4530, 4777])
  test(`close ${code} ends it`, () =>
    withServer({}, async ({ client, peers, opened }) => {
      (await opened()).socket.close(code);
      await until(() => client.phase === "stopped");
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(peers.length, 1);
    }));

for (const code of [1001, 1012, 4000, 4008, 4009, 4029, 4222])
  test(`close ${code}: back, and resume`, () =>
    withServer({}, async ({ peer, opened }) => {
      (await opened()).socket.close(code);
      assert.deepEqual((await (await peer(1)).hello()).resume, at(0));
    }));

for (const [refresh, phase] of [[async () => true, "live"], [async () => false, "stopped"]])
  test(`close 4401 asks for another access token: ${phase}`, () => {
    const credentials = { accessToken: "old", refresh };
    return withServer({ credentials }, async ({ client, peer, opened }) => {
      (await opened()).socket.close(4401);
      if (phase === "live") (await peer(1)).say({ type: "resumed", from: 0, to: 0 }, LIVE);
      await until(() => client.phase === phase);
    });
  });
