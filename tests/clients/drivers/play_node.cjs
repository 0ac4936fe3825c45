// Plays a story with an SDK for Node.js: `node play_node.cjs segment|rudder STORY ENDPOINT KEY`.
// NODE_PATH says where the SDKs are installed. Only the endpoint is configured, and the retries of rudder.
"use strict";

const fs = require("node:fs");

const [brand, file, endpoint, key] = process.argv.slice(2);
const errors = [];

const clients = {
  segment() {
    const { Analytics } = require("@segment/analytics-node");
    const client = new Analytics({ writeKey: key, host: endpoint });
    client.on("error", (error) => errors.push(JSON.stringify(error)));
    return { client, end: () => client.closeAndFlush({ timeout: 60_000 }) };
  },
  rudder() {
    const Analytics = require("@rudderstack/rudder-sdk-node");
    // By default, the SDK gives up after three tries, 1.4 s after the first one: too soon for a door that starts again.
    const client = new Analytics(key, { dataPlaneUrl: endpoint, retryCount: 10, errorHandler: () => undefined });
    return { client, end: () => client.flush() };
  },
};

function parameters(call, visitor, named) {
  const found = named ? { userId: visitor.user } : {};
  if (call.call === "alias") found.previousId = visitor.anonymous;
  else found.anonymousId = visitor.anonymous;
  if (call.group) found.groupId = call.group;
  if (call.at) found.timestamp = new Date(call.at);
  for (const name of ["event", "name", "category", "properties", "traits"]) if (name in call) found[name] = call[name];
  return found;
}

async function main() {
  const { client, end } = clients[brand]();
  const called = [];
  const settled = [];
  for (const visitor of JSON.parse(fs.readFileSync(file, "utf8"))) {
    let named = false;
    for (const call of visitor.calls) {
      named ||= call.call === "identify";
      called.push([visitor.user, call.step, call.at ?? Date.now()]);
      settled.push(
        new Promise((resolve) =>
          client[call.call](parameters(call, visitor, named && !call.elsewhere), (error) => {
            if (error) errors.push(String(error));
            resolve();
          }),
        ),
      );
    }
    await new Promise(setImmediate);
  }
  await end();
  await Promise.all(settled);
  process.stdout.write(JSON.stringify({ called, errors }) + "\n");
}

main();
