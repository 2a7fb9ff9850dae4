// Intent: a computation in a timer is a stall with cause cpu.
'use strict';

function burnCpu() {
  const t = Date.now();
  while (Date.now() - t < 250);
}

let ticks = 0;
const ticker = setInterval(() => {
  if (++ticks === 20) burnCpu();
  if (ticks === 40) clearInterval(ticker);
}, 5);
