// Work for the drivers: an order of a merchant's, or whatever a command of the operator's makes.

import { exec } from "node:child_process";
import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import { request } from "../client/index.js";

export class CannotJudge extends Error {}

const CLOCKS_MS = 2_000;
const taken = new Set();
let tips = 0;

/** A command does not say which offer it made: the first that nobody else took for his. */
function firstOf(like) {
  let mine = null;
  return (offer) => {
    if (mine === null && !taken.has(offer.offer_id) && like(offer)) taken.add((mine = offer.offer_id));
    return offer.offer_id === mine;
  };
}

/** Has one offer made; the answer tells that offer from others. */
export async function order({ target, position }) {
  if (target.offerCommand) {
    const begun = Date.now() - CLOCKS_MS;
    await shell(target.offerCommand);
    return firstOf((offer) => Date.parse(offer.opened_at) >= begun);
  }
  const tip = 101 + (tips += 1);
  const { status, text } = await request(target.httpUrl, "POST", "/v1/deliveries", {
    token: target.merchantKey,
    body: {
      external_delivery_id: `node-${randomUUID()}`,
      external_store_id: target.store,
      service_level: "express",
      dropoff_address: "1 Elm St",
      dropoff_lat: position[0] + 0.018,
      dropoff_lon: position[1],
      contact_name: "Ana",
      tip_cents: tip,
      packages: [{ size: "small", weight_grams: 800 }],
    },
  });
  if (status !== 201) throw new CannotJudge(`no order could be placed: HTTP ${status} ${text.slice(0, 200)}`);
  return (offer) => offer.pay.tip_cents === tip;
}

export async function shell(command) {
  try {
    await promisify(exec)(command, { timeout: 120_000 });
  } catch (error) {
    throw new CannotJudge(`the command ended with ${error.code}: ${String(error.stdout).trim().slice(0, 200)}`);
  }
}
