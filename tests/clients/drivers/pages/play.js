// Plays visitors one after the other on a page that has loaded an SDK. Each page names its adapter `sdk`:
//   ready()             resolves when the SDK has its settings
//   anonymousId()       returns the id that the SDK gave this visitor
//   forget()            makes the SDK forget this visitor, because the next one is another person
//   page, screen, track, identify, alias, group   pass a call of the story to the SDK
"use strict";

const loadedAt = Date.now(); // just after the snippet

// `made`: number of calls that the page's own snippet has made for the first visitor, before the SDK was ready.
window.play = async function play(visitors, made) {
  const called = [];
  const anonymous = {};
  for (const visitor of visitors) {
    const first = visitor === visitors[0] ? made : 0;
    for (const call of visitor.calls.slice(0, first)) {
      called.push([visitor.user, call.step, loadedAt]);
    }
    anonymous[visitor.user] = await sdk.anonymousId();
    for (const call of visitor.calls.slice(first)) {
      called.push([visitor.user, call.step, call.at ?? Date.now()]);
      sdk[call.call](call, visitor, anonymous[visitor.user]);
    }
    await sdk.forget();
  }
  return { called, anonymous };
};
