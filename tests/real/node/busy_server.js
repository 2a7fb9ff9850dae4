// Intent: 1 ms of work for each of 200 clients makes turns of 200 ms in which
// no callback is slow. Prints the longest time between two turns.
'use strict';
const http = require('http');

function work() {
  const end = process.hrtime.bigint() + 1000000n;
  while (process.hrtime.bigint() < end);
}

let longest = 0;
let last = Date.now();
let watching = true;
function turn() {
  const now = Date.now();
  longest = Math.max(longest, now - last);
  last = now;
  if (watching) setImmediate(turn);
}

const server = http.createServer((request, response) => {
  if (request.url === '/quit') {
    watching = false;
    response.end('bye', () => {
      server.close();
      server.closeAllConnections();
      console.log(`longest turn ${longest} ms`);
    });
    return;
  }
  work();
  response.end('done');
});
server.listen(0, '127.0.0.1', () => {
  console.log(`port ${server.address().port} `);
  turn();
});
