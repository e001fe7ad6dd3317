// Clients that are wrong in one way: what is judged must find them out.

import { CommandQueue } from "../client/commands.js";
import { Session } from "../client/session.js";

const BROKEN = {
  /** Does not ask what became of a command, and says it again under another name: two decisions instead of one. */
  "renames-repeats": () => {
    CommandQueue.prototype.unacked = () => [];
    const next = CommandQueue.prototype.next;
    const sent = new Map();
    CommandQueue.prototype.next = function () {
      const entry = next.call(this);
      if (entry === null) return null;
      const times = (sent.get(entry.cmd) ?? 0) + 1;
      sent.set(entry.cmd, times);
      return times === 1 ? entry : { ...entry, text: entry.text.replace(entry.cmd, `${times}-${entry.cmd}`) };
    };
    return {};
  },
  /** Never acknowledges. */
  "never-acknowledges": () => ({ ack: false }),
  /** Begins anew each time. */
  "never-resumes": () => {
    const hello = Session.prototype.hello;
    Session.prototype.hello = function () {
      return { ...hello.call(this), resume: null };
    };
    return {};
  },
  /** Asks to go on behind a fact it never had. */
  miscounts: () => {
    const hello = Session.prototype.hello;
    Session.prototype.hello = function () {
      const asked = hello.call(this);
      if (asked.resume) asked.resume.seq += 1;
      return asked;
    };
    return {};
  },
};

export function brokenOptions(name) {
  if (!Object.hasOwn(BROKEN, name)) throw new Error(`not one of ${Object.keys(BROKEN)}`);
  return BROKEN[name]();
}
