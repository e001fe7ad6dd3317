// Commands and their answers: one cmd, one answer.

import { randomUUID } from "node:crypto";
import { check, until } from "./stage.js";

const presence = (cmd = randomUUID(), mode = "online") => ({ type: "presence.set", cmd, mode });

/** A raw socket in an open session. */
async function open(stage, hello = {}) {
  const line = await stage.line();
  return { line, ...(await line.open(hello)) };
}

async function answered(line, message) {
  line.send(message);
  return line.result(message.cmd);
}

const same = (one, two) => check(one === two, () => `answered ${one} and then ${two}`);

export const scenarios = {
  async answered(stage) {
    const phone = await stage.phone();
    await stage.ok(phone, presence());
    const unknown = { type: "offer.accept", offer_id: randomUUID(), offer_version: 1 };
    const { ok, code } = await stage.done(phone.command(unknown), "an answer");
    check(!ok && code === "not_found", () => `an unknown offer is answered ${code}`);
  },

  async "same-bytes"(stage) {
    const message = presence();
    const { line } = await open(stage);
    const first = await answered(line, message);
    same(first, await answered(line, message));
    same(first, await answered(line, { ack: 0, mode: message.mode, cmd: message.cmd, type: message.type }));
    line.wire.cut();
    same(first, await answered((await open(stage)).line, message));
  },

  async "twice-at-once"(stage) {
    const { line } = await open(stage);
    const message = presence();
    line.send(message);
    line.send(message);
    same(await line.result(message.cmd), await line.result(message.cmd));
  },

  async "other-content"(stage) {
    const { line } = await open(stage);
    const message = presence();
    const first = await answered(line, message);
    const other = await line.command({ ...message, mode: "offline" });
    check(other.code === "conflict" && !("current" in other), () => JSON.stringify(other));
    same(first, await answered(line, message));
  },

  async "cmd-of-a-device"(stage) {
    const message = presence();
    const { line } = await open(stage);
    await answered(line, message);
    line.wire.cut();
    const other = await open(stage, { device_id: `${stage.devices[0]}-other` });
    const { code } = await other.line.command({ ...message, mode: "offline" });
    check(code === "ok", () => `answered ${code}`);
    await other.line.command(presence());
  },

  async unacked(stage) {
    const [decided, lost] = [presence(), randomUUID()];
    const { line, answer } = await open(stage);
    const first = await answered(line, decided);
    line.wire.cut();
    const { sid, epoch, seq } = answer;
    for (const resume of [{ sid, epoch, seq }, null]) {
      const again = await open(stage, { resume, unacked: [decided.cmd, lost] });
      check(again.answer.type === (resume ? "resumed" : "welcome"), again.answer.type);
      check(again.text.includes(`"results":[${first}]`), () => `results are not those bytes: ${again.text}`);
      check(again.answer.unknown_commands?.join() === lost, () => `unknown: ${again.answer.unknown_commands}`);
      again.line.wire.cut();
    }
  },

  async "lost-answer"(stage) {
    const phone = await stage.phone();
    for (let times = 0; times < 3; times += 1) {
      const message = presence();
      const answer = phone.command(message);
      phone.cut();
      const result = await stage.done(answer, "an answer in the end", 2 * stage.ms);
      await until(() => phone.phase === "live", "live", stage.ms);
      check(result.code === "ok", () => `answered ${result.code}`);
      // What was decided stays so.
      const again = await stage.http("POST", "/v1/driver/commands", {
        body: message,
        headers: { "Flexlive-Device": phone.deviceId },
      });
      check(again.text === JSON.stringify(result), () => `${JSON.stringify(result)}, then ${again.text}`);
    }
  },

  async "in-order"(stage) {
    const { line } = await open(stage);
    const messages = ["online", "offline", "online", "online", "offline"].map((mode) => presence(undefined, mode));
    messages.forEach((message) => line.send(message));
    for (const { cmd } of messages) {
      const frame = await line.type("result");
      check(frame.cmd === cmd && frame.ok, () => `out of order, or refused: ${JSON.stringify(frame)}`);
    }
    check((await line.alive()).presence === "offline", "not the last one's effect");
    await line.command(presence());
  },

  async invalid(stage) {
    const { line } = await open(stage);
    const cmd = randomUUID();
    const wrong = [presence(cmd, "asleep"), { type: "teleport", cmd }, { type: "offer.accept", cmd, offer_id: "x" }];
    for (const message of wrong) {
      const { code, ok } = await line.command(message);
      check(!ok && code === "invalid", () => `${message.type} is answered ${code}`);
    }
    const { code } = await line.command(presence(cmd));
    check(code === "ok", () => `the cmd is not free: ${code}`);
  },

  async "rate-limited"(stage) {
    const { line } = await open(stage);
    const messages = Array.from({ length: 14 }, () => presence());
    messages.forEach((message) => line.send(message));
    const results = () => line.frames.filter((frame) => frame.type === "result");
    await until(() => results().length === messages.length, "an answer to each", stage.ms);
    const limited = results().filter((frame) => frame.code === "rate_limited");
    check(limited.length > 0, "nobody was in a hurry");
    check(limited.every((frame) => frame.retry_after_ms > 0), "no retry_after_ms");
    const [{ cmd }] = limited;
    line.wire.cut();
    // The client keeps to that time by itself: the same cmd, until it is decided.
    const phone = await stage.phone();
    const { code } = await stage.done(phone.command(presence(cmd)), "an answer", 2 * stage.ms);
    check(code === "ok", () => `the same cmd after that time: ${code}`);
  },

  async "refusals-end"(stage) {
    const { line } = await open(stage);
    for (let n = 0; n < 60 && line.wire.isOpen; n += 1) line.send(presence());
    await line.closed(4029);
  },
};
