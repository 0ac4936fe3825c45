// Passes the calls of a story to @segment/analytics-next.
"use strict";

const options = (call) => (call.at ? { timestamp: new Date(call.at) } : {});
const named = (method) => (call) =>
  call.category
    ? analytics[method](call.category, call.name, call.properties, options(call))
    : analytics[method](call.name, call.properties, options(call));

window.sdk = {
  ready: () => new Promise((resolve) => analytics.ready(resolve)),
  anonymousId: async () => (await analytics.user()).anonymousId(),
  forget: () => analytics.reset(),
  page: named("page"),
  screen: named("screen"),
  track: (call) => analytics.track(call.event, call.properties, options(call)),
  identify: (call, visitor) => analytics.identify(visitor.user, call.traits, options(call)),
  alias: (call, visitor, anonymous) => analytics.alias(visitor.user, anonymous, options(call)),
  group: (call) => analytics.group(call.group, call.traits, options(call)),
};
