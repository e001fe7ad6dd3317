// Facts: counted, acknowledged, and replayed to whoever missed them.

import { check, pause, until } from "./stage.js";

const UNACKNOWLEDGED_MS = 22_000;
const ACK_MS = 1_000;
const resumeOf = ({ session: { sid, epoch, seq } }) => ({ sid, epoch, seq });

/** Every fact up to `to`, once it has come. */
async function replay(stage, resume) {
  const line = await stage.line();
  const { answer } = await line.open({ resume });
  check(answer.type === "resumed" && answer.from === resume.seq, () => `${answer.type} from ${answer.from}`);
  const texts = line.texts.filter((_, at) => line.frames[at].seq <= answer.to);
  check(texts.length === answer.to - answer.from, () => `${texts.length} facts of ${answer.from + 1} … ${answer.to}`);
  return { line, texts, seq: answer.to };
}

export const scenarios = {
  async counted(stage) {
    const phone = await stage.driver();
    const begun = phone.session.seq;
    const orders = [await stage.order(), await stage.order()];
    for (const mine of orders) await stage.offered(phone, mine);
    check(phone.session.seq >= begun + 2, () => `seq ${phone.session.seq} after ${begun} and two offers`);
    const snapshot = await stage.synced(phone);
    check(orders.every((mine) => snapshot.offers.some(mine)), "the snapshot does not have the offers");
    // The client has acknowledged within its second, and is still welcome.
    await pause(ACK_MS);
    await stage.clear(phone);
    check(phone.closes.length === 0, () => `closed ${phone.closes}`);
    const [watch] = stage.watches;
    check(watch.log.some((each) => each.startsWith('> {"type":"ack"')), "the client acknowledged nothing");
  },

  async "ack-ahead"(stage) {
    const phone = await stage.driver();
    await stage.offered(phone, await stage.order());
    phone.signal({ type: "ack", seq: phone.session.seq + 50 });
    await until(() => phone.phase === "stopped", "a stop", stage.ms);
    check(phone.closes.at(-1) === 4500, () => `closed ${phone.closes}`);
  },

  async "replayed-whole"(stage) {
    const phone = await stage.driver({ ack: false });
    await stage.offered(phone, await stage.order());
    const behind = resumeOf(phone);
    phone.cut({ stayAway: true });
    await until(() => phone.phase === "offline", "offline", stage.ms);
    const missed = [await stage.order(), await stage.order()];
    // The first answers are lost on their way, so each time as much is missed again, or more.
    let texts = [];
    for (let lost = 0; lost < 2 || texts.length < 2; lost += 1) {
      check(lost < 50, "the facts of two orders did not come");
      const again = await replay(stage, behind);
      check(texts.every((text, at) => text === again.texts[at]), "another replay of the same facts");
      texts = again.texts;
      again.line.wire.cut();
      await pause(lost * 10);
    }
    await stage.live(phone);
    for (const mine of missed) await stage.offered(phone, mine);
    check(phone.session.sid === behind.sid, "another session");
    // A second loss.
    phone.cut({ stayAway: true });
    await until(() => phone.phase === "offline", "offline", stage.ms);
    const more = await stage.order();
    await stage.live(phone);
    await stage.offered(phone, more);
    check(phone.session.sid === behind.sid, "another session");
    await stage.clear(phone);
  },

  async "acknowledged-is-gone"(stage) {
    const phone = await stage.driver({ ack: false });
    const begun = resumeOf(phone);
    const orders = [await stage.order(), await stage.order()];
    for (const mine of orders) await stage.offered(phone, mine);
    phone.signal({ type: "ack", seq: phone.session.seq });
    await stage.synced(phone);
    const held = resumeOf(phone);
    phone.cut({ stayAway: true });
    await until(() => phone.phase === "offline", "offline", stage.ms);
    const { texts, line } = await replay(stage, held);
    check(!texts.some((text) => JSON.parse(text).seq <= held.seq), "acknowledged facts are replayed");
    line.wire.cut();
    const asked = await stage.line();
    const { answer, behind } = await asked.open({ resume: begun });
    check(answer.type === "reset" && answer.reason === "too_old", () => `${answer.type} ${answer.reason}`);
    check(orders.every((mine) => behind.offers.some(mine)), "the snapshot does not have the offers");
    asked.wire.cut();
    await stage.clear(await stage.phone());
  },

  async "going-online"(stage) {
    const phone = await stage.driver();
    const mine = await stage.order();
    await stage.offered(phone, mine);
    await stage.ok(phone, { type: "presence.set", mode: "offline" });
    phone.stop();
    const later = await stage.phone();
    check(!later.offers.some(mine), "an offer on the screen of one who is offline");
    await stage.ok(later, { type: "presence.set", mode: "online" });
    await stage.offered(later, mine);
    check(
      later.heard.some(({ frame }) => frame.type === "offer.open" && mine(frame)),
      "not an offer.open",
    );
    await stage.clear(later);
  },

  async unacknowledged(stage) {
    const phone = await stage.driver({ ack: false });
    const mine = await stage.order();
    await stage.offered(phone, mine);
    const end = Date.now() + UNACKNOWLEDGED_MS;
    while (phone.closes.length === 0 && Date.now() < end) {
      phone.signal({ type: "sync" });
      await pause(600);
    }
    check(phone.closes[0] === 4008, () => `closed ${phone.closes}`);
    await until(() => phone.phase === "live", "it comes back", stage.ms);
    check(phone.offers.some(mine), "the offer is lost");
    await stage.clear(phone);
  },
};
