// Listens to one socket and holds it to what every scenario is held to: shapes, seq without gap, one answer a command.

import { FACTS } from "../client/index.js";
import { misshapen } from "./shapes.js";

export class Watch {
  constructor(broken) {
    this.broken = broken;
    this.seq = null;
    this.upTo = null;
    this.asked = new Map();
    this.log = [];
  }

  sent(data) {
    const frame = parsed(data);
    this.log.push(`> ${String(data).slice(0, 300)}`);
    if (typeof frame?.cmd === "string") this.asked.set(frame.cmd, (this.asked.get(frame.cmd) ?? 0) + 1);
  }

  heard(text, binary) {
    this.log.push(`< ${text.slice(0, 300)}`);
    const frame = binary ? null : parsed(text);
    const what = frame === null ? "a frame that is not JSON" : misshapen(frame);
    if (what !== null) return this.broken(what);
    if (frame.type === "welcome" || frame.type === "reset") this.seq = frame.seq;
    else if (frame.type === "resumed") [this.seq, this.upTo] = [frame.from, frame.to];
    else if (frame.type === "live" && this.seq !== this.upTo)
      this.broken(`live at seq ${this.seq} where resumed promised ${this.upTo}`);
    else if (frame.type === "snapshot" && frame.seq !== this.seq)
      this.broken(`a snapshot of seq ${frame.seq} after seq ${this.seq}`);
    else if (FACTS.has(frame.type)) {
      if (frame.seq !== this.seq + 1) this.broken(`seq ${frame.seq} after ${this.seq}`);
      this.seq = frame.seq;
    } else if (frame.type === "result") {
      const left = this.asked.get(frame.cmd) ?? 0;
      if (left === 0) this.broken(`an answer nobody waits for: ${frame.code}`);
      this.asked.set(frame.cmd, left - 1);
    }
  }
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
