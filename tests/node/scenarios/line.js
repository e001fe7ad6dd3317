// A raw socket for what a right client never says: frames go out as written, what comes is looked at one by one.

import { check, until } from "./stage.js";

export class Line {
  constructor(stage, wire, device) {
    this.stage = stage;
    this.wire = wire;
    this.device = device;
    this.frames = [];
    this.texts = [];
    this.at = 0;
    wire.on("frame", (frame, text) => {
      this.frames.push(frame);
      this.texts.push(text);
    });
  }

  async connected() {
    await until(() => this.wire.isOpen || this.wire.code !== null, "a handshake", this.stage.ms);
  }

  send(frame, options) {
    check(this.wire.send(frame, options), `the socket is closed: ${this.wire.code}`);
  }

  hello(more = {}) {
    return { type: "hello", app_version: "1.0", device_id: this.device, position: this.stage.point(), ...more };
  }

  /** Opens a session; the answer to hello, and the snapshot if there is one. */
  async open(more = {}) {
    this.send(this.hello(more));
    const answer = await this.next((frame) => ["welcome", "reset", "resumed"].includes(frame.type), "an answer to hello");
    const behind = await this.next(
      (frame) => frame.type === (answer.type === "resumed" ? "live" : "snapshot"),
      "the session open",
    );
    return { answer, behind, text: this.texts[this.frames.indexOf(answer)] };
  }

  /** The next frame like this, behind those that were looked at. */
  async next(like, told, ms = this.stage.ms) {
    await until(
      () => {
        while (this.at < this.frames.length) if (like(this.frames[this.at++])) return true;
        return this.wire.code !== null && this.at >= this.frames.length;
      },
      told,
      ms,
    );
    const frame = this.frames[this.at - 1];
    check(frame !== undefined && like(frame), () => `closed ${this.wire.code} instead of ${told}`);
    return frame;
  }

  type(type, ms) {
    return this.next((frame) => frame.type === type, type, ms);
  }

  /** The result's text, byte for byte. */
  async result(cmd) {
    await this.next((frame) => frame.type === "result" && frame.cmd === cmd, `the result of ${cmd}`);
    return this.texts[this.at - 1];
  }

  async command(message) {
    this.send(message);
    return JSON.parse(await this.result(message.cmd));
  }

  /** Still there, and still answering. */
  async alive() {
    this.send({ type: "sync" });
    return this.type("snapshot");
  }

  async closed(codes, ms = this.stage.ms) {
    await until(() => this.wire.code !== null, `close ${codes}`, ms);
    check([codes].flat().includes(this.wire.code), () => `closed ${this.wire.code}, not ${codes}`);
  }
}
