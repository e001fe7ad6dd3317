// Frames and limits: what is wrong, what is merely unusual, and a phone that does not read.

import { check, now, pause, until } from "./stage.js";

const FRAME_BYTES_MAX = 16_384;

const padded = (bytes) => {
  const text = '{"type":"heartbeat","pad":""}';
  return text.replace('""', `"${"x".repeat(bytes - text.length)}"`);
};

async function refused(line, frames, codes = []) {
  for (const frame of frames) {
    line.send(frame);
    const { code } = await line.type("error");
    check(codes.length === 0 || codes.includes(code), `error ${code}`);
  }
}

export const scenarios = {
  async "no-message"(stage) {
    const line = await stage.line();
    await line.open();
    const deep = `{"type":"x","a":${"[".repeat(7_000)}${"]".repeat(7_000)}}`;
    await refused(line, ["not json"], ["not_json"]);
    await refused(line, ["[1,2]", '{"cmd":"1"}'], ["invalid_message"]);
    await refused(line, [deep]);
    await line.alive();
  },

  async "out-of-bounds"(stage) {
    const line = await stage.line();
    await line.open();
    const point = stage.point();
    await refused(
      line,
      [
        { type: "location", points: [{ ...point, lat: 91 }] },
        { type: "location", points: Array(101).fill(point) },
        { type: "ack" },
        { type: "presence.set", cmd: "c".repeat(65), mode: "online" },
      ],
      ["invalid_message"],
    );
    await line.alive();
  },

  async "fifth-bad-frame"(stage) {
    const line = await stage.line();
    await line.open();
    await refused(line, Array(4).fill("{"));
    await line.alive();
    line.send("{");
    await line.closed(4501);
  },

  async binary(stage) {
    const line = await stage.line();
    await line.open();
    await refused(line, [Buffer.from('{"type":"heartbeat"}')], ["not_text"]);
    await line.alive();
  },

  async "not-utf8"(stage) {
    const line = await stage.line();
    await line.open();
    line.send(Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d]), { binary: false });
    await line.closed(1007);
  },

  async "frame-size"(stage) {
    const line = await stage.line();
    await line.open();
    line.send(padded(FRAME_BYTES_MAX));
    await line.alive();
    line.send(padded(FRAME_BYTES_MAX + 1));
    await line.closed(1009);
  },

  async "later-versions"(stage) {
    const line = await stage.line();
    await line.open({ from_the_future: { a: [1] } });
    line.send({ type: "teleport", where: "home" });
    line.send({ type: "heartbeat", mood: "good" });
    const cmd = `again-${now()}`;
    line.send(`{"type":"presence.set","cmd":"${cmd}","mode":"offline","mode":"online","colour":"red"}`);
    const { code } = JSON.parse(await line.result(cmd));
    check(code === "ok", `answered ${code}`);
    check((await line.alive()).presence === "online", "of a repeated key the last one counts");
  },

  async words(stage) {
    const line = await stage.line();
    await line.open({ device_id: stage.devices[0].padEnd(64, "~") });
    const cmd = `~${now()}`.padEnd(64, "!");
    line.send(`\n{ "mode" : "online",\t"cmd":"${cmd}" ,\r\n "type":"presence.set" }  `);
    const { code } = JSON.parse(await line.result(cmd));
    check(code === "ok", `answered ${code}`);
  },

  async "not-reading"(stage) {
    const phone = await stage.driver();
    const before = phone.session.seq;
    phone.wire.socket.pause();
    const orders = [await stage.order(), await stage.order()];
    const stalled = Date.now();
    while (Date.now() - stalled < stage.target.stallMs) {
      phone.signal({ type: "sync" });
      phone.signal({ type: "heartbeat" });
      await pause(500);
    }
    phone.wire?.socket.resume();
    for (const mine of orders) await stage.offered(phone, mine);
    await until(() => phone.phase === "live" && phone.session.seq >= before, "a session that goes on", stage.ms);
    check(phone.closes.every((code) => [4008, 1006].includes(code)), () => `closed ${phone.closes}`);
    await stage.clear(phone);
  },
};
