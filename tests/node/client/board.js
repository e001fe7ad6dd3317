// What the driver sees: offers, routes, presence. Facts may repeat a snapshot, so everything is applied by version.

const ENDS_OFFER = new Set(["won", "taken", "lost", "expired", "withdrawn"]);

export class Board {
  constructor() {
    this.presence = "offline";
    this.offers = new Map();
    this.routes = new Map();
    this.deliveries = new Map();
    this.etas = new Map();
    this.queues = new Map();
    this.over = new Set();
    this.ended = new Set();
  }

  replace(snapshot) {
    this.presence = snapshot.presence;
    this.offers = new Map(
      snapshot.offers.filter((each) => !this.over.has(each.offer_id)).map((each) => [each.offer_id, each]),
    );
    this.routes = new Map(
      snapshot.routes.filter((each) => !this.ended.has(each.route_id)).map((each) => [each.route_id, each]),
    );
  }

  /** A new connection begins without any state messages. */
  forgetState() {
    this.etas.clear();
    this.queues.clear();
  }

  apply(message) {
    const { seq: _seq, type, ...body } = message;
    switch (type) {
      case "offer.open":
      case "offer.update":
        if (this.over.has(body.offer_id)) return;
        if (body.offer_version >= (this.offers.get(body.offer_id)?.offer_version ?? 0))
          this.offers.set(body.offer_id, body);
        return;
      case "offer.gone":
      case "offer.decided":
        this.remove(body.offer_id);
        return;
      case "route.update":
        if (body.offer_id) this.remove(body.offer_id);
        if (body.version < (this.routes.get(body.route_id)?.version ?? 0)) return;
        if (body.status === "active" && !this.ended.has(body.route_id)) this.routes.set(body.route_id, body);
        else {
          this.ended.add(body.route_id);
          this.routes.delete(body.route_id);
        }
        return;
      case "delivery.update":
        if (body.version >= (this.deliveries.get(body.delivery_id)?.version ?? 0))
          this.deliveries.set(body.delivery_id, body);
        return;
      case "eta.update":
        this.etas = new Map([[body.stop_id, body]]);
        return;
      case "queue.update":
        this.queues.set(body.site_id, body);
        return;
      default:
    }
  }

  /** What the answer to a command of ours means for the screen. */
  answered(command, result) {
    if (command.type === "offer.accept" && ENDS_OFFER.has(result.code)) this.remove(command.offer_id);
    if (command.type === "offer.decline" && result.code === "ok") this.remove(command.offer_id);
  }

  remove(offerId) {
    this.over.add(offerId);
    this.offers.delete(offerId);
  }
}
