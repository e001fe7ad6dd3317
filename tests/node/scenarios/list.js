// All scenarios, and what each needs besides a driver.

import { scenarios as commands } from "./commands.js";
import { scenarios as connect } from "./connect.js";
import { scenarios as facts } from "./facts.js";
import { scenarios as frames } from "./frames.js";
import { scenarios as offers } from "./offers.js";
import { scenarios as phones } from "./phones.js";
import { scenarios as session } from "./session.js";
import { scenarios as twin } from "./twin.js";

const OFFERS = new Set(["not-reading", ...Object.keys(facts), ...Object.keys(offers)]);
const SECOND = new Set(["resume-of-another", "drivers-apart", "one-winner", "dead-offer"]);

export const SCENARIOS = Object.entries({
  ...connect, ...frames, ...session, ...facts, ...phones, ...offers, ...commands, ...twin,
}).map(([name, act]) => ({ name, act, offers: OFFERS.has(name), second: SECOND.has(name), restart: name === "restart" })); // prettier-ignore
