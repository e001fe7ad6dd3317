// The same by HTTP, and a server that stops.

import { randomUUID } from "node:crypto";
import { postCommand, Credentials, MemoryStore } from "../client/index.js";
import { shell } from "./orders.js";
import { check, until } from "./stage.js";

const RESTART_MS = 60_000;
const presence = (cmd, mode = "online") => ({ type: "presence.set", cmd, mode });

const posted = (stage, message, headers = { "Flexlive-Device": stage.devices[0] }, token = stage.tokens[0]) =>
  stage.http("POST", "/v1/driver/commands", { body: message, headers, token });

function refused(answer, status, code) {
  const said = JSON.parse(answer.text);
  check(answer.status === status && said.code === code, () => `HTTP ${answer.status} ${said.code}, not ${status} ${code}`);
  check(answer.headers.get("content-type").startsWith("application/problem+json"), "not problem+json");
}

export const scenarios = {
  async twin(stage) {
    const line = await stage.line();
    await line.open();
    for (const order of ["socket", "http", "both"]) {
      const message = presence(randomUUID());
      const bySocket = () => (line.send(message), line.result(message.cmd));
      const byHttp = async () => {
        const { status, text } = await posted(stage, message);
        check(status === 200, () => `HTTP ${status} ${text}`);
        return text;
      };
      let answers;
      if (order === "socket") answers = [await bySocket(), await byHttp()];
      else if (order === "http") answers = [await byHttp(), await bySocket()];
      else answers = await Promise.all([bySocket(), byHttp()]);
      check(answers[0] === answers[1], () => `${order} first: ${answers.join(" and ")}`);
      check(JSON.parse(answers[0]).code === "ok", answers[0]);
    }
    line.wire.cut();
    // The client without a socket.
    const phone = await stage.phone({ started: false });
    const answer = phone.command(presence(randomUUID()));
    await phone.commandsByHttp();
    check((await stage.done(answer, "an answer by HTTP")).code === "ok", "not ok");
  },

  async "twin-refuses"(stage) {
    const cmd = randomUUID();
    const text = JSON.stringify(presence(cmd));
    const credentials = new Credentials(new MemoryStore(), stage.target.httpUrl, { accessToken: stage.tokens[0] });
    await postCommand(stage.target.httpUrl, { credentials, deviceId: stage.devices[0], text });
    const other = JSON.parse((await posted(stage, presence(cmd, "offline"))).text);
    check(other.code === "conflict" && !("current" in other), () => JSON.stringify(other));
    refused(await posted(stage, { type: "heartbeat" }), 400, "invalid");
    refused(await posted(stage, { cmd }), 400, "invalid");
    refused(await posted(stage, text, {}), 400, "invalid");
    refused(await posted(stage, text, undefined, null), 401, "unauthorized");
  },

  async restart(stage) {
    const phone = await stage.phone();
    const { epoch } = phone.session;
    const drained = () => phone.heard.find(({ frame }) => frame.type === "drain");
    const [stopped] = await Promise.all([
      until(() => drained() && phone.closes.length > 0, "drain, and a close", RESTART_MS),
      shell(stage.target.restartCommand),
    ]);
    check(stopped && phone.closes[0] === 4001, () => `closed ${phone.closes}`);
    const unanswered = phone.command(presence(randomUUID()));
    await until(() => phone.phase === "live", "it comes back", RESTART_MS);
    const back = phone.heard.findLast(({ frame }) => ["resumed", "reset", "welcome"].includes(frame.type)).frame;
    check(back.type === (phone.session.epoch === epoch ? "resumed" : "reset"), back.type);
    check((await stage.done(unanswered, "the answer")).code === "ok", "not ok");
  },
};
