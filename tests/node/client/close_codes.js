// What a close code asks of the app. The range decides; a few codes add something.

const STOPS = {
  4500: "protocol_violation",
  4501: "bad_frames",
  4503: "log_in",
  4509: "ask_driver",
  4526: "update_app",
  4530: "deactivated",
};
const RETURNS = {
  4000: "internal",
  4001: "restart",
  4008: "slow_consumer",
  4009: "heartbeat_missed",
  4029: "rate_limited",
  4401: "token_expired",
};

/** {retry: by itself?, refresh: a new access token first?, drain: wait as the drain said?, dropFrame, reason} */
export function advice(code) {
  const stop = code >= 4500 && code <= 4999;
  return {
    retry: !stop,
    refresh: code === 4401,
    drain: code === 4001,
    dropFrame: code === 1007 || code === 1009,
    reason: stop ? (STOPS[code] ?? "stop") : (RETURNS[code] ?? "network"),
  };
}
