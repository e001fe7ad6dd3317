// How long to wait before the next attempt: full jitter, so that phones which lost one server do not come back as one.

export const MAX_MS = 15_000;

/** A random time between 0 and min(15 s, first × 2^n). */
export function fullJitter(n, { firstMs = 250, maxMs = MAX_MS, random = Math.random } = {}) {
  return random() * Math.min(maxMs, firstMs * 2 ** Math.min(n, 32));
}

/** When to say a command again that was not answered: 5 s, plus a random 0 … min(15 s, 1 s × 2^n). */
export function repeatAfter(n, { answerMs = 5_000, random = Math.random } = {}) {
  return answerMs + fullJitter(n, { firstMs: 1_000, random });
}
