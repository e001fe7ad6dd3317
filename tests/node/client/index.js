export { fullJitter, repeatAfter } from "./backoff.js";
export { advice } from "./close_codes.js";
export { DriverClient } from "./driver_client.js";
export { askForCode, Credentials, HttpError, logIn, logOut, postCommand, request, ticket } from "./http.js";
export { FACTS, Session } from "./session.js";
export { FileStore, MemoryStore } from "./store.js";
export { SUBPROTOCOL, Wire } from "./wire.js";
