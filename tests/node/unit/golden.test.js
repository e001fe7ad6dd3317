// The golden transcripts: given what the server said, the client asks to go on from the same fact, and knows the same.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { advice, fullJitter, repeatAfter, Session } from "../client/index.js";

const FOLDER = new URL("../../golden/", import.meta.url);
const lines = (name) => readFileSync(new URL(name, FOLDER), "utf8").trim().split("\n").map((line) => JSON.parse(line));

class Phone {
  session = new Session();
  commands = new Map();
  remembers = true;
  /** Closed for good: what comes later is for the developers only. */
  stopped = false;

  said(frame) {
    if (frame.type === "hello") {
      const { resume } = this.session.hello();
      if (frame.resume && this.remembers) assert.deepEqual(resume, frame.resume);
      this.remembers = true;
    } else if (frame.cmd && !this.commands.has(frame.cmd)) this.commands.set(frame.cmd, frame);
  }

  heard(frame) {
    if (this.stopped) return;
    for (const [kind, results] of this.session.take(frame)) {
      assert.notEqual(kind, "hole");
      if (kind === "answers") results.forEach((result) => this.answered(result));
    }
  }

  answered(result) {
    const command = this.commands.get(result.cmd);
    if (command) this.session.board.answered(command, result);
  }
}

for (const name of readdirSync(FOLDER).filter((each) => each.endsWith(".jsonl")))
  test(`transcript ${name}`, () => {
    const phones = new Map();
    for (const { at, event, direction, frame, answer, ...more } of lines(name)) {
      if (at && !phones.has(at)) phones.set(at, new Phone());
      const phone = phones.get(at);
      if (direction === "client→server" && frame) phone.said(frame);
      else if (direction === "server→client") phone.heard(frame);
      else if (event === "meant") phone.commands.set(frame.cmd, frame);
      else if (event === "posts") {
        phone.said(frame);
        phone.answered(answer);
      } else if (event === "closed" && !advice(more.code).retry) phone.stopped = true;
      else if (event === "misremembers") phone.remembers = false;
      else if (event === "knows") {
        const { board } = phone.session;
        const knows = { presence: board.presence, offers: [...board.offers.keys()], routes: [...board.routes.keys()] };
        assert.deepEqual(knows, more);
      }
    }
  });

test("full jitter keeps to its bounds", () => {
  for (const [n, most] of [[0, 250], [1, 500], [5, 8_000], [6, 15_000], [1_000, 15_000]]) {
    assert.equal(fullJitter(n, { random: () => 0 }), 0);
    assert.equal(fullJitter(n, { random: () => 1 }), most);
  }
  assert.equal(repeatAfter(2, { random: () => 1 }), 9_000);
});
