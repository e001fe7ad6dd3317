// Offers on your screen: declined, won, raced for, and dead on return.

import { check, until } from "./stage.js";

const accept = ({ offer_id, offer_version }) => ({ type: "offer.accept", offer_id, offer_version });

export const scenarios = {
  async declined(stage) {
    const phone = await stage.driver();
    const mine = await stage.order();
    const offer = await stage.offered(phone, mine);
    phone.signal({ type: "offer.seen", offer_id: offer.offer_id, rendered_at: new Date().toISOString() });
    const stale = await stage.done(phone.command({ ...accept(offer), offer_version: 1_000 }), "an answer");
    const present = phone.offers.find(mine)?.offer_version;
    check(stale.code === "conflict", () => `a stale version is answered ${stale.code}`);
    check(stale.current?.offer_version === present, () => `${JSON.stringify(stale.current)}, on the screen ${present}`);
    await stage.ok(phone, { type: "offer.decline", offer_id: offer.offer_id, reason: "too_far" });
    // A snapshot right behind the answer may still have it: the app remembers, later ones do not mention it.
    const end = Date.now() + stage.ms;
    for (let shown = true; shown; ) {
      shown = (await stage.synced(phone)).offers.some(mine);
      check(!phone.offers.some(mine) && Date.now() < end, "a declined offer is shown again");
    }
    phone.stop();
    const anew = await stage.phone();
    check(!anew.heard.some(({ frame }) => frame.offers?.some(mine)), "a declined offer is shown to the next session");
  },

  async won(stage) {
    const phone = await stage.driver();
    const mine = await stage.order();
    const offer = await stage.offered(phone, mine);
    for (let times = 0; times < 2; times += 1) {
      const { code } = await stage.done(phone.command(accept(offer)), "an answer");
      check(code === "won", () => `answered ${code}`);
    }
    const route = () => [...phone.board.routes.values()].find((each) => each.offer_id === offer.offer_id);
    await until(route, "a route", stage.ms);
    check(!phone.offers.some(mine), "the offer is still on the screen");
    const snapshot = await stage.synced(phone);
    check(!snapshot.offers.some(mine), "the snapshot has the offer");
    check(snapshot.routes.some(({ route_id }) => route_id === route().route_id), "the snapshot does not have the route");
    await stage.ok(phone, { type: "route.forfeit", route_id: route().route_id, reason: "other" });
    await until(() => !route(), "the route ends", stage.ms);
  },

  async "one-winner"(stage) {
    const phones = [await stage.driver(), await stage.driver({ driver: 1 })];
    const mine = await stage.order();
    const offers = [];
    for (const phone of phones) offers.push(await stage.offered(phone, mine));
    const results = await Promise.all(
      phones.map((phone, at) => stage.done(phone.command(accept(offers[at])), "an answer")),
    );
    const codes = results.map((each) => each.code);
    check([...codes].sort().join() === "taken,won", () => `answered ${codes}`);
    const [winner, loser] = codes[0] === "won" ? phones : [...phones].reverse();
    const { offer_id } = offers[0];
    const gone = (phone) => phone.heard.find(({ frame }) => frame.type === "offer.gone" && frame.offer_id === offer_id);
    await until(() => gone(loser), "offer.gone for the other", stage.ms);
    check(gone(loser).frame.reason === "taken", gone(loser).frame.reason);
    check(!(await stage.synced(loser)).offers.some(mine), "the other's snapshot has the offer");
    check(!gone(winner), "the winner gets no offer.gone");
    await until(() => winner.board.routes.size > 0, "the winner's route", stage.ms);
    await Promise.all(phones.map((phone) => stage.clear(phone)));
  },

  async "dead-offer"(stage) {
    const [away, here] = [await stage.driver(), await stage.driver({ driver: 1 })];
    const mine = await stage.order();
    await stage.offered(away, mine);
    away.cut({ stayAway: true });
    const { code } = await stage.done(here.command(accept(await stage.offered(here, mine))), "an answer");
    check(code === "won", () => `answered ${code}`);
    await until(() => here.board.routes.size > 0, "the route", stage.ms);
    const { sid } = away.session;
    await stage.live(away);
    check(away.session.sid === sid, "the session was not resumed");
    await until(() => !away.offers.some(mine), "the card goes", stage.ms);
    check(!(await stage.synced(away)).offers.some(mine), "the snapshot has a dead offer");
    await Promise.all([away, here].map((phone) => stage.clear(phone)));
  },
};
