// Session: opening, asking for all of it, going on where the last socket stopped.

import { randomUUID } from "node:crypto";
import { check, until } from "./stage.js";

const OPENERS = ["welcome", "reset", "resumed"];
const NOBODY = "A".repeat(43);

async function answered(stage, resume, type, reason) {
  const line = await stage.line();
  const { answer } = await line.open({ resume });
  check(answer.type === type && answer.reason === reason, () => `${answer.type} ${answer.reason}`);
  return answer;
}

const last = (phone, type) => phone.heard.findLast(({ frame }) => frame.type === type)?.frame;
const resume = ({ session: { sid, epoch, seq } }) => ({ sid, epoch, seq });

export const scenarios = {
  async welcome(stage) {
    const phone = await stage.phone();
    const [first, second] = phone.heard.map(({ frame }) => frame);
    check(first.type === "welcome" && second.type === "snapshot", () => `${first.type}, ${second.type}`);
    check(first.seq === second.seq, () => `seq ${first.seq}, ${second.seq}`);
    const { frame_bytes_max, points_max, commands_burst_per_second, commands_per_minute } = first.limits;
    check(frame_bytes_max === 16_384 && points_max === 100, () => JSON.stringify(first.limits));
    check(commands_burst_per_second === 10 && commands_per_minute === 120, () => JSON.stringify(first.limits));
    check(first.limits.ack_delay_seconds_max === 1, () => JSON.stringify(first.limits));
    check(first.sid.length <= 64 && first.epoch.length <= 64, "sid and epoch are at most 64 characters");
    check(Math.abs(Date.parse(first.server_time) - Date.now()) < 3_600_000, first.server_time);
    check(first.heartbeat_seconds > 0 && first.resume_window_seconds > 0, "times above zero");
  },

  async "sessions-differ"(stage) {
    const seen = [];
    for (let n = 0; n < 3; n += 1) seen.push((await (await stage.line()).open()).answer);
    check(new Set(seen.map((each) => each.sid)).size === 3, "a sid came twice");
    check(new Set(seen.map((each) => each.epoch)).size === 1, "the epoch changed");
  },

  async sync(stage) {
    const phone = await stage.phone();
    const { seq } = await stage.synced(phone);
    check(seq === phone.session.seq, () => `seq ${seq}, ours is ${phone.session.seq}`);
  },

  async "commands-behind-hello"(stage) {
    const line = await stage.line();
    const cmds = [1, 2, 3].map(() => randomUUID());
    line.send(line.hello());
    for (const cmd of cmds) line.send({ type: "presence.set", cmd, mode: "online" });
    for (const cmd of cmds) await line.result(cmd);
    const types = line.frames.map((each) => each.type);
    check(types.indexOf("snapshot") < types.indexOf("result"), "an answer before the session was open");
  },

  async resume(stage) {
    const phone = await stage.phone();
    const { sid } = phone.session;
    for (let times = 1; times <= 3; times += 1) {
      phone.cut();
      const answers = () => phone.heard.map(({ frame }) => frame.type).filter((type) => OPENERS.includes(type));
      await until(() => answers().length > times && phone.phase === "live", "open again", stage.ms);
      check(answers().at(-1) === "resumed", () => `${answers().at(-1)} instead of resumed`);
    }
    check(phone.session.sid === sid, "another sid");
    await stage.synced(phone);
  },

  async "resume-of-nothing"(stage) {
    const { epoch } = (await (await stage.line()).open()).answer;
    await answered(stage, { sid: NOBODY, epoch, seq: 0 }, "reset", "unknown_session");
    await answered(stage, { sid: NOBODY, epoch: "0".repeat(32), seq: 0 }, "reset", "other_epoch");
  },

  async "resume-ahead"(stage) {
    const phone = await stage.phone();
    phone.session.seq += 5;
    phone.cut();
    await until(() => last(phone, "reset") && phone.phase === "live", "reset", stage.ms);
    check(last(phone, "reset").reason === "too_old", last(phone, "reset").reason);
  },

  async "resume-of-another"(stage) {
    const phone = await stage.phone({ driver: 1 });
    const answer = await answered(stage, resume(phone), "reset", "unknown_session");
    check(answer.sid !== phone.session.sid, "the other's sid");
    await stage.synced(phone);
  },

  async "nothing-is-lost-in-hello"(stage) {
    const line = await stage.line();
    line.send(line.hello({ device_id: "with a space" }));
    await line.type("error");
    await line.open();
    await line.alive();
  },
};
