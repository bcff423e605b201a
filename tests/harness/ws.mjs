// A client with the package "ws": one connection with the compression that it is told to offer. It sends requests
// in every form that the package has, and says what it saw, one JSON text a line.

import { createHash } from "node:crypto";
import WebSocket from "ws";

const [url, compression] = process.argv.slice(2);
const socket = new WebSocket(url, { perMessageDeflate: JSON.parse(compression) });
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const event = (name) => new Promise((done) => socket.once(name, (...values) => done(values)));
const request = (id, size) =>
  JSON.stringify({ id, method: "server.ping", params: ["x".repeat(size)] });

socket.on("error", (error) => say({ error: error.message }));
socket.on("close", (code, reason) => say({ close: code, reason: reason.toString() }));
await event("open");
say({ extensions: socket.extensions });

for (const size of [0, 1, 125]) {
  const payload = Buffer.alloc(size, 0xfe);
  const pong = event("pong");
  socket.ping(payload);
  const [seen] = await pong;
  say({ pong: seen.equals(payload) });
}

let id = 0;
for (const size of [0, 100, 5_000, 65_536]) {
  const text = request((id += 1), size);
  for (const form of [text, Buffer.from(text)]) {
    const answer = event("message");
    socket.send(form);
    say({ id, answer: JSON.parse((await answer)[0].toString()) });
  }
  const answer = event("message");
  // Three fragments, with a ping between two of them.
  const third = Math.ceil(text.length / 3);
  socket.send(text.slice(0, third), { fin: false });
  socket.send(text.slice(third, 2 * third), { fin: false });
  socket.ping();
  socket.send(text.slice(2 * third), { fin: true });
  say({ id, answer: JSON.parse((await answer)[0].toString()) });
}

socket.on("message", (data) => {
  say({ pushed: data.length, digest: createHash("sha256").update(data).digest("hex") });
});
const answer = event("message");
socket.send(JSON.stringify({ id: 1, method: "price.subscribe", params: ["X"] }));
await answer;

// What is pushed is said until the other side has seen enough.
process.stdin.once("data", () => socket.close(4_000, "seen enough"));
