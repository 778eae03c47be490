// Node as a system under test has it: undici's fetch through its ProxyAgent. Reads one JSON task, writes the replies.
import { readFileSync } from "node:fs";
import { ProxyAgent, fetch } from "undici";

const task = JSON.parse(readFileSync(0, "utf8"));
const dispatcher = new ProxyAgent({
  uri: task.proxy,
  requestTls: { ca: readFileSync(task.ca, "utf8"), allowH2: task.http2 },
  allowH2: task.http2,
  proxyTunnel: task.tunnel,
  pipelining: task.keepAlive ? 1 : 0, // 0: `connection: close`
  connections: 1,
});

async function send({ method, url, headers, body, chunked }) {
  const bytes = body === null ? undefined : Buffer.from(body, "base64");
  const content = chunked ? new Blob([bytes]).stream() : bytes;
  const response = await fetch(url, { method, headers, body: content, duplex: "half", dispatcher, redirect: "manual" });
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: Buffer.from(await response.arrayBuffer()).toString("base64"),
  };
}

const replies = [];
for (const call of task.calls) {
  replies.push(await send(call));
}
await dispatcher.close();
process.stdout.write(JSON.stringify(replies));
