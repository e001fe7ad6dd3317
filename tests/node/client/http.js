// What goes by HTTP: log-in, refresh, a browser's ticket, and commands when no socket can be had.

import { randomUUID } from "node:crypto";
import { fullJitter } from "./backoff.js";

export class HttpError extends Error {
  constructor(status, problem) {
    super(`HTTP ${status} ${problem.code ?? ""}`);
    this.status = status;
    this.code = problem.code;
    this.problem = problem;
  }
}

export async function request(base, method, path, { token, body, headers = {}, timeoutMs = 10_000 } = {}) {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: {
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    signal: AbortSignal.timeout(timeoutMs),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

async function asked(...request_) {
  const { status, text } = await request(...request_);
  let said = {};
  try {
    said = text ? JSON.parse(text) : {};
  } catch {
    // A proxy's page.
  }
  if (status >= 400) throw new HttpError(status, said);
  return said;
}

export const askForCode = (base, body) => asked(base, "POST", "/v1/driver/login/code", { body });
export const logIn = (base, body) => asked(base, "POST", "/v1/driver/login", { body });
export const logOut = (base, token) => asked(base, "POST", "/v1/driver/logout", { token });
export const ticket = (base, token) => asked(base, "POST", "/v1/driver/ticket", { token });

/** An access token, and where there is a refresh token the way to the next one. The attempt is kept before it is sent. */
export class Credentials {
  constructor(store, base, { accessToken } = {}) {
    this.store = store;
    this.base = base;
    if (accessToken) store.set("tokens", { access_token: accessToken });
  }

  get accessToken() {
    return this.store.get("tokens").access_token;
  }

  /** True when there is a new access token. One at a time. */
  async refresh() {
    const held = this.store.get("tokens");
    if (!held.refresh_token) return false;
    const attempt = this.store.get("attempt") ?? randomUUID();
    this.store.set("attempt", attempt);
    const body = { refresh_token: held.refresh_token, attempt };
    const next = await asked(this.base, "POST", "/v1/driver/refresh", { body });
    this.store.set("tokens", next);
    this.store.set("attempt", null);
    return true;
  }
}

/** The twin of one command frame: {text, result} once it is decided; whatever else comes is tried again or thrown. */
export async function postCommand(base, { credentials, deviceId, text, attempts = 5, sleep = pause, random }) {
  for (let n = 0; ; n += 1) {
    let answer = null;
    try {
      answer = await request(base, "POST", "/v1/driver/commands", {
        token: credentials.accessToken,
        body: text,
        headers: { "Flexlive-Device": deviceId },
      });
    } catch (error) {
      if (n + 1 >= attempts) throw error;
    }
    if (answer?.status === 200) return { text: answer.text, result: JSON.parse(answer.text) };
    if (n + 1 >= attempts) throw new HttpError(answer.status, problem(answer));
    if (answer === null || answer.status >= 500) await sleep(fullJitter(n, { random }));
    else if (answer.status === 429) await sleep(1_000 * Number(answer.headers.get("retry-after") ?? 1));
    else if (problem(answer).code === "token_expired" && (await credentials.refresh())) continue;
    else throw new HttpError(answer.status, problem(answer));
  }
}

function problem(answer) {
  try {
    return JSON.parse(answer.text);
  } catch {
    return {};
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
