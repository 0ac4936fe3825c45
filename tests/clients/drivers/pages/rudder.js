// Passes the calls of a story to @rudderstack/analytics-js. That SDK has no `screen`, so `page` is called instead.
"use strict";

const options = (call) => (call.at ? { originalTimestamp: new Date(call.at).toISOString() } : {});
const page = (call) =>
  call.category
    ? rudderanalytics.page(call.category, call.name, call.properties, options(call))
    : rudderanalytics.page(call.name, call.properties, options(call));

window.sdk = {
  ready: () => new Promise((resolve) => rudderanalytics.ready(resolve)),
  anonymousId: () => rudderanalytics.getAnonymousId(),
  forget: () => rudderanalytics.reset({ entries: { anonymousId: true } }),
  page,
  screen: page,
  track: (call) => rudderanalytics.track(call.event, call.properties, options(call)),
  identify: (call, visitor) => rudderanalytics.identify(visitor.user, call.traits, options(call)),
  alias: (call, visitor, anonymous) => rudderanalytics.alias(visitor.user, anonymous, options(call)),
  group: (call) => rudderanalytics.group(call.group, call.traits, options(call)),
};
