// Heartbeat, and one phone at a time.

import { check, pause, until } from "./stage.js";

const SLACK_MS = 3_000;

export const scenarios = {
  async silence(stage) {
    const line = await stage.line();
    const { answer } = await line.open();
    const beat = 1_000 * answer.heartbeat_seconds;
    await line.type("heartbeat", beat + SLACK_MS);
    await line.closed(4009, 2 * beat + SLACK_MS);
  },

  async "signs-of-life"(stage) {
    // One sends what means nothing, the other is the client, which sends heartbeats by itself.
    const line = await stage.line();
    const { answer } = await line.open();
    const phone = stage.tokens.length > 1 ? await stage.phone({ driver: 1 }) : null;
    const end = Date.now() + 2_500 * answer.heartbeat_seconds;
    while (Date.now() < end) {
      line.send({ type: "location", points: [] });
      await pause(400 * answer.heartbeat_seconds);
    }
    await line.alive();
    check(!phone || (phone.phase === "live" && phone.closes.length === 0), () => `closed ${phone.closes}`);
  },

  async replaced(stage) {
    const first = await stage.phone();
    const second = await stage.phone({ deviceId: `${stage.devices[0]}-tablet` });
    await until(() => first.phase === "stopped", "the first stops", stage.ms);
    check(first.closes.join() === "4509", () => `closed ${first.closes}`);
    // It would have come back by now, had it not been told not to.
    await pause(400);
    check(first.phase === "stopped", first.phase);
    await stage.synced(second);
  },

  async "replaced-and-resumed"(stage) {
    const first = await stage.phone();
    const { sid, epoch, seq } = first.session;
    const second = await stage.line();
    const { answer } = await second.open({ resume: { sid, epoch, seq } });
    check(answer.type === "resumed", () => `${answer.type} ${answer.reason}`);
    await until(() => first.phase === "stopped", "the first stops", stage.ms);
    check(first.closes.join() === "4509", () => `closed ${first.closes}`);
    await second.alive();
  },

  async "drivers-apart"(stage) {
    const [one, two] = [await stage.phone(), await stage.phone({ driver: 1 })];
    const heard = [one, two].map((phone) => phone.heard.length);
    await Promise.all([one, two].map((phone) => stage.ok(phone, { type: "presence.set", mode: "online" })));
    for (const [at, phone] of [one, two].entries()) {
      await stage.synced(phone);
      check(phone.closes.length === 0, () => `closed ${phone.closes}`);
      const results = phone.heard.slice(heard[at]).filter(({ frame }) => frame.type === "result");
      check(results.length === 1, () => `${results.length} answers to one command`);
    }
  },
};
