// The REST API, as the person whose token is chosen.

export class Refused extends Error {
  constructor(status, body) {
    const error = body?.error ?? {};
    const details = error.details ?? {};
    const numbers = Object.entries(details).map(([name, value]) => `${name} ${value}`);
    const text = error.reason ?? error.message ?? `status ${status}`;
    super(numbers.length ? `${text} (${numbers.join(", ")})` : text);
    this.status = status;
    this.code = error.code;
    this.details = details;
  }
}

export class Api {
  token = null;

  get(path) {
    return this.#call("GET", path);
  }

  post(path, body) {
    return this.#call("POST", path, body);
  }

  remove(path) {
    return this.#call("DELETE", path);
  }

  async #call(method, path, body) {
    const headers = {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (body) headers["Content-Type"] = "application/json";
    const sent = body && JSON.stringify(body);
    const response = await fetch(`/api/v1${path}`, { method, headers, body: sent });
    const answer = await response.json().catch(() => null);
    if (!response.ok) throw new Refused(response.status, answer);
    return answer;
  }
}
