// node run.js < target.json: one JSON line per scenario, exit code 1 when one fails, 2 when nothing can be said.
//
// target.json: {socket_url, http_url, tokens, position: [lat, lon], merchant_key and store | offer_command,
//   restart_command, only: [names], broken: a word of BROKEN, answer_ms, offer_ms, stall_ms,
//   at: [{name, socket_url}]  (those scenarios, each at that address)}
// With more than two tokens several scenarios are played at once, each by two drivers of its own.

import { text } from "node:stream/consumers";
import { brokenOptions } from "./broken.js";
import { SCENARIOS } from "./list.js";
import { CannotJudge } from "./orders.js";
import { Failed, Stage } from "./stage.js";

const SCENARIO_MS = 120_000;

function targetOf(config) {
  return {
    socketUrl: config.socket_url,
    httpUrl: config.http_url.replace(/\/$/, ""),
    merchantKey: config.merchant_key,
    store: config.store,
    offerCommand: config.offer_command,
    restartCommand: config.restart_command,
    clientOptions: config.broken ? brokenOptions(config.broken) : {},
    answerMs: config.answer_ms ?? 10_000,
    offerMs: config.offer_ms ?? 20_000,
    stallMs: config.stall_ms ?? 20_000,
  };
}

function missing(scenario, target, tokens) {
  if (scenario.offers && !target.merchantKey && !target.offerCommand) return "a way to make offers";
  if (scenario.second && tokens.length < 2) return "a second driver";
  if (scenario.restart && !target.restartCommand) return "a restart command";
  return null;
}

async function judged(scenario, target, tokens, position) {
  const lacks = missing(scenario, target, tokens);
  if (lacks !== null) return { name: scenario.name, ok: true, skipped: true, detail: `needs ${lacks}` };
  const stage = new Stage(target, tokens, position);
  const begun = performance.now();
  let late;
  const deadline = new Promise((_, reject) => {
    late = setTimeout(() => reject(new Failed("it does not end")), SCENARIO_MS);
  });
  let detail = null;
  try {
    const acted = scenario.act(stage);
    acted.catch(() => {});
    await Promise.race([acted, deadline, stage.noticed]);
  } catch (error) {
    if (error instanceof CannotJudge) throw error;
    detail = error instanceof Failed ? error.message : String(error.stack);
  }
  clearTimeout(late);
  stage.end();
  if (stage.broken.length > 0) detail = [...(detail ? [detail] : []), ...stage.broken.slice(0, 3)].join("; ");
  const said = { name: scenario.name, ok: detail === null, detail: detail ?? "", ms: Math.round(performance.now() - begun) };
  return detail === null ? said : { ...said, evidence: stage.evidence };
}

/** Offers reach everyone at the site. Two pairs may work there where an order's offer can be told from another's. */
function lanes(scenarios, tokens, position, target) {
  const count = Math.max(1, Math.floor(tokens.length / 2));
  const atSite = count >= 4 && !target.offerCommand ? 2 : 1;
  const elsewhere = [position[0] + 1, position[1]];
  const shares = Array.from({ length: count }, (_, at) => ({
    tokens: tokens.slice(2 * at, 2 * at + 2),
    position: at < atSite ? position : elsewhere,
    scenarios: [],
  }));
  const least = (some) => some.reduce((one, two) => (two.scenarios.length < one.scenarios.length ? two : one));
  for (const each of scenarios.filter(({ restart }) => !restart))
    least(each.offers || count === 1 ? shares.slice(0, atSite) : shares.slice(atSite)).scenarios.push(each);
  return { shares, restart: scenarios.filter(({ restart }) => restart) };
}

async function main() {
  const config = JSON.parse(await text(process.stdin));
  const target = targetOf(config);
  const byName = new Map(SCENARIOS.map((each) => [each.name, each]));
  let chosen = SCENARIOS.filter(({ name }) => !config.only || config.only.includes(name));
  if (config.at) chosen = config.at.map(({ name, socket_url }) => ({ ...byName.get(name), socketUrl: socket_url }));
  let failed = 0;
  const act = async (scenario, tokens, position) => {
    const socketUrl = scenario.socketUrl ?? target.socketUrl;
    const said = await judged(scenario, { ...target, socketUrl }, tokens, position);
    failed += said.ok ? 0 : 1;
    process.stdout.write(`${JSON.stringify(scenario.socketUrl ? { ...said, socket_url: socketUrl } : said)}\n`);
  };
  const { shares, restart } = lanes(chosen, config.tokens, config.position, target);
  await Promise.all(
    shares.map(async (share) => {
      for (const scenario of share.scenarios) await act(scenario, share.tokens, share.position);
    }),
  );
  for (const scenario of restart) await act(scenario, shares[0].tokens, shares[0].position);
  return failed === 0 ? 0 : 1;
}

main().then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`${error instanceof CannotJudge ? error.message : error.stack}\n`);
    process.exit(2);
  },
);
