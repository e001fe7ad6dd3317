// What must outlive the app: device_id, inbox_seq, commands without an answer, and the log-in.

import { readFileSync, renameSync, writeFileSync } from "node:fs";

/** For tests and for apps that keep things elsewhere. */
export class MemoryStore {
  constructor(values = {}) {
    this.values = { ...values };
  }

  get(key, missing) {
    return this.values[key] ?? missing;
  }

  set(key, value) {
    this.values[key] = value;
    this.write();
  }

  write() {}
}

/** One JSON file, replaced as a whole. */
export class FileStore extends MemoryStore {
  constructor(path) {
    super(read(path));
    this.path = path;
  }

  write() {
    const next = `${this.path}.next`;
    writeFileSync(next, JSON.stringify(this.values), { mode: 0o600, flush: true });
    renameSync(next, this.path);
  }
}

function read(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return {};
    throw error;
  }
}
