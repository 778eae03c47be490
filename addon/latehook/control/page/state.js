/* The state of the page. `known` is what the control API has answered, `view` is what the user has chosen to see.
   `render` writes both into the document. Whatever came from outside is written as text. Paths are relative, so that the
   page works wherever the control API is reached. All files share one global scope; index.html has their order. */
"use strict";

const PAGE = 50, LONGEST_POLL = 20, PACE = 250, TICK = 250, TEXT_SHOWN = 100_000, WEBHOOKS_SHOWN = 100;
const OWED = ["pending", "held", "delivering"];
const FILTERS = ["job", "mock", "event", "state", "where"];
const OF_REQUESTS = ["job", "mock", "where"];

const view = {list: "jobs", filters: {}, cursors: [null], chosen: null, open: false, unread: false};
const known = {status: null, list: null, path: null, items: [], next: null, job: null, readAt: 0, lostAt: null, isFilterBad: false};
const notes = new Map();
const wholeTexts = new Map(); // of messages that lists have in part, by the key of the message

const $ = id => document.getElementById(id);
