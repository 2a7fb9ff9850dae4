// Intent: execSync runs a second loop inside a callback, which is a blocking call.
'use strict';
const { execSync } = require('child_process');

let ticks = 0;
const ticker = setInterval(() => {
  if (++ticks === 20) execSync('sleep 0.3');
  if (ticks === 40) clearInterval(ticker);
}, 5);
